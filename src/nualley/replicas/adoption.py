"""Files that lie on a drive and that nobody entered become known where they lie; no byte of them is moved."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from nualley.catalog import (
    Activity,
    Catalog,
    FileAdded,
    FileConflict,
    FileRecord,
    Replica,
    ReplicaConflict,
    ReplicaState,
    Run,
)
from nualley.core import Clock, Digests, NualleyError, make_run_id, reason, unescape_name
from nualley.daq import FileSummary
from nualley.replicas.copying import Origin
from nualley.replicas.errors import TransferStopped
from nualley.replicas.pace import Pace
from nualley.replicas.working import Machine
from nualley.storage import FileState, SourceUnreadable, SourceVanished, read_back

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
    """A file that was read to its end, and how it stood before."""

    candidate: Candidate
    state: FileState
    digests: Digests


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
        for group in groups:
            pace.check_stop()
            known = self._catalog.find_file(group[0].run_id, group[0].name)
            dark = [candidate for candidate in group if not (known and self._is_known(candidate))]
            for candidate in group:
                if candidate not in dark:
                    pace.expect(-candidate.size_B)
                    yield Adopted(candidate=candidate, result=AdoptResult.KNOWN)
            yield from self._compare(dark, known, pace) if known else self._found(dark, pace)

    def _is_known(self, candidate: Candidate) -> bool:
        return self._catalog.replica_at(candidate.drive, candidate.path) is not None

    # ------------------------------------------------------------ the two cases
    def _compare(self, group: Sequence[Candidate], known: FileRecord, pace: Pace) -> Iterator[Adopted]:
        """Enter files with the bytes of the known one as its replicas."""
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
                yield from self._enter([read], known, start_ns)

    def _found(self, group: Sequence[Candidate], pace: Pace) -> Iterator[Adopted]:
        """Enter files of a name that the catalog does not have as one new file."""
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
            yield from self._enter(read, _record(read[0], summary), start_ns, summary)
            return

    # ------------------------------------------------------------ the steps
    def _read(self, candidate: Candidate, pace: Pace) -> _Read | Adopted:
        path, files = candidate.real_path, self._machine.files
        advance = pace.file(candidate.size_B)
        try:
            before = files.state(path)
            if before is None:
                return Adopted(candidate=candidate, result=AdoptResult.WRITTEN, detail="it is not there any more")
            with self._machine.turns.at({before.device}, pace.check_stop):
                digests = read_back(path, files=files, progress=advance)
        except SourceVanished:
            return Adopted(candidate=candidate, result=AdoptResult.WRITTEN, detail="it is not there any more")
        except SourceUnreadable as error:
            return Adopted(candidate=candidate, result=AdoptResult.FAILED, detail=error.what)
        except OSError as error:
            return Adopted(candidate=candidate, result=AdoptResult.FAILED, detail=reason(error))
        read = _Read(candidate, before, digests)
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

    def _enter(
        self, read: Sequence[_Read], record: FileRecord, start_ns: int, summary: FileSummary | None = None
    ) -> Iterator[Adopted]:
        """Enter files that still are what was read, in one transaction."""
        changed = [(each, self._changed(each)) for each in read]
        yield from (found for _, found in changed if found)
        same = [each.candidate for each, found in changed if not found]
        if not same:
            return
        try:
            added = self._add(same, record, start_ns, summary)
        except (FileConflict, ReplicaConflict) as error:  # somebody entered it meanwhile
            yield from (_refused(candidate, error.what) for candidate in same)
            return
        for number, candidate in enumerate(same):
            is_new = number == 0 and not added.already_there
            yield Adopted(candidate=candidate, result=AdoptResult.ADOPTED if is_new else AdoptResult.REPLICA)

    def _add(
        self, same: Sequence[Candidate], record: FileRecord, start_ns: int, summary: FileSummary | None
    ) -> FileAdded:
        now_ns = self._clock.now_ns()
        replicas = [
            Replica(drive=each.drive, path=each.path, state=ReplicaState.VERIFIED, verified_ns=now_ns) for each in same
        ]
        activity = Activity(
            kind="adopt",
            inputs=tuple(each.path for each in same),
            outputs=(f"file:{record.run_id}/{record.name}",),
            code=self._origin.code,
            configuration=self._origin.configuration,
            host=self._origin.host,
            start_ns=start_ns,
            stop_ns=now_ns,
        )
        run = self._run_of(same[0].detector, same[0].number)
        entered = run if summary is None else replace(run, settings=summary.settings)
        return self._catalog.add_file(entered, record, replicas=replicas, activity=activity)


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
    differs = "other bytes" if other.digests != read.digests else f"stage {other.candidate.stage}"
    return (
        f"{read.candidate.run_id}/{read.candidate.name} could be this one or {other.candidate.path}, which has "
        f"{differs}: name the right one by its path, and move the other away"
    )
