"""Bytes that lie for years are read again: a replica that rots is named while there is another one to mend it from."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from nualley.catalog import Catalog, Origin, PlacedFile, Replica, ReplicaState
from nualley.core import Clock, Digests, NualleyError, escape_name, reason, unescape_name
from nualley.replicas import decide
from nualley.replicas.errors import TransferStopped
from nualley.replicas.pace import Pace
from nualley.replicas.places import split_remote
from nualley.replicas.ports import Progress, ShouldStop
from nualley.replicas.sides import remote_device
from nualley.replicas.working import Machine
from nualley.storage import DriveMissing, SourceUnreadable, SourceVanished, aside_paths, publish, read_back

_LONGEST_TURN_S, _ASIDE_S = 10.0, 0.5  # who waits for a turn looks ten times a second


class ScrubResult(StrEnum):
    """What came of reading a replica."""

    INTACT = "intact"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A replica that was read, and what came of it.

    Parameters
    ----------
    drive, path : str
        Where it lies; the path escaped.
    run_id : str
        Its run.
    size_B : int
        Size that it should have [B].
    result : ScrubResult
        What was found, or done.
    detail : str
        In words; empty where it is intact.
    n_others : int
        Verified replicas elsewhere.
    """

    drive: str
    path: str
    run_id: str
    size_B: int
    result: ScrubResult
    detail: str = ""
    n_others: int = 0

    def to_json(self) -> dict[str, str | int]:
        """Return it as a JSON object."""
        names = ("drive", "path", "run_id", "size_B", "detail", "n_others")
        return {**{name: getattr(self, name) for name in names}, "result": str(self.result)}


def choose(placed: Sequence[PlacedFile], budget_B: int | None, *, now_ns: int) -> list[PlacedFile]:
    """Return which replicas come first: those that were missing, those that were never read, then the longest unread.

    Parameters
    ----------
    placed : sequence of PlacedFile
        Those of a drive with which something can be done.
    budget_B : int or None
        Go through about so much [B]: as many as fit, and one in any case; None: all.
    now_ns : int
        Now [ns since 1970 UTC]: a proof that is dated later, by a clock that was wrong then, is none.
    """

    def rank(each: PlacedFile) -> tuple[bool, int, str]:
        proven_ns = each.verified_ns if each.verified_ns is not None and each.verified_ns <= now_ns else -1
        return each.state is not ReplicaState.MISSING, proven_ns, each.path

    ordered = sorted(placed, key=rank)
    chosen: list[PlacedFile] = []
    left_B = budget_B
    for each in ordered:
        if left_B is not None and chosen and each.size_B > left_B:
            break
        chosen.append(each)
        left_B = None if left_B is None else left_B - each.size_B
    return chosen


class Scrubber:
    """Reads replicas back, enters what was found, and mends what can be mended.

    Parameters
    ----------
    catalog : Catalog
        The record.
    machine : Machine
        File systems, remotes, and turns at them.
    clock : Clock
        Dates each proof.
    origin : Origin
        By what replicas are mended.
    is_there : callable
        Takes the name of a drive or remote; whether it is there now, and is the one that was registered. Nothing is
        called missing or damaged on a drive that is away.
    is_on : callable, optional
        Takes the name of a drive and a path of the record; whether the path lies on that drive as it is mounted now.
        Nothing is made anew elsewhere: the drive may have moved, and below its old path is another one. By default yes.
    should_stop : callable
        Asked often; where it says yes, the work ends after what was finished.
    rate_B_per_s : int, optional
        Most bytes that are read in a second [B/s]; by default no limit.

    Notes
    -----
    Each file is read in a turn at its device or remote, as transfers take theirs. A turn that lasts is given back for a
    moment in the middle of the file: who waits to copy goes first.
    """

    def __init__(
        self,
        catalog: Catalog,
        machine: Machine,
        *,
        clock: Clock,
        origin: Origin,
        is_there: Callable[[str], bool],
        is_on: Callable[[str, str], bool] = lambda _drive, _path: True,
        should_stop: ShouldStop = lambda: False,
        rate_B_per_s: int | None = None,
    ) -> None:
        self._catalog = catalog
        self._machine = machine
        self._files = machine.files
        self._clock = clock
        self._origin = origin
        self._is_there = is_there
        self._is_on = is_on
        self._should_stop = should_stop
        self._rate_B_per_s = rate_B_per_s

    def plan(self, placed: Sequence[PlacedFile], budget_B: int | None, *, repairs: bool = False) -> list[PlacedFile]:
        """Return which replicas of a drive are to be gone through, in their order.

        Parameters
        ----------
        placed : sequence of PlacedFile
            All that is known of the drive.
        budget_B : int or None
            As for `choose`.
        repairs : bool
            Whether what is missing is to be made anew.

        Returns
        -------
        list of PlacedFile
            What is known to be missing is among them where it is there again, or is to be made anew; one of which there
            is no verified replica elsewhere comes last and costs nothing: it can only be told.
        """
        is_there = cache(self._is_there)
        wanted: list[PlacedFile] = []
        lost: list[PlacedFile] = []
        for each in placed:
            if each.state is ReplicaState.REMOVED:  # it is in the trash, or was deleted
                continue
            if each.state is not ReplicaState.MISSING or self._is_back(each):
                wanted.append(each)
            elif repairs:
                (wanted if self._others(each, is_there) else lost).append(each)
        return [*choose(wanted, budget_B, now_ns=self._clock.now_ns()), *lost]

    def _is_back(self, each: PlacedFile) -> bool:
        if split_remote(each.path):  # it costs nothing to ask for it
            return True
        try:
            return self._files.state(Path(unescape_name(each.path))) is not None
        except OSError:  # nothing can be said of it
            return False

    def run(
        self,
        drive: str,
        placed: Sequence[PlacedFile],
        *,
        repairs: bool = False,
        told: Progress | None = None,
    ) -> Iterator[Scrubbed]:
        """Read replicas of a drive or remote, and yield each once what was found is durable in the catalog.

        Parameters
        ----------
        drive : str
            Its name.
        placed : sequence of PlacedFile
            What is to be read.
        repairs : bool
            Put a verified replica from elsewhere in the place of one that is damaged or missing; a damaged file is kept
            beside it.
        told : callable, optional
            Told the name, bytes that were read and bytes to be read [B].

        Yields
        ------
        Scrubbed
            In the order of ``placed``.

        Raises
        ------
        TransferStopped
            Where somebody asked for a stop.
        NualleyError
            Where the drive is away, or the catalog cannot be written.
        """
        pace = Pace(
            drive,
            self._rate_B_per_s,
            timer=self._machine.timer,
            progress=told,
            should_stop=self._should_stop,
            again="nualley drives scrub",
        )
        pace.expect(sum(each.size_B for each in placed))
        for each in placed:
            found = self._verify(drive, each, pace)
            if repairs and found.result in (ScrubResult.DAMAGED, ScrubResult.MISSING):
                found = self._repair(each, found, pace)
            yield found

    def _verify(self, drive: str, each: PlacedFile, pace: Pace) -> Scrubbed:
        try:
            digests = self._read(each, pace)
        except SourceVanished:
            if not self._is_there(drive):
                raise
            return self._enter(drive, each, ScrubResult.MISSING, ReplicaState.MISSING, "it is not there")
        except SourceUnreadable as error:
            self._check_there(drive)
            return self._enter(drive, each, ScrubResult.UNREADABLE, ReplicaState.UNVERIFIED, error.what)
        if (digests.xxh3_128, digests.size_B) == (each.xxh3_128, each.size_B):
            if not split_remote(each.path):
                with suppress(OSError):  # a repair that was killed at its end left it
                    self._files.remove_stale_part(Path(unescape_name(each.path)))
            return self._enter(drive, each, ScrubResult.INTACT, ReplicaState.VERIFIED, "")
        self._check_there(drive)
        detail = f"it {decide.damage(digests, each.size_B, each.xxh3_128)}"
        return self._enter(drive, each, ScrubResult.DAMAGED, ReplicaState.DAMAGED, detail)

    def _check_there(self, drive: str) -> None:
        """Raise DriveMissing where a drive went away, or another took its place: what was read is none of its files."""
        if not self._is_there(drive):
            raise DriveMissing(
                f"{drive} went away while it was read", where=drive, do="mount it, then: nualley drives scrub"
            )

    def _read(self, each: PlacedFile, pace: Pace) -> Digests:
        place, advance = split_remote(each.path), pace.file(each.size_B)
        device = remote_device(place.remote) if place else self._device(each.path)
        with _Turn(self._machine, {device}, pace) as turn:

            def progress(done_B: int, size_B: int) -> None:
                advance(done_B, size_B)
                turn.step_aside()

            if place:
                return self._machine.remotes.open(place.remote).digests(place.path, lambda done_B: progress(done_B, 0))
            return read_back(Path(unescape_name(each.path)), files=self._files, progress=progress)

    def _device(self, path: str) -> int:
        try:
            return self._machine.trees.device(Path(unescape_name(path)))
        except OSError:  # reading it says what is wrong
            return 0

    def _enter(self, drive: str, each: PlacedFile, result: ScrubResult, state: ReplicaState, detail: str) -> Scrubbed:
        verified_ns = self._clock.now_ns() if result is ScrubResult.INTACT else None
        self._catalog.update_replica(each.replica_id, state=state, verified_ns=verified_ns)
        others = 0 if result is ScrubResult.INTACT else len(self._others(each, self._is_there))
        return Scrubbed(drive, each.path, each.run_id, each.size_B, result, detail, others)

    def _others(self, each: PlacedFile, is_there: Callable[[str], bool]) -> list[Replica]:
        others = [other for other in self._catalog.replicas(each.file_id) if other.replica_id != each.replica_id]
        return [other for other in others if other.state is ReplicaState.VERIFIED and is_there(other.drive)]

    def _repair(self, each: PlacedFile, found: Scrubbed, pace: Pace) -> Scrubbed:
        path, file = Path(unescape_name(each.path)), self._catalog.file(each.file_id)
        others, problems = self._others(each, self._is_there), []
        if not self._is_on(found.drive, each.path):
            others, problems = [], [f"it lies outside of {found.drive}; nualley files adopt enters where files are now"]
        for other in others:
            source = Path(unescape_name(other.path))
            begun_ns = self._clock.now_ns()
            try:
                aside = self._name_aside(path) if found.result is ScrubResult.DAMAGED else None
                with _Turn(self._machine, {self._device(other.path), self._device(each.path)}, pace):
                    self._put_in_place(source, path, file.digests, aside=aside, pace=pace)
            except TransferStopped:
                raise
            except (NualleyError, OSError) as error:  # the next replica may be better
                problems.append(error.what if isinstance(error, NualleyError) else reason(error))
                continue
            now_ns = self._clock.now_ns()
            self._catalog.update_replica(each.replica_id, state=ReplicaState.VERIFIED, verified_ns=now_ns)
            self._catalog.add_activity(
                self._origin.activity(
                    kind="repair",
                    inputs=(other.path,),
                    outputs=(each.path, *([escape_name(os.fspath(aside))] if aside else [])),
                    start_ns=begun_ns,
                    stop_ns=now_ns,
                )
            )
            detail = f"{found.detail}; mended from {other.drive}"
            return Scrubbed(
                found.drive, each.path, each.run_id, each.size_B, ScrubResult.REPAIRED, detail, found.n_others
            )
        why = "; ".join(problems) or "no verified replica of it is anywhere else"
        return Scrubbed(
            *(found.drive, each.path, each.run_id, each.size_B, found.result),
            detail=f"{found.detail}; it cannot be mended: {why}",
            n_others=found.n_others,
        )

    def _name_aside(self, path: Path) -> Path:
        """Return a name for a damaged file that nothing has."""
        return next(aside for aside in aside_paths(path, self._clock.now_ns()) if self._files.state(aside) is None)

    def _put_in_place(self, source: Path, path: Path, digests: Digests, *, aside: Path | None, pace: Pace) -> None:
        """Put verified bytes under a name; what is there is damaged, and is kept beside it."""

        def check_stop(*_: int) -> None:
            pace.check_stop()

        publish(source, path, files=self._files, expected=digests, progress=check_stop, aside=aside)


class _Turn:
    """A turn at devices that is given back for a moment when it lasts."""

    def __init__(self, machine: Machine, devices: Collection[int | str], pace: Pace) -> None:
        self._machine = machine
        self._devices = devices
        self._pace = pace
        self._held = ExitStack()
        self._since_s = 0.0

    def __enter__(self) -> Self:
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def _take(self) -> None:
        with self._pace.waiting():
            self._held.enter_context(self._machine.turns.at(self._devices, self._pace.check_stop))
        self._since_s = self._machine.timer.now_s()

    def step_aside(self) -> None:
        """Let who waits go first, where this turn has lasted long enough."""
        if self._machine.timer.now_s() - self._since_s < _LONGEST_TURN_S:
            return
        self._held.close()
        with self._pace.waiting():
            self._machine.timer.sleep(_ASIDE_S)
        self._take()
