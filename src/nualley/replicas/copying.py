"""One file of a transfer: through all of its states, each entered when it is reached."""

from collections.abc import Callable
from dataclasses import replace

from nualley.catalog import (
    Activity,
    Catalog,
    CopyState,
    FileRecord,
    Origin,
    Replica,
    ReplicaConflict,
    ReplicaState,
    TransferFile,
)
from nualley.core import Clock, Digests, NualleyError
from nualley.replicas.carrying import Carrier
from nualley.replicas.errors import RemoteError, SameFile, UploadDamaged
from nualley.replicas.sides import Side
from nualley.storage import (
    DestinationConflict,
    DigestMismatch,
    PublishStep,
    SourceChanged,
    StorageError,
    VerifyFailed,
)

# what is wrong with a file, or with its place; anything else is no matter of one file and stops the transfer
_OF_THE_FILE = (
    *(StorageError, SourceChanged, DigestMismatch, VerifyFailed, DestinationConflict),
    *(ReplicaConflict, SameFile, RemoteError, UploadDamaged),
)

ENTERED_FROM_B = 16 * 2**20
"""The states between queued and catalogued of a smaller file are not entered: they last no longer than the entering."""


class FileCopier:
    """Copies files of one transfer.

    Parameters
    ----------
    catalog : Catalog
        The record.
    carrier : Carrier
        Brings the bytes there.
    source, destination : Side
        Where from and where to.
    origin : Origin
        Who does it.
    clock : Clock
        Dates the proof.
    check_there : callable
        Raises where the drive of the copies went away: what is below its path then is not the drive.
    entered_from_B : int
        See `ENTERED_FROM_B`.
    """

    def __init__(
        self,
        catalog: Catalog,
        carrier: Carrier,
        *,
        source: Side,
        destination: Side,
        origin: Origin,
        clock: Clock,
        check_there: Callable[[], object],
        entered_from_B: int = ENTERED_FROM_B,
    ) -> None:
        self._check_there = check_there
        self._catalog = catalog
        self._carrier = carrier
        self._source = source
        self._destination = destination
        self._origin = origin
        self._clock = clock
        self._entered_from_B = entered_from_B

    def copy(self, file: TransferFile, progress: Callable[[int, int], None]) -> NualleyError | None:
        """Bring a file to its destination, verify it there and enter it.

        Parameters
        ----------
        file : TransferFile
            As the catalog has it: in whatever state, nothing of it is believed.
        progress : callable
            Told bytes done and bytes to do [B]; what it raises ends the copy, which can be taken up.

        Returns
        -------
        NualleyError or None
            What is in its way; entered too.

        Raises
        ------
        DriveMissing
            Where the drive of the copies is not there before, or not any more afterwards; then it is not entered.
        """
        self._check_there()
        start_ns = self._clock.now_ns()
        step = _Step(self._catalog, replace(file, problem=""), is_entered=file.size_B >= self._entered_from_B)
        source, destination = self._source.address(file.path), self._destination.address(file.path)
        try:
            record = self._record_of(source)
            step.reach(CopyState.COPYING, file_id=record.file_id if record else None)
            expected = record.digests if record else None
            published = self._carrier.carry(file, expected=expected, progress=progress, told=step.told)
            if published.is_source:
                raise _same_file(source, destination)
            name = source.rpartition("/")[2]
            record = record or self._record_with(published.digests, name)
            self._check_there()
            step.reach(CopyState.PUBLISHED, digests=published.digests, file_id=record.file_id if record else None)
            replica = self._replica(destination)
            activity = self._activity(record, source, destination, start_ns=start_ns)
            done = replace(step.file, state=CopyState.CATALOGUED)
            self._catalog.transfers.settle(done, replica if record else None, activity)
        except _OF_THE_FILE as error:
            self._catalog.transfers.settle(replace(step.file, problem=error.what), None)
            return error
        return None

    @property
    def n_readings(self) -> int:
        """How often the bytes of a file are gone through."""
        return self._carrier.n_readings

    def _record_of(self, source: str) -> FileRecord | None:
        """Return what the catalog knows to lie at the source: then the bytes have to be these."""
        if self._source.name is None:
            return None
        known = self._catalog.replica_at(self._source.name, source)
        return None if known is None else self._catalog.file(known.file_id)

    def _record_with(self, digests: Digests, name: str) -> FileRecord | None:
        """Return the one file of the catalog with these bytes and this name; of two nobody could say which it is."""
        found = [
            record
            for record in self._catalog.files_by_digest(digests.xxh3_128)
            if (record.digests, record.name) == (digests, name)
        ]
        return found[0] if len(found) == 1 else None

    def _replica(self, destination: str) -> Replica | None:
        if self._destination.name is None:
            return None
        return Replica(
            drive=self._destination.name,
            path=destination,
            state=ReplicaState.VERIFIED,
            verified_ns=self._clock.now_ns(),
        )

    def _activity(self, record: FileRecord | None, source: str, destination: str, *, start_ns: int) -> Activity:
        known = (f"file:{record.run_id}/{record.name}",) if record else ()
        return self._origin.activity(
            kind="transfer",
            inputs=(*known, source),
            outputs=(destination,),
            start_ns=start_ns,
            stop_ns=self._clock.now_ns(),
        )


class _Step:
    """A file on its way: what it has reached, entered as far as that is worth it.

    Parameters
    ----------
    catalog : Catalog
        The record.
    file : TransferFile
        As it is before.
    is_entered : bool
        Whether each state is entered by itself.
    """

    def __init__(self, catalog: Catalog, file: TransferFile, *, is_entered: bool) -> None:
        self.file = file
        self._catalog = catalog
        self._is_entered = is_entered

    def told(self, step: PublishStep, digests: Digests) -> None:
        """Take a step that `storage.publish` tells."""
        self.reach(CopyState(step), digests=digests, file_id=self.file.file_id)

    def reach(self, state: CopyState, *, digests: Digests | None = None, file_id: int | None) -> None:
        """Enter a state."""
        self.file = replace(self.file, state=state, file_id=file_id)
        if digests is not None:
            self.file = replace(self.file, size_B=digests.size_B, xxh3_128=digests.xxh3_128, adler32=digests.adler32)
        if self._is_entered:
            self._catalog.transfers.settle(self.file, None)


def _same_file(source: str, destination: str) -> SameFile:
    return SameFile(
        f"{destination} is the source itself by another name: this is no second copy",
        where=source,
        do="name a destination on another drive",
    )
