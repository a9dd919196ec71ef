"""The writer beside the log: imported samples become lasting files and an entry of the index."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.columns import KINDS, file_schema
from nualley.archive.decide import fingerprint
from nualley.archive.importing import (
    Bridged,
    ImportCounts,
    ImportedRows,
    LinkKind,
    Sifted,
    brackets,
    is_bracket,
    refusals,
    sift,
)
from nualley.archive.layouts import WAVES
from nualley.archive.merging import PeriodFiles
from nualley.archive.models import ConnectionRow, RowKind
from nualley.archive.names import NAME_FORM, is_valid_pv_name
from nualley.archive.ports import ColumnFiles, Index, Manifest
from nualley.archive.pv_record import LastSample, PvRecord
from nualley.archive.reader import ArchiveReader
from nualley.archive.rows import in_order
from nualley.archive.sealed import Level, SealedContents, SealedFile
from nualley.archive.sealing import write_days
from nualley.archive.waves import NO_RULES, Rules, sums_from_table, wave_groups, wave_table
from nualley.core import MINUTE_NS, SECOND_NS, Clock, UsageError, format_time
from nualley.pv import Metadata, PvProtocol, ValueType

SHARD = "import"
FUTURE_LIMIT_NS = 1800 * SECOND_NS
_MONTH = len("2026-11")
_FLUSH_ROWS = 4_000_000
_FLUSH_PVS = 2_000
_ALL_NS = (-(2**62), 2**62)
_NOTICED = (RowKind.DISCONNECT, RowKind.GAP)
"""Rows that stand where a silence was noticed, which began before."""


class Importer:
    """Takes in samples from elsewhere; only what `flush` returned from is stored.

    Parameters
    ----------
    files : ColumnFiles
        Where rows go.
    index : Index
        Where they are entered.
    manifest : Manifest
        Where files are written down.
    reader : ArchiveReader
        Tells what is stored already.
    clock : Clock
        Says when they are received.
    rules : mapping of str to TraceRule
        How arrays of some PVs are averaged.
    """

    def __init__(
        self,
        files: ColumnFiles,
        index: Index,
        manifest: Manifest,
        reader: ArchiveReader,
        *,
        clock: Clock,
        rules: Rules = NO_RULES,
    ) -> None:
        self._rules = rules
        self._files, self._index, self._manifest, self._reader, self._clock = files, index, manifest, reader, clock
        self.counts = ImportCounts()
        self._waiting: dict[str, list[ImportedRows]] = defaultdict(list)
        self._n_waiting = 0
        self._brackets: set[ConnectionRow] = set()  # of this import: where it goes on behind them, nothing is bridged

    def store(self, rows: ImportedRows) -> int:
        """Take samples of a PV; they are written when many wait.

        Parameters
        ----------
        rows : ImportedRows
            In any order, of any stretch; in pieces of some million at most.

        Returns
        -------
        int
            How many of them have a stamp that can be believed, stored already or not; the others will be kept aside.

        Raises
        ------
        UsageError
            Where the name cannot be that of a PV.
        """
        if not is_valid_pv_name(rows.pv):
            raise UsageError(f"{rows.pv!r} cannot be the name of a PV", where=rows.source, do=f"use {NAME_FORM}")
        if rows.pv not in self._waiting and len(self._waiting) >= _FLUSH_PVS:
            self.flush()
        self._waiting[rows.pv].append(rows)
        self._n_waiting += len(rows)
        n_believed = int((refusals(rows.time_ns, self._limit_ns()) == "").sum())
        if self._n_waiting >= _FLUSH_ROWS:
            self.flush()
        return n_believed

    def _limit_ns(self) -> int:
        return self._clock.now_ns() + FUTURE_LIMIT_NS

    def known_type(self, pv: str) -> ValueType | None:
        """Return what the archive has a PV's values as; None where it has none of it."""
        record = self._reader.registry().by_name.get(pv)
        return record.value_type if record else None

    def flush(self) -> ImportCounts:
        """Make what waits durable in one transaction, and return the account so far."""
        waiting, self._waiting, self._n_waiting = self._waiting, defaultdict(list), 0
        known = {record.name: record for record in self._index.load().imported}
        sifted: list[Sifted] = []
        for pv in sorted(waiting):
            sifted += [self._sift(rows) for rows in _joined(waiting[pv])]
        number = 1 + max((file.file_id for file in self._reader.snapshot().files), default=0)
        added, forgotten = self._links(sifted)
        files = [*self._write(sifted, number), *self._write_refused(sifted, number)]
        if files or sifted:
            self._manifest.note(files, (), "imported")
            records = _records(sifted, known, self._clock.now_ns())
            learned = tuple(record.metadata for record in records if record.metadata)
            contents = SealedContents(tuple(files), tuple(added), metadata=learned)
            self._index.take_in(records, contents, forgotten, shard=SHARD)
        for found in sifted:
            self.counts.received += len(found.stored) + len(found.refused) + found.n_filtered
            self.counts.stored += len(found.stored)
            self.counts.quarantined += len(found.refused)
            self.counts.by_reason.update(found.reasons)
            self.counts.filtered += found.n_filtered
            self.counts.pvs.add(found.stored.pv)
        return self.counts

    def _sift(self, rows: ImportedRows) -> Sifted:
        limit_ns = self._limit_ns()
        is_doubtful = refusals(rows.time_ns, limit_ns) != ""
        # what is stored has no stamps that are doubted: one of 1990 is no reason to read all
        good_ns, doubtful_ns = rows.time_ns[~is_doubtful], rows.time_ns[is_doubtful]
        stretch = (int(good_ns.min()), int(good_ns.max()) + 1) if good_ns.size else (0, 0)
        aside = self._aside(rows.pv, rows.value_type, doubtful_ns) if doubtful_ns.size else None
        rows = replace(rows, links=self._new_links(rows))
        return sift(rows, self._known(rows.pv, *stretch), limit_ns, aside)

    def _new_links(self, rows: ImportedRows) -> tuple[tuple[int, LinkKind], ...]:
        """Return what the source says of its connection and nobody said before, each once."""
        told = set()
        if rows.links and rows.pv in self._reader.registry().by_name:
            links = self._reader.connections(rows.pv, *_ALL_NS)
            # a bracket goes again when an import comes before it
            said = [link for link in links if not is_bracket(link)]
            told = {(link.time_ns, link.kind is RowKind.RECONNECT) for link in said}
            told |= {(link.last_heard_ns, False) for link in said if link.kind in _NOTICED}
        return tuple(link for link in dict.fromkeys(rows.links) if (link[0], link[1] == "reconnect") not in told)

    def _aside(self, pv: str, value_type: ValueType, times_ns: NDArray[np.int64]) -> pa.Table | None:
        if pv not in self._reader.registry().by_name:
            return None
        return self._reader.refused.at(pv, value_type, times_ns)

    def _known(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table | None:
        if pv not in self._reader.registry().by_name or not self._reader.has_rows(pv, start_ns, stop_ns):
            return None
        # of several samples at the start of a stretch, reading gives the last one alone
        table = self._reader.read(pv, start_ns - 1, stop_ns).select(["time_ns", "value", "severity", "kind"])
        return table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))

    def _links(self, sifted: Sequence[Sifted]) -> tuple[list[ConnectionRow], list[ConnectionRow]]:
        added: list[ConnectionRow] = []
        forgotten: list[ConnectionRow] = []
        known = self._reader.registry().by_name
        for pv, parts in groupby(sifted, lambda found: found.stored.pv):  # several where its type changed
            stored = [found.stored for found in parts]
            own = [row for rows in stored for row in _link_rows(rows)]
            own_ns = np.array([row.time_ns for row in own], dtype=np.int64)
            times_ns = np.sort(np.concatenate([*(rows.time_ns for rows in stored), own_ns]))
            links = self._reader.connections(pv, *_ALL_NS) if pv in known else []
            more, gone = brackets(pv, links, times_ns)
            bridges = [_bridge(row, times_ns) for row in gone if row not in self._brackets]
            self.counts.bridged += [part for part in bridges if part.start_ns < part.stop_ns]
            self._brackets.update(more)
            added += [*own, *more]
            forgotten += gone
        return added, forgotten

    def _write(self, sifted: Sequence[Sifted], number: int) -> list[SealedFile]:
        tables: dict[tuple[str, ValueType], list[tuple[str, pa.Table]]] = defaultdict(list)
        for found in sifted:
            for month, table in _months(_table(found.stored)):
                tables[month, found.stored.value_type].append((found.stored.pv, table))
        files: list[SealedFile] = []
        for (month, value_type), parts in sorted(tables.items()):
            with PeriodFiles(self._files, f"month/{month}", f"i{number}", value_type) as period:
                for pv, table in parts:
                    period.add(pv, [table])
                    if value_type in WAVES:
                        period.add_waves(pv, self._averages(pv, table))
                files += period.finish()
        return files

    def _averages(self, pv: str, table: pa.Table) -> Iterator[pa.Table]:
        """Average imported arrays by the minute.

        Of a minute of which more was averaged than is stored, samples went: what comes now may be the same again.
        """
        sums = sums_from_table(wave_table(table, self._rules))
        told, stored = Counter[int](), Counter[int]()
        if sums and pv in self._reader.registry().by_name:
            stretch = sums[0].start_ns, sums[-1].start_ns + MINUTE_NS
            for one in self._reader.traces.minutes(pv, *stretch):
                told[one.start_ns] += one.n_all
            known = self._known(pv, *stretch)
            if known is not None:
                stored.update((known["time_ns"].to_numpy() // MINUTE_NS * MINUTE_NS).tolist())
        new = [one for one in sums if told[one.start_ns] <= stored[one.start_ns]]
        return wave_groups([new], pv)

    def _write_refused(self, sifted: Sequence[Sifted], number: int) -> list[SealedFile]:
        files: list[SealedFile] = []
        by_type: dict[ValueType, list[pa.Table]] = defaultdict(list)
        for found in sifted:
            if len(found.refused):
                table = _refused_table(found.refused, self._clock.now_ns())
                by_type[found.refused.value_type].append(
                    table.append_column(pa.field("reason", pa.string(), nullable=False), pa.array(found.reasons))
                )
        for value_type, tables in by_type.items():
            table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
            name = f"{value_type}-{SHARD}-{number:08d}.parquet"
            files += write_days(self._files, table, Level.QUARANTINE, value_type, name)
        return files


def _joined(parts: Sequence[ImportedRows]) -> list[ImportedRows]:
    """Join what came of a PV in several pieces, type by type: duplicates between the pieces are seen then."""
    by_type: dict[ValueType, list[ImportedRows]] = defaultdict(list)
    for part in parts:
        by_type[part.value_type].append(part)
    return [
        found[0]
        if len(found) == 1
        else replace(
            found[0],
            time_ns=np.concatenate([part.time_ns for part in found]),
            value=pa.concat_arrays([part.value for part in found]),
            severity=np.concatenate([part.severity for part in found]),
            status=np.concatenate([part.status for part in found]),
            links=tuple(sorted({link for part in found for link in part.links})),
        )
        for found in by_type.values()
    ]


def _bridge(row: ConnectionRow, times_ns: NDArray[np.int64]) -> Bridged:
    """Return the time between a bracket of an earlier import, which goes, and the next row of this one."""
    at = int(np.searchsorted(times_ns, row.time_ns))
    if row.kind is RowKind.RECONNECT:
        return Bridged(row.pv, int(times_ns[at - 1]) + 1, row.time_ns)
    return Bridged(row.pv, row.time_ns, int(times_ns[at]))


def _link_rows(rows: ImportedRows) -> list[ConnectionRow]:
    return [
        ConnectionRow(rows.pv, time_ns, RowKind[kind.upper()], time_ns, 1 + number, PvProtocol.IMPORT)
        for number, (time_ns, kind) in enumerate(rows.links)
    ]


def _refused_table(rows: ImportedRows, received_ns: int) -> pa.Table:
    """Return samples to be kept aside: they are looked for by when they came, their stamps say nothing."""
    table = _table(replace(rows, links=()))
    column = pa.array(np.full(len(rows), received_ns, dtype=np.int64))
    return table.set_column(table.schema.get_field_index("received_ns"), table.schema.field("received_ns"), column)


def _table(rows: ImportedRows) -> pa.Table:
    links = _link_rows(rows)
    n, n_links = len(rows), len(links)
    schema = file_schema(rows.value_type)
    times_ns = np.concatenate([rows.time_ns, np.array([row.time_ns for row in links], dtype=np.int64)])
    kinds = pa.array([*np.zeros(n, dtype=np.int8).tolist(), *(int(row.kind) for row in links)], pa.int8())
    columns = {
        "pv": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n + n_links, dtype=np.int32)), pa.array([rows.pv])),
        "time_ns": pa.array(times_ns),
        "value": pa.concat_arrays([rows.value, pa.nulls(n_links, rows.value.type)]),
        "severity": _with_nulls(rows.severity, n_links),
        "status": _with_nulls(rows.status, n_links),
        "protocol": pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(n + n_links, dtype=np.int8)), pa.array([str(PvProtocol.IMPORT)])
        ),
        # nobody heard them live; when they were taken in is in the manifest
        "received_ns": pa.array(times_ns),
        "seq": pa.concat_arrays([pa.nulls(n, pa.int64()), pa.array([row.seq for row in links], pa.int64())]),
        "kind": pa.DictionaryArray.from_arrays(kinds, pa.array(KINDS)),
        "last_heard_ns": pa.concat_arrays(
            [pa.nulls(n, pa.int64()), pa.array([row.last_heard_ns for row in links], pa.int64())]
        ),
    }
    return in_order(pa.table([columns[name] for name in schema.names], schema=schema))


def _with_nulls(column: NDArray[Any], n_nulls: int) -> pa.Array:
    values = pa.array(column)
    return pa.concat_arrays([values, pa.nulls(n_nulls, values.type)])


def _months(table: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    if not table.num_rows:
        return
    times_ns = table["time_ns"].to_numpy()
    # a month's number, from the calendar: numpy knows leap years
    months = times_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    for month in np.unique(months):
        first, stop = np.searchsorted(months, [month, month + 1])
        yield format_time(int(times_ns[first]), digits=0)[:_MONTH], table.slice(int(first), int(stop - first))


def _records(sifted: Iterable[Sifted], known: dict[str, PvRecord], now_ns: int) -> list[PvRecord]:
    records = dict(known)
    changed = {}
    for found in sifted:
        rows = found.stored
        record = records.get(rows.pv) or PvRecord(len(records), rows.pv, protocol=PvProtocol.IMPORT)
        record.value_type, record.has_connected = rows.value_type, True
        record.n_stored += len(rows)
        record.n_quarantined += len(found.refused)
        record.filtered["known"] = record.filtered.get("known", 0) + found.n_filtered
        record.n_gaps += sum(kind == "disconnect" for _, kind in rows.links)
        if rows.unit or rows.precision is not None:
            record.metadata = Metadata(
                rows.pv, now_ns, rows.value_type, rows.unit, rows.precision, protocol=PvProtocol.IMPORT
            )
        regained_ns = [time_ns for time_ns, kind in rows.links if kind == "reconnect"]
        record.last_heard_ns = max(record.last_heard_ns, *(time_ns + 1 for time_ns in regained_ns), 0)
        if len(rows) and (record.last is None or int(rows.time_ns[-1]) > record.last.time_ns):
            record.last = _last(rows)
            record.last_heard_ns = max(record.last_heard_ns, record.last.time_ns + 1)
        records[rows.pv] = changed[rows.pv] = record
    return list(changed.values())


def _last(rows: ImportedRows) -> LastSample:
    value, severity, status = rows.value[-1].as_py(), int(rows.severity[-1]), int(rows.status[-1])
    return LastSample(int(rows.time_ns[-1]), 0, value, severity, status, fingerprint(value, severity, status))
