"""The way of one file: counted, compared with the record, copied, recorded; or left aside with the reason."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nualley.catalog import (
    Catalog,
    CatalogDamaged,
    CatalogError,
    CatalogUnreachable,
    FileConflict,
    FileRecord,
    Origin,
    Quarantined,
    Replica,
    ReplicaConflict,
    ReplicaState,
    Run,
    Source,
    SourceState,
)
from nualley.core import Clock, Digests, NualleyError, escape_name, make_run_id, reason
from nualley.daq import FileSummary
from nualley.ingest import decide
from nualley.ingest.copies import Copies, Made, Target
from nualley.ingest.errors import OtherBytes
from nualley.ingest.models import IngestedFile, Item, Outcome, OwnPlaces, Stamp, make_stamp
from nualley.ingest.ports import Progress, RawFiles
from nualley.ingest.settings import IngestSettings
from nualley.storage import DestinationConflict, FileState, SourceChanged, SourceUnreadable, SourceVanished

# where the record itself cannot be used, nothing else can go on
CATALOG_DOWN = (CatalogError, CatalogUnreachable, CatalogDamaged)
_QUARANTINED = (DestinationConflict, FileConflict, ReplicaConflict, OtherBytes)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file, its state before it was read, what it holds, and what comes up about its replicas on the way."""

    item: Item
    state: FileState
    summary: FileSummary | None = None
    start_ns: int = 0
    problems: list[NualleyError] = field(default_factory=list)


class Intake:
    """Takes files in, one at a time; whatever is wrong with one is in what it returns.

    Parameters
    ----------
    catalog : Catalog
        The record.
    raw_files : RawFiles
        Reads raw files.
    copies : Copies
        Makes the replicas.
    settings : IngestSettings
        Name patterns of sidecars, and of files that are not meant.
    own : OwnPlaces
        Where nualley keeps what it was given: nothing is taken from there.
    origin : Origin
        What does the work.
    clock : Clock
        Dates what is done.

    Notes
    -----
    The order is: count events -> publish all copies -> see that the source did not change -> enter file, replicas,
    activity and run in one transaction -> remember the source as done. Killed anywhere, the next try finds the copies
    in their places and the file in the catalog, and goes on from there.
    """

    def __init__(
        self,
        catalog: Catalog,
        raw_files: RawFiles,
        copies: Copies,
        *,
        settings: IngestSettings,
        own: OwnPlaces,
        origin: Origin,
        clock: Clock,
    ) -> None:
        self._own = own
        self._catalog = catalog
        self._raw_files = raw_files
        self._copies = copies
        self._settings = settings
        self._origin = origin
        self._clock = clock
        self._n_held_of, self._n_held = "", Counter[str]()

    def take(self, item: Item, run: Run, progress: Progress | None = None, *, rereads: bool = True) -> IngestedFile:
        """Take a file in.

        Parameters
        ----------
        item : Item
            The file.
        run : Run
            Its run, with its times as far as they are known.
        progress : callable, optional
            Told name, bytes done and bytes to do.
        rereads : bool
            Read back the replicas that a known file has; else only see that they are there with their size. A person
            asks for the proof; who looks again and again must not read all files for ever.

        Returns
        -------
        IngestedFile
            Also where it was refused or failed, with the error.

        Raises
        ------
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used at all.
        """

        def work(seen: _Seen) -> IngestedFile:
            self.refuse_own(item.path)
            return self._take(seen, run, progress, rereads=rereads)

        return self._guarded(item, work)

    def refuse(self, item: Item, error: NualleyError) -> IngestedFile:
        """Quarantine a file without looking into it: it is left where it is, and not taken again until it changes.

        Parameters
        ----------
        item : Item
            The file.
        error : NualleyError
            Why.

        Returns
        -------
        IngestedFile
            Quarantined, or failed where it could not be read.
        """
        return self._guarded(item, lambda seen: self._quarantine(seen, error))

    def refuse_own(self, path: str, target: str = "") -> None:
        """Raise OwnFile where a file, or what it is a link to, lies in the store or among the replicas."""
        for meant in filter(None, (path, target)):
            if place := decide.own_place(Path(meant), self._own):
                raise decide.own_file(escape_name(meant), place)

    def digest(self, path: str) -> Digests:
        """Return the digests of a file; SourceVanished and SourceUnreadable where it cannot be read."""
        return self._raw_files.digest(Path(path))

    def summarise(self, path: str, detector: str) -> FileSummary:
        """Return what a file holds, a sidecar no events; what `RawFiles.summarise` raises passes through."""
        if self.is_sidecar(path):
            return decide.sidecar_summary()
        return self._raw_files.summarise(Path(path), detector)

    def is_ignored(self, path: str) -> bool:
        """Return whether the name says that a file is not meant, such as a temporary one."""
        return decide.is_named(path.rpartition(os.sep)[2], self._settings.ignored)

    def is_sidecar(self, path: str) -> bool:
        """Return whether the name says that a file stands beside raw files and holds no events."""
        return decide.is_named(path.rpartition(os.sep)[2], self._settings.sidecars)

    # ------------------------------------------------------------ the steps
    def _guarded(self, item: Item, work: Callable[[_Seen], IngestedFile]) -> IngestedFile:
        problems: list[NualleyError] = []
        try:
            seen = replace(self._look(item), problems=problems)
            if item.stamp is not None and stamp_of(seen.state) != item.stamp:
                raise _changed(item, item.stamp.size_B, seen.state.size_B)
            return work(seen)
        except CATALOG_DOWN:
            raise
        except NualleyError as error:
            return IngestedFile(
                path=item.shown, run_id=_run_id(item), outcome=Outcome.FAILED, error=error, problems=tuple(problems)
            )

    def _look(self, item: Item) -> _Seen:
        try:
            state = self._copies.files.state(Path(item.path))
        except OSError as error:
            raise SourceUnreadable(
                f"{item.shown} cannot be looked at: {reason(error)}",
                where=item.shown,
                do="give this user the right to search its folder",
            ) from error
        if state is None:
            raise SourceVanished(
                f"{item.shown} is not there any more", where=item.shown, do="look whether somebody moved it"
            )
        return _Seen(item, state, start_ns=self._clock.now_ns())

    def _take(self, seen: _Seen, run: Run, progress: Progress | None, *, rereads: bool) -> IngestedFile:
        self._copies.clear_parts(_target(seen.item))
        summary = self.summarise(seen.item.path, seen.item.detector)
        seen = replace(seen, summary=summary)
        if error := decide.refusal(seen.item, summary):
            return self._quarantine(seen, error)
        try:
            return self._copy(seen, summary, run, rereads=rereads, progress=progress)
        except _QUARANTINED as error:
            return self._quarantine(seen, error)

    def _copy(
        self, seen: _Seen, summary: FileSummary, run: Run, *, rereads: bool, progress: Progress | None
    ) -> IngestedFile:
        name = decide.shown_name(seen.item.path)
        known = self._catalog.find_file(run.run_id, name)
        held = self._held(seen, known, rereads=rereads) if known else []
        made = self._copies.make(
            Path(seen.item.path),
            _target(seen.item),
            size_B=seen.state.size_B,
            held=held,
            expected=known.digests if known else None,
            n_held_by_drive=self._n_held_by_drive(run.run_id),
            progress=_named(progress, name),
        )
        for replica, aside in made.set_aside:
            self._keep(seen.item, replica, aside)
        self._check_unchanged(seen)
        taken = self._record(seen, summary, run, made=made)
        self._n_held.update(replica.drive for replica in made.replicas)
        return taken

    def _n_held_by_drive(self, run_id: str) -> Mapping[str, int]:
        """Return how many files of a run each drive has; asked once for the files of a run that come in a row."""
        if run_id != self._n_held_of:
            self._n_held_of, self._n_held = run_id, Counter(self._catalog.n_held_by_drive(run_id))
        return self._n_held

    def _held(self, seen: _Seen, known: FileRecord, *, rereads: bool) -> list[Replica]:
        """Compare a newcomer with the file of its name, and return that one's replicas as they were found to stand."""
        if error := decide.conflict(seen.item, known, self.digest(seen.item.path)):
            raise error
        replicas = self._catalog.replicas(known.file_id)
        there = [replica for replica in replicas if replica.state is not ReplicaState.REMOVED]
        looked_at = [replica for replica in there if rereads or replica.state is ReplicaState.VERIFIED]
        findings = self._copies.examine(looked_at, known, reads=rereads)
        for replica, finding in zip(looked_at, findings, strict=True):
            if finding.is_proven or finding.state is not replica.state:
                verified_ns = self._clock.now_ns() if finding.is_proven else None
                self._catalog.update_replica(replica.replica_id, state=finding.state, verified_ns=verified_ns)
        seen.problems.extend(finding.problem for finding in findings if finding.problem)
        return self._catalog.replicas(known.file_id)

    def _keep(self, item: Item, replica: Replica, aside: Path) -> None:
        """Enter where a damaged replica lies that gave its name to a new copy."""
        try:
            digests = self._raw_files.digest(aside)
        except (SourceUnreadable, SourceVanished):
            digests = Digests(0, "", "")
        self._catalog.add_quarantined(
            Quarantined(
                path=replica.path,
                reason=f"a damaged replica on {replica.drive} was set aside for a new copy",
                detector=item.detector,
                run_id=_run_id(item),
                size_B=digests.size_B,
                xxh3_128=digests.xxh3_128,
                adler32=digests.adler32,
                kept_at=escape_name(os.fspath(aside)),
            )
        )

    def _check_unchanged(self, seen: _Seen) -> None:
        after = self._look(seen.item).state
        if after != seen.state:
            raise _changed(seen.item, seen.state.size_B, after.size_B)

    def _record(self, seen: _Seen, summary: FileSummary, run: Run, *, made: Made) -> IngestedFile:
        item, digests, name = seen.item, made.digests, decide.shown_name(seen.item.path)
        record = FileRecord(
            run_id=run.run_id,
            detector=item.detector,
            name=name,
            format=summary.format,
            size_B=digests.size_B,
            xxh3_128=digests.xxh3_128,
            adler32=digests.adler32,
            n_events=summary.n_events,
            channels=tuple(summary.channels),
            record_length=summary.record_length,
            defects=tuple(defect.to_json() for defect in summary.defects),
        )
        activity = self._origin.activity(
            kind="ingest",
            inputs=(item.shown,),
            outputs=(f"file:{run.run_id}/{name}",),
            start_ns=seen.start_ns,
            stop_ns=self._clock.now_ns(),
        )
        entered = replace(run, settings=summary.settings)
        added = self._catalog.add_file(entered, record, replicas=made.replicas, activity=activity)
        if made.shortfall is None:
            self._remember(seen, SourceState.INGESTED)
        return IngestedFile(
            path=item.shown,
            run_id=run.run_id,
            outcome=Outcome.ALREADY_THERE if added.already_there else Outcome.INGESTED,
            summary=summary,
            digests=digests,
            replicas=added.replicas,
            error=made.shortfall,
            problems=tuple(seen.problems),
        )

    def _quarantine(self, seen: _Seen, error: NualleyError) -> IngestedFile:
        item, digests = seen.item, self.digest(seen.item.path)
        self._check_unchanged(seen)
        self._catalog.add_quarantined(
            Quarantined(
                path=item.shown,
                reason=error.what,
                detector=item.detector,
                run_id=_run_id(item),
                size_B=digests.size_B,
                xxh3_128=digests.xxh3_128,
                adler32=digests.adler32,
            )
        )
        self._remember(seen, SourceState.QUARANTINED)
        return IngestedFile(
            path=item.shown,
            run_id=_run_id(item),
            outcome=Outcome.QUARANTINED,
            summary=seen.summary,
            digests=digests,
            error=error,
            problems=tuple(seen.problems),
        )

    def _remember(self, seen: _Seen, state: SourceState) -> None:
        stamp = stamp_of(seen.state)
        self._catalog.put_source(
            Source(
                path=seen.item.shown,
                detector=seen.item.detector,
                run_id=_run_id(seen.item),
                state=state,
                size_B=stamp.size_B,
                mtime_ns=stamp.mtime_ns,
                inode=stamp.inode,
            )
        )


def stamp_of(state: FileState) -> Stamp:
    """Return what tells a file without reading it."""
    return make_stamp(state.size_B, state.mtime_ns, state.inode)


def _changed(item: Item, before_B: int, after_B: int) -> SourceChanged:
    return SourceChanged(
        f"{item.shown} changed while it was taken in: {before_B} B, now {after_B} B",
        where=item.shown,
        do="wait until nobody writes to it; it is tried again",
    )


def _run_id(item: Item) -> str | None:
    return None if item.number is None else make_run_id(item.detector, item.number)


def _target(item: Item) -> Target:
    if item.number is None:
        raise decide.no_number(item)
    return Target(item.detector, item.number, item.path.rpartition(os.sep)[2])


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    tell = progress
    return lambda done_B, all_B: tell(name, done_B, all_B)
