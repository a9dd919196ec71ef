"""Files that lie on a drive and that nobody entered become known where they lie; no byte of them is moved."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from nualley.catalog import (
    Catalog,
    FileAdded,
    FileEntry,
    FileRecord,
    Origin,
    Replica,
    ReplicaState,
    Run,
)
from nualley.core import Clock, Digests, NualleyError, make_run_id, reason, unescape_name
from nualley.daq import FileSummary
from nualley.replicas.errors import TransferStopped
from nualley.replicas.pace import Pace
from nualley.replicas.working import Machine
from nualley.storage import FileState, SourceUnreadable, SourceVanished, read_back

_MOST_TOGETHER, _MOST_TOGETHER_B = 64, 256 * 2**20
"""Files and bytes [B] that wait for one commit, at most: those a kill costs once more, and others wait for its end."""

Summarise = Callable[["Candidate"], FileSummary | None]
"""Told a file that was read; returns what a reader finds in it, None where none is asked. What it raises leaves it."""


class AdoptResult(StrEnum):
    """What came of a file that was to become known."""

    ADOPTED = "adopted"
    REPLICA = "replica"
    KNOWN = "known"
    REFUSED = "refused"
    WRITTEN = "written"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A file that the catalog does not know, and what it is by the rules of ownership.

    Parameters
    ----------
    drive, path : str
        Where it lies; the path escaped.
    detector, stage : str
        Whose it is, and how far its bytes are from the detector.
    number : int
        Number of the run.
    size_B : int
        Size when it was found [B].
    """

    drive: str
    path: str
    detector: str
    stage: str
    number: int
    size_B: int

    @property
    def run_id(self) -> str:
        """The run that it belongs to."""
        return make_run_id(self.detector, self.number)

    @property
    def name(self) -> str:
        """Its name in the run, escaped."""
        return self.path.rpartition("/")[2]

    @property
    def real_path(self) -> Path:
        """Where it lies, as the file system has it."""
        return Path(unescape_name(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What came of a file.

    Parameters
    ----------
    candidate : Candidate
        The file.
    result : AdoptResult
        ``adopted``: a new file of the catalog; ``replica``: one more place of a known one; ``known``: somebody entered
        it since it was found; ``refused``: other bytes
        than the file of its name; ``written``: it changed, or is too new; ``failed``: it cannot be read or counted.
    detail : str
        Why, in words; empty where it became known.
    """

    candidate: Candidate
    result: AdoptResult
    detail: str = ""

    def to_json(self) -> dict[str, str | int]:
        """Return it as a JSON object."""
        file = self.candidate
        return {
            "drive": file.drive,
            "path": file.path,
            "run_id": file.run_id,
            "name": file.name,
            "stage": file.stage,
            "size_B": file.size_B,
            "result": str(self.result),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read to its end, how it stood before, and when that was done."""

    candidate: Candidate
    state: FileState
    digests: Digests
    proven_ns: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """Files with the same bytes and identity that are to be entered together."""

    read: Sequence[_Read]
    record: FileRecord
    start_ns: int
    summary: FileSummary | None = None


class Adopter:
    """Reads files where they lie, and enters them.

    Parameters
    ----------
    catalog : Catalog
        The record.
    machine : Machine
        File systems, and turns at devices.
    origin : Origin
        Who does it.
    clock : Clock
        Dates each proof.
    summarise : callable
        What a reader finds in a file: asked once for each file that is new to the catalog.
    run_of : callable
        Takes a detector and a number; returns the run as it is to be entered where the catalog has none.

    Notes
    -----
    Files with one identity (run and name) are looked at together. Where the catalog knows it, each is compared with it;
    where not, they all become one file if their bytes are the same, and none does if they differ: nobody could say
    which of them it is. Whoever can, names its path.

    Small files are entered many in one transaction, each looked at once more right before; those of one identity never
    in two. A kill costs the reading of those that waited.
    """

    def __init__(
        self,
        catalog: Catalog,
        machine: Machine,
        *,
        origin: Origin,
        clock: Clock,
        summarise: Summarise = lambda _: None,
        run_of: Callable[[str, int], Run],
    ) -> None:
        self._catalog = catalog
        self._machine = machine
        self._origin = origin
        self._clock = clock
        self._summarise = summarise
        self._run_of = run_of

    def plan(self, candidates: Iterable[Candidate]) -> Iterator[Adopted]:
        """Yield what would come of files as far as that can be said without reading them."""
        for group in _by_identity(candidates):
            known = self._catalog.find_file(group[0].run_id, group[0].name)
            for candidate in group:
                if known is not None and known.size_B != candidate.size_B:
                    yield _refused(candidate, _other_size(candidate, known))
                elif known is None and (other := _unlike(candidate, group)):
                    yield _refused(candidate, _ambiguous(candidate, other, other.size_B == candidate.size_B))
                else:
                    is_new = known is None and candidate is group[0]
                    yield Adopted(candidate=candidate, result=AdoptResult.ADOPTED if is_new else AdoptResult.REPLICA)

    def run(self, candidates: Iterable[Candidate], pace: Pace) -> Iterator[Adopted]:
        """Read files and enter them; yield each once it is durable in the catalog, or why it is not.

        Parameters
        ----------
        candidates : iterable of Candidate
            The files; none is believed to be as it was found.
        pace : Pace
            Told how far it is.

        Yields
        ------
        Adopted
            By run and name, then by drive and path.

        Raises
        ------
        TransferStopped
            Where somebody asked for a stop; what was yielded stays, and the next run goes on from there.
        NualleyError
            Where the catalog cannot be read or written.
        """
        groups = _by_identity(candidates)
        pace.expect(sum(candidate.size_B for group in groups for candidate in group))
        waiting: list[Adopted | _Entry] = []
        try:
            for group in groups:
                if _is_full(waiting, group):
                    yield from self._enter(waiting)
                    waiting = []
                waiting += self._look(group, pace)
        except TransferStopped:
            yield from self._enter(waiting)
            raise
        yield from self._enter(waiting)

    def _look(self, group: Sequence[Candidate], pace: Pace) -> list[Adopted | _Entry]:
        """Return what came of files with one identity, and what is to be entered of them."""
        pace.check_stop()
        known = self._catalog.find_file(group[0].run_id, group[0].name)
        dark = [candidate for candidate in group if not (known and self._is_known(candidate))]
        pace.expect(-sum(candidate.size_B for candidate in group if candidate not in dark))
        entered = [Adopted(candidate=each, result=AdoptResult.KNOWN) for each in group if each not in dark]
        return [*entered, *(self._compare(dark, known, pace) if known else self._found(dark, pace))]

    def _is_known(self, candidate: Candidate) -> bool:
        return self._catalog.replica_at(candidate.drive, candidate.path) is not None

    # ------------------------------------------------------------ the two cases
    def _compare(self, group: Sequence[Candidate], known: FileRecord, pace: Pace) -> Iterator[Adopted | _Entry]:
        """Find files with the bytes of the known one: its replicas."""
        for candidate in group:
            if candidate.size_B != known.size_B:
                pace.expect(-candidate.size_B)
                yield _refused(candidate, _other_size(candidate, known))
                continue
            start_ns = self._clock.now_ns()
            read = self._read(candidate, pace)
            if isinstance(read, Adopted):
                yield read
            elif read.digests != known.digests:
                yield _refused(candidate, _other_bytes(read, known))
            else:
                yield _Entry([read], known, start_ns)

    def _found(self, group: Sequence[Candidate], pace: Pace) -> Iterator[Adopted | _Entry]:
        """Make one new file of those of a name that the catalog does not have."""
        start_ns = self._clock.now_ns()
        results = [self._read(candidate, pace) for candidate in group]
        yield from (result for result in results if isinstance(result, Adopted))
        read = [result for result in results if isinstance(result, _Read)]
        if len({(each.digests, each.candidate.stage) for each in read}) > 1:
            yield from (_refused(each.candidate, _many(each, read)) for each in read)
            return
        while read:
            try:
                summary = self._summarise(read[0].candidate)
            except TransferStopped:
                raise
            except NualleyError as error:
                yield Adopted(candidate=read.pop(0).candidate, result=AdoptResult.FAILED, detail=error.what)
                continue
            yield _Entry(read, _record(read[0], summary), start_ns, summary)
            return

    # ------------------------------------------------------------ the steps
    def _read(self, candidate: Candidate, pace: Pace) -> _Read | Adopted:
        path, files = candidate.real_path, self._machine.files
        advance = pace.file(candidate.size_B)
        try:
            before = files.state(path)
            if before is None:
                return Adopted(candidate=candidate, result=AdoptResult.WRITTEN, detail="it is not there any more")
            with self._machine.turns.at({self._machine.trees.device(path)}, pace.check_stop):
                digests = read_back(path, files=files, progress=advance)
        except SourceVanished:
            return Adopted(candidate=candidate, result=AdoptResult.WRITTEN, detail="it is not there any more")
        except SourceUnreadable as error:
            return Adopted(candidate=candidate, result=AdoptResult.FAILED, detail=error.what)
        except OSError as error:
            return Adopted(candidate=candidate, result=AdoptResult.FAILED, detail=reason(error))
        read = _Read(candidate, before, digests, self._clock.now_ns())
        return self._changed(read) or read

    def _changed(self, read: _Read) -> Adopted | None:
        """Return what is said of a file that is another than was read; None where it is the same."""
        try:
            after = self._machine.files.state(read.candidate.real_path)
        except OSError:
            after = None
        if after == read.state and read.digests.size_B == read.state.size_B == read.candidate.size_B:
            return None
        now = "it is not there any more" if after is None else "it changed since it was found"
        return Adopted(candidate=read.candidate, result=AdoptResult.WRITTEN, detail=now)

    def _enter(self, waiting: Sequence[Adopted | _Entry]) -> Iterator[Adopted]:
        """Enter files that still are what was read, in one transaction; yield what came of all, in their order."""
        told: list[list[Adopted]] = []
        entries: list[tuple[int, Sequence[Candidate], FileEntry]] = []
        for each in waiting:
            if isinstance(each, Adopted):
                told.append([each])
                continue
            changed = [(read, self._changed(read)) for read in each.read]
            told.append([found for _, found in changed if found])
            if same := [read for read, found in changed if not found]:
                entries.append((len(told) - 1, [read.candidate for read in same], self._entry(same, each)))
        added = self._catalog.add_files([entry for _, _, entry in entries]) if entries else []
        for (place, candidates, _), came in zip(entries, added, strict=True):
            told[place] += _came(candidates, came)
        yield from (each for group in told for each in group)

    def _entry(self, same: Sequence[_Read], entry: _Entry) -> FileEntry:
        record, summary, first = entry.record, entry.summary, same[0].candidate
        activity = self._origin.activity(
            kind="adopt",
            inputs=tuple(each.candidate.path for each in same),
            outputs=(f"file:{record.run_id}/{record.name}",),
            start_ns=entry.start_ns,
            stop_ns=max(entry.start_ns, *(each.proven_ns for each in same)),
        )
        run = self._run_of(first.detector, first.number)
        entered = run if summary is None else replace(run, settings=summary.settings)
        return FileEntry(entered, record, tuple(_replica(each) for each in same), activity)


def _replica(read: _Read) -> Replica:
    place = read.candidate
    return Replica(drive=place.drive, path=place.path, state=ReplicaState.VERIFIED, verified_ns=read.proven_ns)


def _came(candidates: Sequence[Candidate], came: FileAdded | NualleyError) -> list[Adopted]:
    """Return what came of files; in conflict with them is what somebody entered meanwhile."""
    if not isinstance(came, FileAdded):
        return [_refused(candidate, came.what) for candidate in candidates]
    first = AdoptResult.REPLICA if came.already_there else AdoptResult.ADOPTED
    results = [first, *[AdoptResult.REPLICA] * (len(candidates) - 1)]
    return [Adopted(candidate=each, result=result) for each, result in zip(candidates, results, strict=True)]


def _is_full(waiting: Sequence[Adopted | _Entry], group: Sequence[Candidate]) -> bool:
    """Return whether what waits is to be entered before a group is read."""
    if not waiting:
        return False
    read_B = sum(each.digests.size_B for entry in waiting if isinstance(entry, _Entry) for each in entry.read)
    return len(waiting) >= _MOST_TOGETHER or read_B + sum(each.size_B for each in group) > _MOST_TOGETHER_B


def _by_identity(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Return files by what they are, whatever their order was, and each once."""
    groups: dict[tuple[str, int, str], list[Candidate]] = defaultdict(list)
    for candidate in sorted(set(candidates)):
        groups[candidate.detector, candidate.number, candidate.name].append(candidate)
    return [groups[key] for key in sorted(groups)]


def _record(read: _Read, summary: FileSummary | None) -> FileRecord:
    candidate, digests = read.candidate, read.digests
    return FileRecord(
        run_id=candidate.run_id,
        detector=candidate.detector,
        name=candidate.name,
        format=summary.format if summary else "unknown",
        size_B=digests.size_B,
        xxh3_128=digests.xxh3_128,
        adler32=digests.adler32,
        n_events=summary.n_events if summary else None,
        channels=tuple(summary.channels) if summary else (),
        record_length=summary.record_length if summary else None,
        defects=tuple(defect.to_json() for defect in summary.defects) if summary else (),
        stage=candidate.stage,
    )


# ---------------------------------------------------------------- in words
def _refused(candidate: Candidate, why: str) -> Adopted:
    return Adopted(candidate=candidate, result=AdoptResult.REFUSED, detail=why)


def _other_size(candidate: Candidate, known: FileRecord) -> str:
    return f"it has {candidate.size_B} B, {_told(known)} has {known.size_B} B"


def _other_bytes(read: _Read, known: FileRecord) -> str:
    return f"it holds xxh3_128 {read.digests.xxh3_128}, {_told(known)} holds {known.xxh3_128}"


def _told(known: FileRecord) -> str:
    return f"{known.run_id}/{known.name} of the catalog ({known.stage})"


def _many(read: _Read, group: Sequence[_Read]) -> str:
    """Return why one of several is not taken: which other one could be meant."""
    mine = (read.digests, read.candidate.stage)
    other = next(each for each in group if (each.digests, each.candidate.stage) != mine)
    return _ambiguous(read.candidate, other.candidate, other.digests == read.digests)


def _unlike(candidate: Candidate, group: Sequence[Candidate]) -> Candidate | None:
    mine = (candidate.size_B, candidate.stage)
    return next((each for each in group if (each.size_B, each.stage) != mine), None)


def _ambiguous(candidate: Candidate, other: Candidate, is_same: bool) -> str:
    """Return why one of two with one name is not taken; files of several stages are both right, and need two names."""
    is_staged = other.stage != candidate.stage
    is_of = [f"is of stage {other.stage}"] if is_staged else []
    differs = " and ".join(is_of if is_same else [*is_of, "has other bytes"])
    do = (
        "a name means one file of a run, in all stages: rename one of them, such as with its stage in the name"
        if is_staged
        else "name the right one by its path, and move the other away"
    )
    return f"{candidate.run_id}/{candidate.name} could be this one or {other.path}, which {differs}: {do}"
