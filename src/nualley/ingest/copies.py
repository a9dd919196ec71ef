"""Verified copies of one file on different drives."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.catalog import Replica, ReplicaState
from nualley.core import Clock, Digests, NualleyError, escape_name, unescape_name
from nualley.ingest.errors import CopiesMissing
from nualley.storage import (
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
    choose_drive,
    place,
    publish,
)

# the drive's fault, not the file's: another drive may take it
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
    digests : Digests or None
        Of their bytes; None where none was made.
    shortfall : NualleyError or None
        Why there are fewer than wanted.
    """

    replicas: tuple[Replica, ...]
    digests: Digests | None
    shortfall: NualleyError | None


class Copies:
    """Makes as many verified copies of a file as are wanted.

    Parameters
    ----------
    files : DurableFiles
        The file systems.
    measure : callable
        Returns how full the drives are now.
    template : str
        ``replica_path`` of ``drives.toml``.
    n_copies : int
        Copies that are wanted, each on another drive, >= 1.
    clock : Clock
        Dates the proof of each.
    """

    def __init__(
        self,
        files: DurableFiles,
        measure: Callable[[], Sequence[DriveUsage]],
        *,
        template: str,
        n_copies: int,
        clock: Clock,
    ) -> None:
        self._files = files
        self._measure = measure
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
        for usage in self._measure():
            if _takes_raw(usage):
                try:
                    self._files.remove_stale_part(self._place(usage.drive, target))
                except OSError:
                    continue  # it is in nobody's way; a part that cannot be removed shows when its drive is used

    def lost(self, replicas: Sequence[Replica], size_B: int) -> list[Replica]:
        """Return the replicas that were verified once, lie on a mounted drive, and are not there any more.

        Parameters
        ----------
        replicas : sequence of Replica
            As the catalog knows them.
        size_B : int
            Size of the file [B].

        Returns
        -------
        list of Replica
            Those of an unmounted drive are not among them: nothing is known of them now.
        """
        mounted = {usage.drive.name for usage in self._measure() if usage.is_mounted}
        return [
            replica
            for replica in replicas
            if replica.state is ReplicaState.VERIFIED and replica.drive in mounted and not self._lies(replica, size_B)
        ]

    def _lies(self, replica: Replica, size_B: int) -> bool:
        try:
            found = self._files.state(Path(unescape_name(replica.path)))
        except OSError:
            return True  # a folder that may not be searched proves nothing
        return found is not None and found.size_B == size_B

    def make(
        self,
        source: Path,
        target: Target,
        *,
        size_B: int,
        held: Sequence[Replica] = (),
        expected: Digests | None = None,
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
            the replica is missing.
        expected : Digests, optional
            What the file has to hold.
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
        """
        tried = {replica.drive for replica in held if replica.state is not ReplicaState.MISSING}
        n_held = sum(replica.state is ReplicaState.VERIFIED for replica in held)
        made: dict[str, Published] = {}
        refusals: list[NualleyError] = []
        while n_held + len(made) < self._n_copies:
            try:
                drive, destination = self._next_place(target, size_B, tried)
                tried.add(drive.name)
                step = _step(progress, len(made), self._n_copies - n_held)
                published = publish(source, destination, files=self._files, expected=expected, progress=step)
            except NoDriveFits as error:
                refusals.append(error)
                break
            except DestinationConflict as error:
                if not (made or n_held):
                    raise
                refusals.append(error)
                continue
            except _DRIVE_REFUSALS as error:
                refusals.append(error)
                continue
            made[drive.name] = published
            expected = published.digests
        return self._made(made, refusals, n_held)

    def _made(self, made: dict[str, Published], refusals: list[NualleyError], n_held: int) -> Made:
        n_copies = n_held + len(made)
        if not n_copies:
            raise refusals[0]
        now_ns = self._clock.now_ns()
        replicas = tuple(
            Replica(
                drive=name,
                path=escape_name(os.fspath(published.destination)),
                state=ReplicaState.VERIFIED,
                verified_ns=now_ns,
            )
            for name, published in made.items()
        )
        digests = next((published.digests for published in made.values()), None)
        return Made(replicas, digests, _shortfall(refusals, n_copies, self._n_copies))

    def _next_place(self, target: Target, size_B: int, tried: Collection[str]) -> tuple[Drive, Path]:
        """Return the next drive: one where the name stands already (this was begun before), else the best."""
        usages = self._measure()
        for usage in usages:
            if usage.drive.name not in tried and _takes_raw(usage):
                destination = self._place(usage.drive, target)
                if self._is_taken(destination):
                    return usage.drive, destination
        drive = choose_drive(usages, size_B, DriveRole.RAW, exclude=tried)
        return drive, self._place(drive, target)

    def _is_taken(self, destination: Path) -> bool:
        try:
            return self._files.state(destination) is not None
        except OSError:
            return False  # publishing there says what is wrong, if that drive's turn comes

    def _place(self, drive: Drive, target: Target) -> Path:
        return place(self._template, drive, detector=target.detector, run=target.number, name=target.name)


def _takes_raw(usage: DriveUsage) -> bool:
    return usage.is_mounted and usage.is_writable and usage.drive.role in (DriveRole.RAW, DriveRole.ANY)


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
