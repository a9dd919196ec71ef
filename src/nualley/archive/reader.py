"""Reading: last values, raw ranges and the account of samples, beside a running archive or without one."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.columns import file_schema, table_from_log
from nualley.archive.commits import Commit
from nualley.archive.errors import ArchiveBusyError, PvNotArchivedError, SealedFileDamagedError
from nualley.archive.models import Account, ConnectionRow, LastValue, Ledger, Loss, Mark, PvRecord, RowGroup, RowKind
from nualley.archive.ports import ColumnFiles, Index, LogReader
from nualley.archive.registry import Registry
from nualley.archive.replay import Replay
from nualley.archive.sealing import connection_rows
from nualley.core import Clock, nearest
from nualley.pv import ValueType

_TRIES = 20
_MAX_CHUNKS = 64
_NUMBERS = frozenset({ValueType.FLOAT64, ValueType.INT64, ValueType.ENUM})


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
    """

    def __init__(self, index: Index, log: LogReader, files: ColumnFiles, clock: Clock) -> None:
        self._index = index
        self._log = log
        self._files = files
        self._clock = clock
        self._tail = _LogTail(Registry(), segment=-2, has_log=False)

    # -------------------------------------------------------------- what is known
    def registry(self) -> Registry:
        """Return what is known of every PV up to the last synced commit."""
        return self._refresh().registry

    def account(self) -> Account:
        """Return how far the archive is synced."""
        return self._refresh().registry.account

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
        return _record(self._refresh().registry, pv)

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
        registry = self._refresh().registry
        names = pvs or sorted(registry.by_name)
        now_ns = self._clock.now_ns()
        return [registry.last_value(_record(registry, name), now_ns) for name in names]

    def ledger(self) -> Ledger:
        """Return the account of all samples."""
        return self._refresh().registry.ledger

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the PV's last value is known to have held [ns since 1970 UTC]."""
        registry = self._refresh().registry
        return registry.last_heard_ns(_record(registry, pv))

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
        for _ in range(_TRIES):
            tail = self._refresh()
            record = _record(tail.registry, pv)
            try:
                tables = self._tables(tail, record, start_ns, stop_ns)
            except FileNotFoundError:  # sealed or replaced meanwhile: look again
                self._check_missing(pv, start_ns, stop_ns)
                continue
            table = _cut(_union(tables, record.value_type or ValueType.FLOAT64), start_ns, stop_ns)
            # what happened between the sample that comes first and the start: it may not hold any more
            since_ns = table["time_ns"][0].as_py() if table.num_rows else start_ns
            earlier = [row for row in self.connections(pv, start_ns, start_ns) if since_ns <= row.time_ns < start_ns]
            return _add_connections(table, earlier)
        raise _busy(pv)

    def history(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        """Read a stretch together with the connection rows outside of it that tell what is known inside.

        These are the last one before ``start_ns`` and the first one from ``stop_ns`` on. See `read` for the columns;
        the value of a connection row is null.
        """
        table = self.read(pv, start_ns, stop_ns)
        around = [row for row in self.connections(pv, start_ns, stop_ns) if not start_ns <= row.time_ns < stop_ns]
        return _add_connections(table, around)

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> list[ConnectionRow]:
        """Return a PV's connection rows in ``[start_ns, stop_ns)``, the last before and the first behind, by time."""
        for _ in range(_TRIES):
            tail = self._refresh()
            record = _record(tail.registry, pv)
            sealed = self._index.connections(pv, start_ns, stop_ns) if tail.segment >= 0 else []
            recent = [row for table in tail.tables(record).values() for row in connection_rows(table)]
            if not self._is_sealed_beyond(tail):
                rows = sorted([*sealed, *recent], key=lambda row: (row.time_ns, row.seq, row.kind))
                before = [row for row in rows if row.time_ns < start_ns]
                behind = [row for row in rows if row.time_ns >= stop_ns]
                return [*before[-1:], *(row for row in rows if start_ns <= row.time_ns < stop_ns), *behind[:1]]
        raise _busy(pv)

    def losses(self) -> list[Loss]:
        """Return commits that were acknowledged and cannot be read any more, by time.

        Each is also a gap row of every PV that was connected, and the samples are missing from the account.
        """
        return [*self._index.losses(), *self.new_losses()]

    def new_losses(self) -> list[Loss]:
        """Return those losses that the archive has not taken into its index yet."""
        return list(self._refresh().losses)

    def _check_missing(self, pv: str, start_ns: int, stop_ns: int) -> None:
        tail = self._refresh()
        missing = self._files.missing(self._groups(tail, pv, start_ns, stop_ns))
        if missing and not self._is_sealed_beyond(tail):
            raise SealedFileDamagedError(
                "a sealed file is missing",
                where=missing[0],
                do="put a backup of this one file back; its sha256 is in the archive's index",
            )

    def _groups(self, tail: "_LogTail", pv: str, start_ns: int, stop_ns: int) -> list[RowGroup]:
        if tail.segment < 0:
            return []
        groups = self._index.row_groups(pv, start_ns, stop_ns)
        before = self._index.sample_before(pv, start_ns)
        return [before, *groups] if before and before not in groups else groups

    def _tables(
        self, tail: "_LogTail", record: PvRecord, start_ns: int, stop_ns: int
    ) -> dict[ValueType, list[pa.Table]]:
        found: dict[ValueType, list[pa.Table]] = {}
        recent = tail.tables(record)
        groups = self._groups(tail, record.name, start_ns, stop_ns)
        if self._is_sealed_beyond(tail):
            raise FileNotFoundError
        for group, table in zip(groups, self._files.read(groups), strict=True):
            found.setdefault(group.value_type, []).append(table)
        for value_type, table in recent.items():
            found.setdefault(value_type, []).append(table)
        return found

    def _is_sealed_beyond(self, tail: "_LogTail") -> bool:
        return self._index.last_sealed() != tail.segment

    def _refresh(self) -> "_LogTail":
        for _ in range(_TRIES):
            if self._is_sealed_beyond(self._tail):
                state = self._index.load()
                self._tail = _LogTail(Registry(state), state.segment, has_log=state.has_log)
            mark = self._log.mark()
            try:
                if mark:
                    self._tail.follow(self._log, mark)
            except FileNotFoundError:  # sealed while we looked
                continue
            if not self._is_sealed_beyond(self._tail):
                if mark:
                    self._tail.finish(mark)
                elif self._tail.has_log:  # the mark is as old as the log: with it, the log is gone
                    self._tail.lose_rest(self._clock.now_ns())
                return self._tail
        raise _busy("")


class _LogTail:
    """The commits that are not sealed yet, as far as they were read."""

    def __init__(self, registry: Registry, segment: int, *, has_log: bool) -> None:
        self.registry = registry
        self.segment = segment
        self.has_log = has_log
        self._replay = Replay(registry)
        self._offsets_B: dict[int, int] = {}
        self._batches: dict[ValueType, list[pa.RecordBatch]] = {}

    @property
    def losses(self) -> list[Loss]:
        """What is missing among them."""
        return self._replay.losses

    def follow(self, log: LogReader, mark: Mark) -> None:
        """Take in what was synced since the last look."""
        for segment in log.segments():
            if self.segment < segment <= mark.segment:
                stop_B = mark.offset_B if segment == mark.segment else None
                commits, self._offsets_B[segment] = log.read(segment, self._offsets_B.get(segment, 0), stop_B)
                for commit in commits:
                    self._keep(self._replay.take(commit))

    def finish(self, mark: Mark) -> None:
        """Say what was acknowledged by now; what is not there is lost."""
        self._keep(self._replay.finish(mark.account))

    def lose_rest(self, now_ns: int) -> None:
        """Say that there is no log at all."""
        self._keep(self._replay.lose_rest(now_ns))

    def _keep(self, commits: Iterable[Commit]) -> None:
        for value_type, batch in [found for commit in commits for found in commit.rows.items()]:
            batches = self._batches.setdefault(value_type, [])
            batches.append(batch)
            if len(batches) > _MAX_CHUNKS:
                self._batches[value_type] = pa.Table.from_batches(batches).combine_chunks().to_batches()

    def tables(self, record: PvRecord) -> dict[ValueType, pa.Table]:
        """Return the rows of one PV, by type."""
        found = {}
        for value_type, batches in self._batches.items():
            rows = [batch for batch in (batch.filter(pc.equal(batch["pv"], record.code)) for batch in batches) if batch]
            if rows:
                found[value_type] = table_from_log(rows, {record.code: record.name}, value_type)
        return found


def _record(registry: Registry, pv: str) -> PvRecord:
    try:
        return registry.by_name[pv]
    except KeyError:
        near = nearest(pv, registry.by_name)
        raise PvNotArchivedError(
            f"{pv!r} is not archived",
            where=pv,
            do=f"did you mean {near!r}?" if near else "nualley archive pvs lists all",
        ) from None


def _busy(pv: str) -> ArchiveBusyError:
    return ArchiveBusyError(
        f"the archive was sealed {_TRIES} times while it was read", where=pv, do="try again; is rotate_s set too short?"
    )


def _union(tables: dict[ValueType, list[pa.Table]], value_type: ValueType) -> pa.Table:
    if not tables:
        return file_schema(value_type).empty_table()
    if len(tables) == 1:
        ((found, parts),) = tables.items()
        return pa.concat_tables([part.cast(file_schema(found)) for part in parts])
    common = ValueType.FLOAT64 if _NUMBERS.issuperset(tables) else ValueType.STRING
    return pa.concat_tables([_convert(part, common) for parts in tables.values() for part in parts])


def _convert(table: pa.Table, value_type: ValueType) -> pa.Table:
    schema = file_schema(value_type)
    column = table["value"]
    if pa.types.is_list(column.type):
        column = pa.chunked_array([pa.array([None if item is None else repr(item) for item in column.to_pylist()])])
    values = column.cast(schema.field("value").type)
    return table.set_column(table.schema.get_field_index("value"), "value", values).cast(schema)


def _cut(table: pa.Table, start_ns: int, stop_ns: int) -> pa.Table:
    if not table.num_rows:
        return table
    times_ns, seqs = table["time_ns"].to_numpy(), table["seq"].to_numpy()
    order = np.lexsort((seqs, times_ns))
    times_ns = times_ns[order]
    is_sample = table["kind"].cast(pa.string()).to_numpy() == "sample"
    inside = (times_ns >= start_ns) & (times_ns < stop_ns)
    before = np.flatnonzero((times_ns <= start_ns) & is_sample[order])
    if len(before):
        inside[before[-1]] = True
    return table.take(pa.array(order[inside]))


def _add_connections(table: pa.Table, rows: Sequence[ConnectionRow]) -> pa.Table:
    kinds = table["kind"].cast(pa.string()).to_pylist()
    known = set(zip(table["seq"].to_pylist(), kinds, strict=True))
    added = [row for row in rows if (row.seq, row.kind.name.lower()) not in known]
    if not added:
        return table
    joined = pa.concat_tables([table, _connection_table(added, table.schema)])
    return joined.sort_by([("time_ns", "ascending"), ("seq", "ascending")])


def _connection_table(rows: Iterable[ConnectionRow], schema: pa.Schema) -> pa.Table:
    found = [
        {
            "pv": row.pv,
            "time_ns": row.time_ns,
            "protocol": row.protocol,
            "received_ns": row.time_ns,
            "seq": row.seq,
            "kind": RowKind(row.kind).name.lower(),
            "last_heard_ns": row.last_heard_ns,
        }
        for row in rows
    ]
    columns = [pa.array([row.get(field.name) for row in found], type=_plain_type(field.type)) for field in schema]
    return pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)


def _plain_type(arrow_type: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(arrow_type) else arrow_type
