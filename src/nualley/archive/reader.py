"""Reading: last values, raw ranges, bins and the account of samples, beside a running archive or without one."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.bins import (
    assemble,
    bin_edges,
    check_numbers,
    check_stretch,
    choose_level,
    whole_edges,
    with_moved,
)
from nualley.archive.cell_reader import PvSource, last_before, read_cells, unknown_for
from nualley.archive.cells import distinct
from nualley.archive.columns import file_schema
from nualley.archive.directory import Snapshot
from nualley.archive.footing import Footing, read_footing
from nualley.archive.layouts import NUMBERS
from nualley.archive.models import ConnectionRow, Gap, LastValue, PvSummary, Rate, ValueAt
from nualley.archive.ports import ColumnFiles, Index, LogReader
from nualley.archive.progress import Account, Loss
from nualley.archive.pv_record import Ledger, PvRecord
from nualley.archive.records import all_records, last_value, names_of, newest_record, records_of, summarise
from nualley.archive.refused_reader import RefusedReader
from nualley.archive.registry import Registry
from nualley.archive.rot import RotReader
from nualley.archive.row_reader import gap_rows, read_rows, sample_types
from nualley.archive.rows import PIECE_ROWS, add_connections, common_type, convert, cut, relevant, union
from nualley.archive.sealed import TIERS, Level, RowGroup
from nualley.archive.sealing import connection_rows
from nualley.archive.silence import dark, gaps_of, open_end
from nualley.archive.tail import LogTail
from nualley.archive.trace_reader import TraceReader
from nualley.archive.view import TRIES, ArchiveView, busy
from nualley.core import SECOND_NS, Clock, Interval, IntervalSet
from nualley.pv import Metadata, ValueType

_RATE_S = 3600
MOST_ROWS = 1_000_000
"""More rows than this are read in pieces and joined."""

Names: TypeAlias = Callable[[], Mapping[str, Sequence[str]]]


class ArchiveReader:
    """A view of an archive that follows its writer; only what is synced is seen.

    Parameters
    ----------
    index : Index
        What is sealed.
    log : LogReader
        What is not yet sealed.
    files : ColumnFiles
        Sealed rows.
    clock : Clock
        Gives the age of values.
    names : callable
        The names under which the history of a PV stands, by time, for each that has several and any of them.
    """

    def __init__(self, index: Index, log: LogReader, files: ColumnFiles, clock: Clock, names: Names = dict) -> None:
        self._view = ArchiveView(index, log, files, clock)
        self._clock = clock
        self._names = names
        self.traces = TraceReader(self._view, self._records)
        self.refused = RefusedReader(self._view, self._records)
        self.rot = RotReader(self._view, self._names_of, self.pieces)

    # -------------------------------------------------------------- what is known
    def registry(self) -> Registry:
        """Return what is known of every PV up to the last synced commit."""
        return self._view.refresh().registry

    def account(self) -> Account:
        """Return how far the archive is synced."""
        return self._view.refresh().registry.account

    def has(self, pv: str) -> bool:
        """Say whether a PV is archived, under any of its names."""
        by_name = self.registry().by_name
        return any(name in by_name for name in self._names_of(pv))

    def record(self, pv: str) -> PvRecord:
        """Return what is known of one PV.

        Parameters
        ----------
        pv : str
            Its name.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know it.
        """
        return newest_record(self._records(self._view.refresh().registry, pv))

    def _names_of(self, pv: str) -> Sequence[str]:
        return names_of(pv, self._names(), self._view.registry.by_name)

    def _records(self, registry: Registry, pv: str) -> list[PvRecord]:
        """Return the records of a PV's names, the present one last; at least one."""
        return records_of(registry, pv, self._names())

    def last(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        """Return last values.

        Parameters
        ----------
        pvs : sequence of str
            Names; none means all.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know one.
        """
        registry = self._view.refresh().registry
        now_ns, others = self._clock.now_ns(), self._names()
        if pvs:
            return [last_value(registry, records_of(registry, name, others), now_ns) for name in pvs]
        return [last_value(registry, records, now_ns) for records in all_records(registry, others)]

    def summaries(self) -> list[PvSummary]:
        """Return the account of every PV over all of its names, by its present one."""
        registry = self._view.refresh().registry
        now_ns = self._clock.now_ns()
        return [summarise(registry, records, now_ns) for records in all_records(registry, self._names())]

    def ledger(self) -> Ledger:
        """Return the account of all samples."""
        return self._view.refresh().registry.ledger

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the PV's last value is known to have held [ns since 1970 UTC]."""
        registry = self._view.refresh().registry
        # under a name that nobody answered to yet nothing is known, and what was known before stays
        return max(registry.last_heard_ns(record) for record in self._records(registry, pv))

    def _known_until_ns(self, pv: str) -> int:
        """Return the same; of a PV that lives, whose next proof of life is on its way, behind now."""
        registry, now_ns = self._view.refresh().registry, self._clock.now_ns()
        alive_ns = self.alive_until_ns(pv)
        is_connected = self._records(registry, pv)[-1].is_connected
        end = open_end(is_connected=is_connected, alive_ns=alive_ns, now_ns=now_ns, is_running=True)
        return max(alive_ns, now_ns + 1) if is_connected and end.known_ns >= now_ns else alive_ns

    # -------------------------------------------------------------- rows
    def read(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        """Read a PV's rows of a stretch of time.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].

        Returns
        -------
        pyarrow.Table
            Columns pv, time_ns, value, severity, status, protocol, received_ns, seq, kind and last_heard_ns, by time.
            The last sample at or before ``start_ns`` comes first; a disconnect, gap or pause between it and the start
            says that it does not hold there. A PV that changed its type has
            its values as float64 where all are numbers, else as text.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know the PV.
        """
        if self.count_rows(pv, start_ns, stop_ns) <= MOST_ROWS:
            return self._read(pv, start_ns, stop_ns)[0]
        # what sorting and joining need beside the answer stays that of a piece
        return pa.concat_tables(self.pieces(pv, start_ns, stop_ns, MOST_ROWS // 2))

    def _read(self, pv: str, start_ns: int, stop_ns: int) -> tuple[pa.Table, list[ConnectionRow]]:
        """Read the rows of a stretch, and the connection rows around it as `connections` gives them."""
        for _ in range(TRIES):
            tail = self._view.refresh()
            records = self._records(tail.registry, pv)
            try:
                tables, lost = read_rows(self._view, tail, records, start_ns, stop_ns)
            except FileNotFoundError:  # sealed or replaced meanwhile: look again
                continue
            tables = relevant(tables, start_ns)
            table = cut(union(tables, newest_record(records).value_type or ValueType.FLOAT64), start_ns, stop_ns)
            # also what happened between the sample that comes first and the start: it may not hold any more
            since_ns = table["time_ns"][0].as_py() if table.num_rows else start_ns
            around = self.connections(pv, start_ns, stop_ns)
            links = [row for row in around if since_ns <= row.time_ns < stop_ns]
            gaps = gap_rows(pv, table, lost, around)
            around = sorted([*around, *gaps], key=lambda row: (row.time_ns, row.seq))
            return add_connections(table, [*links, *gaps]), around
        raise busy(pv)

    def bins(self, pv: str, start_ns: int, stop_ns: int, n_bins: int, *, is_exact: bool = False) -> pa.Table:
        """Return a stretch of a PV's history in pieces.

        Parameters
        ----------
        pv : str
            Its name; of numbers.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        n_bins : int
            How many pieces, 1 to `MOST_BINS`.
        is_exact : bool
            Whether the edges are those asked for: rows of a tier that they cut are then completed from what is finer.
            By default the edges move to the rows of the tier that is taken, half a row at most. An edge inside a minute
            of which the samples are gone, or cannot be read, moves to an end of that minute in any case: `moved_edges`
            tells of it.

        Returns
        -------
        pyarrow.Table
            One row a piece, exact for the edges in it; see `nualley.archive.bins.assemble` for the columns.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know the PV.
        NoNumbersError
            Where its values are no numbers, or the stretch or the number of bins is empty. Of a PV that changed its
            type, numbers are numbers, and text of that time is good in no bin: see `mixed_types`.
        """
        for _ in range(TRIES):
            tail = self._view.refresh()
            records = self._records(tail.registry, pv)
            check_stretch(pv, start_ns, stop_ns, n_bins)
            record = newest_record(records)
            if record.value_type is not None and record.value_type not in NUMBERS:
                # what it was then counts: looked for only where it is no number now
                check_numbers(record, sample_types(self._view, tail, records, start_ns, stop_ns))
            try:
                return self._bins(self._source(tail, records), pv, (start_ns, stop_ns), n_bins, is_exact=is_exact)
            except FileNotFoundError:
                continue
        raise busy(pv)

    def at(self, pvs: Sequence[str], time_ns: int) -> list[ValueAt]:
        """Return what PVs were at a moment.

        Parameters
        ----------
        pvs : sequence of str
            Names; none means all.
        time_ns : int
            The moment [ns since 1970 UTC].

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know one.
        """
        registry = self.registry()
        return [
            self._at(pv, newest_record(self._records(registry, pv)), time_ns) for pv in pvs or sorted(registry.by_name)
        ]

    def _at(self, pv: str, record: PvRecord, time_ns: int) -> ValueAt:
        table, around = self._read(pv, time_ns, time_ns + 1)
        samples = table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))
        if not samples.num_rows:
            return ValueAt(pv, None, None, None, None, is_known=False)
        last = samples.slice(samples.num_rows - 1).drop_columns(["pv"]).to_pylist()[0]
        is_known = time_ns < self._known_until_ns(pv) and not dark(around) & IntervalSet.of(time_ns, time_ns + 1)
        value = record.shown(last["value"])
        return ValueAt(pv, last["time_ns"], value, last["severity"], last["status"], is_known=is_known)

    def _bins(self, source: PvSource, pv: str, stretch: tuple[int, int], n_bins: int, *, is_exact: bool) -> pa.Table:
        n_rows = sum(self._view.sealed.count_rows(name, Level.RAW, *stretch) for name in self._names_of(pv))
        level = choose_level(*stretch, n_bins, n_rows)
        if level is Level.RAW and self.is_thinned(pv, stretch[0]):
            level = Level.MINUTE  # only cells tell of all of it
        snap_ns = 1 if is_exact else TIERS.get(level, 1)
        asked_ns = bin_edges(*stretch, n_bins, snap_ns)
        found, uncut = self._bins_between(source, pv, level, asked_ns)
        given_ns = whole_edges(asked_ns, uncut)
        if (given_ns == asked_ns).all():
            return found
        # of the cells that these edges cut not all samples are there: they stay whole
        found, _ = self._bins_between(replace(source, lost=[], uncut=[]), pv, level, distinct([given_ns]))
        return with_moved(found, asked_ns, given_ns)

    def _bins_between(
        self, source: PvSource, pv: str, level: Level, edges_ns: NDArray[np.int64]
    ) -> tuple[pa.Table, Sequence[tuple[int, int]]]:
        """Return bins between edges, and the cells that were cut and stayed whole."""
        start_ns, stop_ns = int(edges_ns[0]), int(edges_ns[-1])
        unknown = self._dark(pv, start_ns, stop_ns, self.connections(pv, start_ns, stop_ns))
        dark_ns = [edge for part in unknown for edge in (part.start_ns, part.stop_ns)]
        cuts_ns = distinct([edges_ns, np.array(dark_ns, dtype=np.int64)])
        cells = read_cells(source, level, _around(start_ns, stop_ns, level), cuts_ns)
        if source.lost and level is Level.RAW:  # cells may tell what a damaged file does not
            source, level = replace(source, lost=[], uncut=[]), Level.MINUTE
            cells = read_cells(source, level, _around(start_ns, stop_ns, level), cuts_ns)
        unknown |= unknown_for(source.lost, cells, stop_ns)
        # what a loss of the connection cuts stays whole as well: what it holds is told, and not for how long
        unknown |= IntervalSet(Interval(*part) for part in source.uncut) & IntervalSet.of(start_ns, stop_ns)
        cells = cells.only((cells.first_ns >= start_ns) & (cells.first_ns < stop_ns))
        return assemble(cells, edges_ns, last_before(source, level, start_ns), unknown), source.uncut

    def is_thinned(self, pv: str, start_ns: int) -> bool:
        """Say whether samples of a PV from ``start_ns`` on are no longer there: they were kept for a while only."""
        return any(self._is_thinned(name, start_ns) for name in self._names_of(pv))

    def _is_thinned(self, pv: str, start_ns: int) -> bool:
        cell_ns = self._view.sealed.first_ns(pv, Level.MINUTE) or self._view.sealed.first_ns(pv, Level.WAVE)
        if cell_ns is None:
            return False
        raw_ns = self._view.sealed.first_ns(pv, Level.RAW)
        return raw_ns is None or (start_ns < raw_ns and cell_ns + TIERS[Level.MINUTE] <= raw_ns)

    def _source(self, tail: LogTail, records: Sequence[PvRecord]) -> PvSource:
        sealed, pvs = self._view.sealed, [record.name for record in records]

        def groups(level: Level, start_ns: int, stop_ns: int) -> list[RowGroup]:
            return [group for pv in pvs for group in sealed.groups(pv, level, start_ns, stop_ns)]

        def before(level: Level, time_ns: int) -> RowGroup | None:
            return _latest(sealed.before(pv, level, time_ns) for pv in pvs)

        recent = [table for record in records for table in tail.tables(record).values()]
        return PvSource(groups=groups, before=before, read=self._view.rows, cells=self._view.cells, tail=recent)

    def _dark(self, pv: str, start_ns: int, stop_ns: int, around: Iterable[ConnectionRow]) -> IntervalSet:
        end = IntervalSet.of(min(self.alive_until_ns(pv), stop_ns), stop_ns)
        return (dark(around) | end) & IntervalSet.of(start_ns, stop_ns)

    def has_rows(self, pv: str, start_ns: int, stop_ns: int) -> bool:
        """Say whether a PV may have rows in ``[start_ns, stop_ns)``, from where its rows are."""
        tail = self._view.refresh()
        return any(
            self._view.sealed.groups(record.name, Level.RAW, start_ns, stop_ns) or tail.tables(record)
            for record in self._records(tail.registry, pv)
        )

    def pieces(self, pv: str, start_ns: int, stop_ns: int, most_rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
        """Read a long stretch in pieces that fit into memory.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        most_rows : int
            About how many rows a piece may have.

        Yields
        ------
        pyarrow.Table
            As `read`, at least one; only the first piece begins with the sample that holds at its start, and all have
            one type of values.
        """
        tail = self._view.refresh()
        records = self._records(tail.registry, pv)
        groups = [
            part for each in records for part in self._view.sealed.groups(each.name, Level.RAW, start_ns, stop_ns)
        ]
        recent = {value_type for record in records for value_type in tail.tables(record)}
        n_rows = self.count_rows(pv, start_ns, stop_ns)
        found = {group.value_type for group in groups} | recent or {
            newest_record(records).value_type or ValueType.FLOAT64
        }
        value_type = common_type(found)
        first_ns = min([group.start_ns for group in groups], default=start_ns)
        edges_ns = bin_edges(max(start_ns, min(first_ns, stop_ns - 1)), stop_ns, max(1, -(-n_rows // most_rows)))
        edges_ns[0] = start_ns
        for begin_ns, end_ns in itertools.pairwise(edges_ns.tolist()):
            # of several samples at its start, reading gives the last one: the others would be in no piece
            table = self._read(pv, begin_ns - (begin_ns > start_ns), end_ns)[0]
            if begin_ns > start_ns:
                table = table.filter(pc.greater_equal(table["time_ns"], begin_ns))
            yield table if table.schema == file_schema(value_type) else convert(table, value_type)

    def mixed_types(self, pv: str, start_ns: int, stop_ns: int) -> list[ValueType]:
        """Return what a PV's samples of ``[start_ns, stop_ns)`` are, where not all are numbers and some are.

        Of files, the types are those of all that reach into the stretch.
        """
        tail = self._view.refresh()
        found = sample_types(self._view, tail, self._records(tail.registry, pv), start_ns, stop_ns)
        return [] if NUMBERS.isdisjoint(found) or NUMBERS.issuperset(found) else sorted(found)

    def count_rows(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many rows a PV has in ``[start_ns, stop_ns)``, from where its rows are."""
        tail = self._view.refresh()
        records = self._records(tail.registry, pv)
        n_rows = sum(self._view.sealed.count_rows(each.name, Level.RAW, start_ns, stop_ns) for each in records)
        for table in [table for record in records for table in tail.tables(record).values()]:
            times_ns = table["time_ns"].to_numpy()
            n_rows += int(((times_ns >= start_ns) & (times_ns < stop_ns)).sum())
        return n_rows

    def first_ns(self, pv: str) -> int:
        """Return the time of a PV's first row [ns since 1970 UTC]; now where there is none."""
        tail = self._view.refresh()
        times_ns = []
        for record in self._records(tail.registry, pv):
            groups = self._view.sealed.groups(record.name, Level.RAW, -(2**62), 2**62)
            times_ns += [group.start_ns for group in groups]
            times_ns += [pc.min(table["time_ns"]).as_py() for table in tail.tables(record).values()]
        return min(times_ns, default=self._clock.now_ns())

    def rate(self, pv: str) -> Rate:
        """Return how many samples of a PV are stored a second, over the part of the last hour that it was archived."""
        now_ns = self._clock.now_ns()
        start_ns = min(max(now_ns - _RATE_S * SECOND_NS, self.first_ns(pv)), now_ns)
        links = [row for row in self.connections(pv, start_ns, now_ns + 1) if start_ns <= row.time_ns <= now_ns]
        over_s = max((now_ns - start_ns) / SECOND_NS - self.unknown(pv, start_ns, now_ns).duration_s, 0.0)
        n_samples = max(self.count_rows(pv, start_ns, now_ns + 1) - len(links), 0)
        # of less than a second nothing can be said
        return Rate(n_samples / max(over_s, 1.0), over_s)

    def gaps(self, pv: str, start_ns: int, stop_ns: int, *, is_running: bool = True) -> list[Gap]:
        """Return when nothing was known of a PV in ``[start_ns, stop_ns)``, and why, by time.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            Half-open stretch [ns since 1970 UTC].
        is_running : bool
            Whether the archive runs: then a connected PV whose next proof of life is on its way has no gap.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know it.
        """
        registry = self._view.refresh().registry
        record = self._records(registry, pv)[-1]
        end = open_end(
            is_connected=record.is_connected,
            alive_ns=registry.last_heard_ns(record),
            now_ns=self._clock.now_ns(),
            is_running=is_running,
        )
        links = self.connections(pv, start_ns, stop_ns)
        if not (links or record.has_connected or record.last):
            return [Gap(start_ns, stop_ns, "never-connected", None)]
        return gaps_of(links, Interval(start_ns, max(start_ns, stop_ns)), end)

    def unknown(self, pv: str, start_ns: int, stop_ns: int) -> IntervalSet:
        """Return when nothing was known of a PV in ``[start_ns, stop_ns)``; see `gaps`."""
        return IntervalSet(Interval(gap.start_ns, gap.stop_ns) for gap in self.gaps(pv, start_ns, stop_ns))

    def began_ns(self) -> int:
        """Return the time of the first row of all PVs that were ever connected [ns since 1970 UTC]; now without any."""
        names = [record.name for record in self.registry().by_code.values() if record.has_connected]
        return min((self.first_ns(name) for name in names), default=self._clock.now_ns())

    def sealed_B(self) -> dict[str, float]:
        """Return the bytes of each PV's samples in sealed files: of a file's bytes, its share by rows [B]."""
        self._view.refresh()
        return self._view.sealed.bytes_by_pv(Level.RAW)

    def metadata(self, pv: str) -> list[Metadata]:
        """Return what a PV's numbers meant: unit, precision, limits, labels, type; an entry for each change, by time.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know it.
        """
        for _ in range(TRIES):
            tail = self._view.refresh()
            records = self._records(tail.registry, pv)
            learned = [entry for each in records for entry in self._view.index.metadata(each.name)]
            learned += [entry for each in records for entry in tail.metadata(each.name)]
            if not self._view.is_outdated():
                break
        else:
            raise busy(pv)
        found: list[Metadata] = []
        for entry in sorted(learned, key=lambda entry: entry.time_ns):
            if not found or not entry.says_same(found[-1]):
                found.append(entry)
        return found

    def history(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        """Read a stretch together with the connection rows outside of it that tell what is known inside.

        These are the last one before ``start_ns`` and the first one from ``stop_ns`` on. See `read` for the columns;
        the value of a connection row is null.
        """
        table, links = self._read(pv, start_ns, stop_ns)
        return add_connections(table, [row for row in links if not start_ns <= row.time_ns < stop_ns])

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> Footing | None:
        """Return how many samples a PV has in each hour of a stretch; None where that is not known from its cells."""
        for _ in range(TRIES):
            tail = self._view.refresh()
            try:
                return read_footing(self._view, tail, self._records(tail.registry, pv), start_ns, stop_ns)
            except FileNotFoundError:
                continue
        raise busy(pv)

    def complete_since_ns(self, pv: str) -> int | None:
        """Return the time of the first sample of a PV of which older ones are gone; None where all are there."""
        self._view.refresh()
        names = self._names_of(pv)
        cells_ns, raws_ns = (
            [time_ns for name in names if (time_ns := self._view.sealed.first_ns(name, level)) is not None]
            for level in (Level.MINUTE, Level.RAW)
        )
        raw_ns = min(raws_ns, default=2**62)
        return raw_ns if cells_ns and min(cells_ns) + TIERS[Level.MINUTE] <= raw_ns else None

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> list[ConnectionRow]:
        """Return a PV's connection rows in ``[start_ns, stop_ns)``, the last before and the first behind, by time."""
        for _ in range(TRIES):
            tail = self._view.refresh()
            records = self._records(tail.registry, pv)
            sealed = [row for each in records for row in self._view.index.connections(each.name, start_ns, stop_ns)]
            tables = [table for record in records for table in tail.tables(record).values()]
            recent = [row for table in tables for row in connection_rows(table)]
            if not self._view.is_outdated():
                rows = sorted([*sealed, *recent], key=lambda row: (row.time_ns, row.seq, row.kind))
                before = [row for row in rows if row.time_ns < start_ns]
                behind = [row for row in rows if row.time_ns >= stop_ns]
                return [*before[-1:], *(row for row in rows if start_ns <= row.time_ns < stop_ns), *behind[:1]]
        raise busy(pv)

    def losses(self) -> list[Loss]:
        """Return commits that were acknowledged and cannot be read any more, by time.

        Each is also a gap row of every PV that was connected, and the samples are missing from the account.
        """
        return [*self._view.index.losses(), *self.new_losses()]

    def new_losses(self) -> list[Loss]:
        """Return those losses that the archive has not taken into its index yet."""
        return list(self._view.refresh().losses)

    def damages(self) -> list[str]:
        """Return what was found damaged or missing among the sealed files so far; the rest was read without them."""
        return self._view.damages

    def snapshot(self) -> Snapshot:
        """Return the files that are sealed now."""
        self._view.refresh()
        return self._view.sealed


def _around(start_ns: int, stop_ns: int, level: Level) -> tuple[int, int]:
    width_ns = TIERS.get(level, 1)
    return start_ns // width_ns * width_ns, -(-stop_ns // width_ns) * width_ns


def _latest(groups: Iterable[RowGroup | None]) -> RowGroup | None:
    return max((group for group in groups if group), key=lambda group: group.stop_ns, default=None)
