"""Compaction: the files of a day become one, those of a month another; what is kept for a while only goes.

Crash-safe at every step: the new files are durable and in the manifest first, one transaction of the index puts them in
the place of the old ones, and these are deleted last. Killed in between, the next run begins that period again, and
deletes what it finds replaced.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from nualley.archive.columns import file_schema
from nualley.archive.directory import DirectoryCache, Snapshot
from nualley.archive.errors import SealedFileDamagedError
from nualley.archive.merging import PeriodFiles, joined_cells
from nualley.archive.ports import ColumnFiles, Index, Manifest
from nualley.archive.rows import in_order
from nualley.archive.sealed import TIERS, Encoding, IndexedFile, Level, SealedFile
from nualley.archive.waves import NO_RULES, Rules, joined_minutes, wave_groups
from nualley.core import DAY_NS, HOUR_NS, Clock, format_time
from nualley.physics import TraceRule
from nualley.pv import ValueType

DAY_AGE_NS = HOUR_NS
"""So long after its end a day is merged: what comes late by less is in it [ns]."""

MONTH_AGE_NS = DAY_NS
"""So long after its end a month is merged [ns]."""

_log = structlog.get_logger(__name__)
_ALL_NS = (-(2**62), 2**62)
_CHUNK_ROWS = 2**20
_MERGED = (Level.RAW, *TIERS, Level.WAVE)
_DAY, _MONTH = len("2026-11-22"), len("2026-11")


@dataclass(frozen=True, slots=True)
class Job:
    """Files of one type and period that become fewer.

    Parameters
    ----------
    folder : str
        Where the rows go: ``day/2026-11-22`` or ``month/2026-11``.
    value_type : ValueType
        What their values are.
    files : tuple of IndexedFile
        Rows and cells that are replaced.
    is_expired : bool
        Whether all rows in them are older than they are to be kept: nothing takes their place.
    """

    folder: str
    value_type: ValueType
    files: tuple[IndexedFile, ...]
    is_expired: bool = False

    @property
    def size_B(self) -> int:
        """Bytes of the files that are replaced [B]."""
        return sum(file.size_B for file in self.files)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a job.

    Parameters
    ----------
    job : Job
        Which.
    n_files : int
        Files that took over.
    size_B : int
        Their bytes [B].
    damage : str
        Why nothing was done; empty where it was.
    """

    job: Job
    n_files: int
    size_B: int
    damage: str = ""


class Compactor:
    """Merges sealed files; one at a time for an archive.

    Parameters
    ----------
    files : ColumnFiles
        Sealed rows and cells.
    index : Index
        What is where.
    manifest : Manifest
        Where changes are written down.
    clock : Clock
        Says which periods are over.
    kept_ns : mapping of str to int
        How long rows of a PV are kept [ns]; those of a PV that is not in it are for ever. Cells and averages
        always are.
    rules : mapping of str to TraceRule
        How arrays of some PVs are averaged.
    """

    def __init__(
        self,
        files: ColumnFiles,
        index: Index,
        manifest: Manifest,
        clock: Clock,
        kept_ns: Mapping[str, int] | None = None,
        rules: Rules = NO_RULES,
    ) -> None:
        self._files, self._index, self._manifest, self._clock = files, index, manifest, clock
        self._kept_ns = kept_ns or {}
        self._rules = rules
        self._cache = DirectoryCache()

    def due(self, *, is_all: bool = False) -> list[Job]:
        """Return what there is to do, days before the months they are in.

        Parameters
        ----------
        is_all : bool
            Whether periods count that are not over yet.
        """
        now_ns = self._clock.now_ns()
        snapshot = self._index.snapshot(self._cache)
        expired = self._expired(snapshot, now_ns)
        gone = {file.file_id for job in expired for file in job.files}
        files = [file for file in snapshot.files if file.file_id not in gone]
        if is_all:  # straight to the month: a day merged before would be written twice
            return [*expired, *_month_jobs(files, "9999-12")]
        last_day, last_month = _day(now_ns - DAY_AGE_NS), _day(now_ns - MONTH_AGE_NS)[:_MONTH]
        months = _month_jobs(files, last_month)
        of_months = {file.file_id for job in months for file in job.files}
        days = _day_jobs([file for file in files if file.file_id not in of_months], last_day)
        merged = {file.file_id for job in (*days, *months) for file in job.files}
        return [*expired, *self._thinned(snapshot, merged | gone, now_ns), *days, *months]

    def _expired(self, snapshot: Snapshot, now_ns: int) -> list[Job]:
        """Return files in which every row is older than it is to be kept."""
        found = []
        for file in _raw(snapshot.files) if self._kept_ns else ():
            kept_ns = [self._kept_ns.get(pv) for pv in _pvs(snapshot, [file], Level.RAW, snapshot.name_of())]
            longest_ns = max((-1 if one is None else one for one in kept_ns), default=-1)
            if None not in kept_ns and 0 <= longest_ns < now_ns - file.stop_ns:
                found.append(Job(file.path.rpartition("/")[0], file.value_type, (file,), is_expired=True))
        return found

    def _thinned(self, snapshot: Snapshot, others: set[int], now_ns: int) -> list[Job]:
        """Return merged files in which all that there is of some PV is older than it is to be kept."""
        names = snapshot.name_of()
        due: set[tuple[str, ValueType]] = set()
        for file in _raw(snapshot.files) if self._kept_ns else ():
            if file.file_id in others or not _is_merged(file):
                continue
            for pv in _pvs(snapshot, [file], Level.RAW, names) & self._kept_ns.keys():
                groups = [group for group in snapshot.groups(pv, Level.RAW, *_ALL_NS) if group.path == file.path]
                if max(group.stop_ns for group in groups) < now_ns - self._kept_ns[pv]:
                    due.add((_period(file), file.value_type))
        return [
            Job(f"{'day' if len(period) == _DAY else 'month'}/{period}", value_type, tuple(files))
            for (period, value_type), files in sorted(_by_period(snapshot.files, _DAY).items())
            if (period, value_type) in due
        ]

    def run(self, job: Job) -> Compacted:
        """Do one job; a damaged file stays as it is, and its period with it.

        Raises
        ------
        ReplacedError
            Where another process replaced one of the files meanwhile; nothing was changed.
        """
        if job.is_expired:
            return self._replace(job, [], "kept no longer")
        snapshot = self._index.snapshot(self._cache)
        try:
            with PeriodFiles(self._files, job.folder, f"m{_number(snapshot)}", job.value_type) as period:
                self._merge(job, snapshot, period)
                files = period.finish()
        except SealedFileDamagedError as error:
            _log.error("not compacted", folder=job.folder, what=error.what, where=error.where)
            return Compacted(job, 0, 0, f"{error.where}: {error.what}")
        return self._replace(job, files, f"compacted to {job.folder}")

    def _replace(self, job: Job, files: Sequence[SealedFile], why: str) -> Compacted:
        self._manifest.note(files, job.files, why)
        self._index.replace(job.files, files)
        for file in job.files:
            self._files.remove(file.path)
        return Compacted(job, len(files), sum(file.size_B for file in files))

    def remove_replaced(self, replaced: Iterable[str]) -> int:
        """Delete files that were replaced and that a killed process left behind.

        Parameters
        ----------
        replaced : iterable of str
            Paths that the manifest says were replaced.
        """
        known = {file.path for file in self._index.snapshot(self._cache).files}
        gone = [path for path in replaced if path not in known]
        for path in gone:
            self._files.remove(path)
        return len(gone)

    def _merge(self, job: Job, snapshot: Snapshot, period: PeriodFiles) -> None:
        names = snapshot.name_of()
        files = {file.path for file in job.files}
        pvs_by_level = {level: _pvs(snapshot, job.files, level, names) for level in _MERGED}
        for pv in sorted(set().union(*pvs_by_level.values())):
            kept_ns = self._kept_ns.get(pv)
            if pv in pvs_by_level[Level.RAW]:
                rows = self._rows(snapshot, pv, files, job.value_type)
                if kept_ns is None and pv not in pvs_by_level[Level.WAVE]:
                    period.add(pv, rows)
                    continue
                since_ns = -(2**63) if kept_ns is None else self._clock.now_ns() - kept_ns
                period.add(pv, _since(rows, since_ns), with_cells=False)
            # cells and averages tell also of rows that are gone: they are not made of those that are left
            for level in TIERS:
                groups = [group for group in snapshot.groups(pv, level, *_ALL_NS) if group.path in files]
                if groups:
                    tables = [self._files.read(group) for group in groups]
                    period.add_cells(pv, level, joined_cells(tables, pv, level))
            self._merge_waves(snapshot, pv, files, period)

    def _merge_waves(self, snapshot: Snapshot, pv: str, files: set[str], period: PeriodFiles) -> None:
        groups = [group for group in snapshot.groups(pv, Level.WAVE, *_ALL_NS) if group.path in files]
        tables = (self._files.read(group) for group in groups)
        fraction = self._rules.get(pv, TraceRule()).veto_fraction
        period.add_waves(pv, wave_groups(joined_minutes(tables, fraction), pv))

    def _rows(self, snapshot: Snapshot, pv: str, files: set[str], value_type: ValueType) -> Iterator[pa.Table]:
        """Yield a PV's rows by time, in chunks that fit into memory; only what lies between each other is joined."""
        schema = file_schema(value_type)
        pending: list[pa.Table] = []
        n_rows, reached_ns = 0, -(2**63)
        for group in snapshot.groups(pv, Level.RAW, *_ALL_NS):
            if group.path not in files:
                continue
            if pending and n_rows >= _CHUNK_ROWS and group.start_ns > reached_ns:
                yield in_order(pa.concat_tables(pending))
                pending, n_rows = [], 0
            pending.append(self._files.read(group).cast(schema))
            n_rows += group.n_rows
            reached_ns = max(reached_ns, group.stop_ns)
        if pending:
            yield in_order(pa.concat_tables(pending))


def _raw(files: Iterable[IndexedFile]) -> list[IndexedFile]:
    return [file for file in files if file.level is Level.RAW]


def _is_merged(file: IndexedFile) -> bool:
    return file.path.rpartition("-")[2].startswith("m")


def _since(chunks: Iterable[pa.Table], time_ns: int) -> Iterator[pa.Table]:
    for rows in chunks:
        left = rows.filter(pc.greater_equal(rows["time_ns"], time_ns))
        if left.num_rows:
            yield left


def _pvs(snapshot: Snapshot, files: Sequence[IndexedFile], level: Level, names: Mapping[int, str]) -> set[str]:
    return {names[int(number)] for file in files if file.level is level for number in snapshot.pvs_of(file)}


def _number(snapshot: Snapshot) -> int:
    # above every file that there is: the name of a merged file is never given twice
    return 1 + max((file.file_id for file in snapshot.files), default=0)


def _day_jobs(files: Sequence[IndexedFile], last: str) -> list[Job]:
    found = _by_period([file for file in files if len(_period(file)) == _DAY], _DAY)
    return [
        Job(f"day/{day}", value_type, tuple(of_day))
        for (day, value_type), of_day in sorted(found.items())
        if day < last and _n_rows_files(of_day) > len(Encoding)
    ]


def _month_jobs(files: Sequence[IndexedFile], last: str) -> list[Job]:
    found = _by_period(files, _MONTH)
    return [
        Job(f"month/{month}", value_type, tuple(of_month))
        for (month, value_type), of_month in sorted(found.items())
        if month < last
        and (any(len(_period(file)) == _DAY for file in of_month) or _n_rows_files(of_month) > len(Encoding))
    ]


def _by_period(files: Sequence[IndexedFile], length: int) -> dict[tuple[str, ValueType], list[IndexedFile]]:
    found: dict[tuple[str, ValueType], list[IndexedFile]] = defaultdict(list)
    for file in files:
        if file.level is not Level.QUARANTINE:
            found[_period(file)[:length], file.value_type].append(file)
    return found


def _n_rows_files(files: Sequence[IndexedFile]) -> int:
    # the rows of a day may be gone, as files whole, before it is merged: its averages are merged all the same
    return max(sum(file.level is level for file in files) for level in (Level.RAW, Level.WAVE))


def _period(file: IndexedFile) -> str:
    """Return the day or month that a file's folder is named after."""
    return file.path.split("/")[-2]


def _day(time_ns: int) -> str:
    return format_time(time_ns, digits=0)[:_DAY]
