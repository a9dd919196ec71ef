"""One pass over a transfer: look, copy, and look again until nothing differs."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from nualley.catalog import Catalog, CopyState, ReplicaState, Transfer, TransferFile
from nualley.core import NualleyError
from nualley.replicas import decide
from nualley.replicas.copying import FileCopier
from nualley.replicas.errors import (
    CopyDamaged,
    CopyGone,
    FileGone,
    NothingToCopy,
    RemoteFull,
    RemoteNotSetUp,
    RemoteRefused,
    RemoteUnreachable,
    SourceIncomplete,
    SourceReplicaLost,
    StillWritten,
)
from nualley.replicas.models import Listing, Refused
from nualley.replicas.pace import Pace
from nualley.replicas.places import NoRemotes
from nualley.replicas.ports import Remotes, Timer, Trees, Turns
from nualley.replicas.sides import Side
from nualley.storage import DriveFailing, DriveFull, DriveReadOnly, DurableFiles

N_LOOKS = 8
"""A source that still differs at so many looks is being written to."""

_TROUBLE = (  # the next file would fail as well
    *(DriveFull, DriveReadOnly, DriveFailing),
    *(RemoteUnreachable, RemoteRefused, RemoteFull, RemoteNotSetUp),
)


@dataclass(slots=True)
class Outcome:
    """What one pass came to.

    Parameters
    ----------
    problems : list of NualleyError
        What is in the way.
    skipped : tuple of Refused
        What is at the source and is no file to copy.
    n_folders : int
        Folders in which nothing is, at the destination too.
    """

    problems: list[NualleyError] = field(default_factory=list)
    skipped: tuple[Refused, ...] = ()
    n_folders: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine, as far as transfers need it.

    Parameters
    ----------
    files : DurableFiles
        The file systems.
    trees : Trees
        Looks at what is there.
    turns : Turns
        Turns at devices.
    timer : Timer
        Measures and keeps the rate.
    remotes : Remotes
        What can be reached from it.
    """

    files: DurableFiles
    trees: Trees
    turns: Turns
    timer: Timer
    remotes: Remotes = field(default_factory=NoRemotes)


Ends = tuple[Side, Side]


class TransferPass:
    """Works on one transfer.

    Parameters
    ----------
    catalog : Catalog
        The record.
    turns : Turns
        Turns at devices and remotes.
    copier : FileCopier
        Copies one file.
    transfer : Transfer
        The transfer.
    pace : Pace
        Told how far it is.
    ends : tuple of Side and Side
        Where from and where to.
    """

    def __init__(
        self, catalog: Catalog, turns: Turns, copier: FileCopier, *, transfer: Transfer, pace: Pace, ends: Ends
    ) -> None:
        self._catalog = catalog
        self._turns = turns
        self._copier = copier
        self._transfer = transfer
        self._pace = pace
        self._source, self._destination = ends
        self._tried: set[TransferFile] = set()
        self._problem_by_path: dict[str, NualleyError] = {}

    def run(self) -> Outcome:
        """Copy what is left until a look at the source finds nothing more to copy, and say what is in the way."""
        trouble: list[NualleyError] = []
        for _ in range(N_LOOKS):
            listing = self._look()
            files = self._reconcile(listing)
            there = {seen.path for seen in listing.files}
            left = [file for file in files if file.state is not CopyState.CATALOGUED and file.path in there]
            left = [file for file in left if _key(file) not in self._tried]
            if not left or trouble:
                break
            trouble += self._copy(left)
        else:
            trouble.append(_still_written(self._transfer))
        problems = [*self._problem_by_path.values(), *trouble, *self._judge(files, listing)]
        if not trouble:
            problems += [_copy_gone(self._destination.address(file.path)) for file in self._undone(files, there)]
        not_made = self._destination.make_folders(listing.empty if not trouble else ())
        n_folders = 0 if trouble else len(listing.empty) - len(not_made)
        return Outcome(list(dict.fromkeys(problems)), (*listing.skipped, *not_made), n_folders)

    def _look(self) -> Listing:
        listing = self._source.look()
        if listing is None:
            raise NothingToCopy(
                f"nothing is at {self._transfer.source} any more",
                where=self._transfer.source,
                do="look whether its drive is mounted; nothing was taken back at the destination",
            )
        return listing

    def _reconcile(self, listing: Listing) -> list[TransferFile]:
        """Bring the list to what is at the source, and to what is still at the destination; return it."""
        transfers, number = self._catalog.transfers, self._transfer.transfer_id
        files = transfers.files(number)
        queued = list(decide.reconcile(files, listing).queued)
        known, good = {file.path for file in queued}, self._good_replicas()
        done = [file for file in files if file.state is CopyState.CATALOGUED and file.path not in known]
        sizes_B = self._destination.sizes([file.path for file in done])
        queued += [
            replace(file, state=CopyState.QUEUED)
            for file in done
            if not self._is_done(file, good, is_there=sizes_B.get(file.path) == file.size_B)
        ]
        if queued:
            transfers.put_files(number, queued)
            files = transfers.files(number)
        return files

    def _good_replicas(self) -> dict[str, int]:
        """Return which file the record has verified under each path of the destination."""
        if self._transfer.drive is None:
            return {}
        known = self._catalog.transfers.known_below(self._transfer.drive, self._transfer.destination)
        return {replica.path: replica.file_id for replica in known if replica.state is ReplicaState.VERIFIED}

    def _is_done(self, file: TransferFile, good: Mapping[str, int], *, is_there: bool) -> bool:
        """Return whether a file is what the list says: its place has it, and so has the record."""
        if file.problem:  # what was found damaged stays, as evidence, until somebody moves it away
            return is_there
        is_entered = self._transfer.drive is None or file.file_id is None
        where = self._destination.address(file.path)
        return is_there and bool(file.xxh3_128) and (is_entered or good.get(where) == file.file_id)

    # ------------------------------------------------------------ copying
    def _copy(self, left: list[TransferFile]) -> list[NualleyError]:
        """Copy files in their order; return what makes going on useless."""
        devices, n_readings = {self._source.device(), self._destination.device()}, self._copier.n_readings
        self._pace.expect(sum(n_readings * file.size_B for file in left))
        for file in left:
            self._tried.add(_key(file))
            with self._turns.at(devices, self._pace.check_stop):
                error = self._copier.copy(file, self._pace.file(n_readings * file.size_B))
            self._problem_by_path.pop(file.path, None)
            if error is not None:
                self._problem_by_path[file.path] = error
            if isinstance(error, _TROUBLE):
                return [error]
        return []

    # ------------------------------------------------------------ is all there?
    def _judge(self, files: list[TransferFile], listing: Listing) -> list[NualleyError]:
        problems: list[NualleyError] = [_unreadable(self._transfer, refused) for refused in listing.unreadable]
        problems += [_gone(self._transfer, file) for file in decide.reconcile(files, listing).gone]
        for file in files:
            if file.state is CopyState.CATALOGUED and file.problem:
                problems.append(CopyDamaged(file.problem, where=file.path, do=_REPAIR))
        return problems + self._lost_replicas(listing)

    def _undone(self, files: list[TransferFile], there: AbstractSet[str]) -> list[TransferFile]:
        """Return the files that were copied by this pass, and of which the last look found no copy."""
        left = [file for file in files if file.state is not CopyState.CATALOGUED and file.path in there]
        return [file for file in left if file.path not in self._problem_by_path]

    def _lost_replicas(self, listing: Listing) -> list[NualleyError]:
        """Name what the catalog knows to be at the source and the look did not find: a list from there was wrong."""
        if self._transfer.source_drive is None:
            return []
        seen = {self._source.address(found.path) for found in listing.files}
        unseen = [self._source.address(each.path) for each in listing.unreadable]
        lost: list[NualleyError] = []
        for replica in self._catalog.transfers.known_below(self._transfer.source_drive, self._transfer.source):
            if replica.path in seen or any(decide.is_in(replica.path, folder) for folder in unseen):
                continue
            if self._source.is_there(replica.path):
                continue
            self._catalog.update_replica(replica.replica_id, state=ReplicaState.MISSING)
            lost.append(_lost(replica.path, self._transfer))
        return lost


_REPAIR = "move the damaged copy away, then: nualley transfer resume"


def _key(file: TransferFile) -> TransferFile:
    """Return what a file was when it was tried: one that changed since is tried again."""
    return TransferFile(path=file.path, size_B=file.size_B, mtime_ns=file.mtime_ns, inode=file.inode)


def _unreadable(transfer: Transfer, refused: Refused) -> SourceIncomplete:
    path = "/".join(part for part in (transfer.source, refused.path) if part)
    return SourceIncomplete(
        f"{path} cannot be read: {refused.reason}; nothing is known of what is in there",
        where=path,
        do="give this user the right to read it, then: nualley transfer resume",
    )


def _gone(transfer: Transfer, file: TransferFile) -> FileGone:
    return FileGone(
        f"{file.path} is not at {transfer.source} any more, and was not copied",
        where=f"{transfer.source}/{file.path}",
        do="look who moved it; where it was meant, begin a new transfer",
    )


def _copy_gone(where: str) -> CopyGone:
    return CopyGone(
        f"{where} was published, and is gone or has another size",
        where=where,
        do="look who changed it and at the drive; where it is gone, nualley transfer resume copies it again",
    )


def _lost(path: str, transfer: Transfer) -> SourceReplicaLost:
    return SourceReplicaLost(
        f"the catalog knows a replica at {path}, drive {transfer.source_drive} has none there; it is missing now",
        where=path,
        do="look who removed it; nualley runs show RUN names its other replicas",
    )


def _still_written(transfer: Transfer) -> StillWritten:
    return StillWritten(
        f"{transfer.source} still changed at look {N_LOOKS}",
        where=transfer.source,
        do="wait until nobody writes there, then: nualley transfer resume",
    )
