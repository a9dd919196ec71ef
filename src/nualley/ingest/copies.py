"""Verified copies of one file on different drives."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nualley.catalog import FileRecord, Replica, ReplicaState
from nualley.core import Clock, Digests, NualleyError, escape_name, reason, unescape_name
from nualley.ingest import decide
from nualley.ingest.errors import CopiesMissing
from nualley.ingest.ports import Claims, Drives
from nualley.ingest.proof import Finding, examine
from nualley.storage import (
    Demand,
    DestinationConflict,
    DestinationRefused,
    Drive,
    DriveFailing,
    DriveFull,
    DriveReadOnly,
    DriveRole,
    DriveUsage,
    DurableFiles,
    NoDriveFits,
    Published,
    VerifyFailed,
    aside_paths,
    choose_drive,
    place,
    publish,
    separate,
)

# the drive's fault, not the file's: another drive may take it
_ROLES = (DriveRole.RAW, DriveRole.ANY)
_DRIVE_REFUSALS = (DriveFull, DriveReadOnly, DriveFailing, DestinationRefused, VerifyFailed)


@dataclass(frozen=True, slots=True)
class Target:
    """What a replica's path is made of.

    Parameters
    ----------
    detector : str
        Id of the detector.
    number : int
        Number of the run.
    name : str
        The file's own name, as the file system gave it.
    """

    detector: str
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Made:
    """The copies that there are now.

    Parameters
    ----------
    replicas : tuple of Replica
        Those that were made or found by this call, verified.
    digests : Digests
        Of their bytes.
    set_aside : tuple of (Replica, Path)
        Damaged files that had to give a copy their name, and where they lie now.
    shortfall : NualleyError or None
        Why there are fewer than wanted.
    """

    replicas: tuple[Replica, ...]
    digests: Digests
    set_aside: tuple[tuple[Replica, Path], ...] = ()
    shortfall: NualleyError | None = None


class Copies:
    """Makes as many verified copies of a file as are wanted.

    Parameters
    ----------
    files : DurableFiles
        The file systems.
    drives : Drives
        How full they are; where they are first written to, they are registered.
    claims : Claims
        Keeps others from making copies of the same file meanwhile.
    template : str
        ``replica_path`` of ``drives.toml``.
    n_copies : int
        Copies that are wanted, each on another drive, >= 1.
    clock : Clock
        Dates the proof of each.
    remotes : collection of str
        Names of the remotes: what lies there is not looked at.
    """

    def __init__(
        self,
        files: DurableFiles,
        drives: Drives,
        *,
        claims: Claims,
        template: str,
        n_copies: int,
        clock: Clock,
        remotes: Collection[str] = (),
    ) -> None:
        self._remotes = remotes
        self._files = files
        self._drives = drives
        self._claims = claims
        self._template = template
        self._n_copies = n_copies
        self._clock = clock

    @property
    def files(self) -> DurableFiles:
        """The file systems."""
        return self._files

    def clear_parts(self, target: Target) -> None:
        """Remove what a process left that was killed while it copied.

        Parameters
        ----------
        target : Target
            What the replicas' paths are made of. The file may be refused by now, or another drive's turn may come.
        """
        for usage in self._drives.usages():
            if _takes_raw(usage):
                try:
                    self._files.remove_stale_part(self._place(usage.drive, target))
                except OSError:
                    continue  # it is in nobody's way; a part that cannot be removed shows when its drive is used

    def examine(self, replicas: Sequence[Replica], known: FileRecord, *, reads: bool) -> list[Finding]:
        """Say how each replica stands; see `proof.examine`."""
        usage_by_name = {usage.drive.name: usage for usage in self._drives.usages()}
        return [
            examine(
                replica,
                known,
                usage_by_name.get(replica.drive),
                files=self._files,
                reads=reads,
                is_remote=replica.drive in self._remotes,
            )
            for replica in replicas
        ]

    def make(
        self,
        source: Path,
        target: Target,
        *,
        size_B: int,
        held: Sequence[Replica] = (),
        expected: Digests | None = None,
        n_held_by_drive: Mapping[str, int] = MappingProxyType({}),
        progress: Callable[[int, int], None] | None = None,
    ) -> Made:
        """Make the copies that are missing.

        Parameters
        ----------
        source : Path
            The file.
        target : Target
            What the replicas' paths are made of.
        size_B : int
            Its size [B].
        held : sequence of Replica
            Replicas that the catalog knows; those that are verified count, the others' drives are left alone unless
            the replica is missing, or damaged and no other drive takes a copy.
        expected : Digests, optional
            What the file has to hold.
        n_held_by_drive : mapping of str to int
            How many files of the same run each drive has: while it has room, the one with most of them comes first.
        progress : callable, optional
            Told bytes done and to do over all copies [B].

        Returns
        -------
        Made
            At least one copy is there where this returns, among ``held`` or made.

        Raises
        ------
        NualleyError
            Where no copy at all could be made: of `storage.publish` and `storage.choose_drive`.
        OwnFile
            Where the file is itself one of the replicas.
        DestinationBusy
            Where another process takes the same file.

        Notes
        -----
        A damaged replica is evidence: it is left untouched, and the new copy goes to another drive. Only where no other
        drive takes it, the damaged file gives way: it is renamed to ``<name>.damaged-<time>`` beside itself, and the
        copy, read back like every other, takes its name.
        """
        # two processes that choose drives by themselves would make more copies than are wanted
        with self._claims.claim(f"{target.detector}-{target.number}/{escape_name(target.name)}"):
            return self._make(source, _Work(target, size_B, held, n_held_by_drive), expected, progress)

    def _make(
        self,
        source: Path,
        work: "_Work",
        expected: Digests | None,
        progress: Callable[[int, int], None] | None,
    ) -> Made:
        while work.n_copies < self._n_copies:
            try:
                usage, destination = self._next_place(work)
                work.tried.add(usage.drive.name)
                self._drives.register(usage)
                self._clear_way(work, usage.drive, destination)
                step = _step(progress, len(work.made), self._n_copies - work.n_held)
                published = publish(source, destination, files=self._files, expected=expected, progress=step)
            except NoDriveFits as error:
                work.refusals.append(error)
                break
            except DestinationConflict as error:
                if not work.n_copies:
                    raise
                work.refusals.append(error)
                continue
            except _DRIVE_REFUSALS as error:
                work.refusals.append(error)
                continue
            if published.is_source:
                raise decide.own_file(escape_name(os.fspath(source)), f"the replicas on drive {usage.drive.name}")
            work.made[usage.drive.name] = published
            expected = published.digests
        return self._made(work, expected)

    def _made(self, work: "_Work", digests: Digests | None) -> Made:
        if not work.n_copies or digests is None:
            raise work.refusals[0]
        now_ns = self._clock.now_ns()
        replicas = tuple(
            Replica(
                drive=name,
                path=escape_name(os.fspath(published.destination)),
                state=ReplicaState.VERIFIED,
                verified_ns=now_ns,
            )
            for name, published in work.made.items()
        )
        shortfall = _shortfall(work.refusals, work.n_copies, self._n_copies)
        return Made(replicas, digests, tuple(work.set_aside), shortfall)

    def _next_place(self, work: "_Work") -> tuple[DriveUsage, Path]:
        """Return the next drive: one where the name stands already (this was begun before), else the best."""
        usages = self._drives.usages()
        for usage in separate(usages, work.tried):
            if _takes_raw(usage):
                destination = self._place(usage.drive, work.target)
                if self._is_taken(destination):
                    return usage, destination
        demand = Demand(work.size_B, _ROLES)
        try:
            usage = choose_drive(usages, demand, exclude=work.tried, n_held_by_drive=work.n_held_by_drive)
        except NoDriveFits as error:
            # the drive of a damaged replica comes last, and once
            try:
                usage = choose_drive(usages, demand, exclude=work.tried - work.damaged.keys())
            except NoDriveFits:
                raise error from None
        return usage, self._place(usage.drive, work.target)

    def _clear_way(self, work: "_Work", drive: Drive, destination: Path) -> None:
        """Give a damaged replica that lies under the final name another one, which says so."""
        damaged = work.damaged.pop(drive.name, None)
        if damaged is None or Path(unescape_name(damaged.path)) != destination or not self._is_taken(destination):
            return
        aside = next(each for each in aside_paths(destination, self._clock.now_ns()) if not self._is_taken(each))
        try:
            self._files.move(destination, aside)
        except OSError as error:
            raise DestinationRefused(
                f"the damaged file {damaged.path} cannot be set aside: {reason(error)}",
                where=damaged.path,
                do="look at the drive; keep the damaged file, and give it another name by hand",
            ) from error
        work.set_aside.append((damaged, aside))

    def _is_taken(self, destination: Path) -> bool:
        try:
            return self._files.state(destination) is not None
        except OSError:
            return False  # publishing there says what is wrong, if that drive's turn comes

    def _place(self, drive: Drive, target: Target) -> Path:
        return place(self._template, drive, detector=target.detector, run=target.number, name=target.name)


class _Work:
    """What is under way for one file: what there is, what was made, and what was refused.

    Parameters
    ----------
    target : Target
        What the replicas' paths are made of.
    size_B : int
        Size of the file [B].
    held : sequence of Replica
        What the catalog knows.
    n_held_by_drive : mapping of str to int
        How many files of the same run each drive has.
    """

    def __init__(
        self, target: Target, size_B: int, held: Sequence[Replica], n_held_by_drive: Mapping[str, int]
    ) -> None:
        self.target = target
        self.n_held_by_drive = n_held_by_drive
        self.size_B = size_B
        self.n_held = sum(replica.state is ReplicaState.VERIFIED for replica in held)
        self.tried = {replica.drive for replica in held if replica.state.is_there}
        good = {replica.drive for replica in held if replica.state is ReplicaState.VERIFIED}
        self.damaged = {
            replica.drive: replica
            for replica in held
            if replica.state is ReplicaState.DAMAGED and replica.drive not in good
        }
        self.made: dict[str, Published] = {}
        self.set_aside: list[tuple[Replica, Path]] = []
        self.refusals: list[NualleyError] = []

    @property
    def n_copies(self) -> int:
        """Verified copies that there are now."""
        return self.n_held + len(self.made)


def _takes_raw(usage: DriveUsage) -> bool:
    return usage.is_mounted and usage.is_writable and usage.drive.role in _ROLES


def _shortfall(refusals: Sequence[NualleyError], n_copies: int, n_wanted: int) -> NualleyError | None:
    if n_copies >= n_wanted:
        return None
    return CopiesMissing(
        f"{n_copies} of {n_wanted} copies are there: " + "; ".join(refusal.what for refusal in refusals),
        where="ingest.copies",
        do=refusals[0].do,
    )


def _step(progress: Callable[[int, int], None] | None, n_done: int, n_all: int) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    tell = progress

    def advance(done_B: int, all_B: int) -> None:
        tell(n_done * all_B + done_B, n_all * all_B)

    return advance
