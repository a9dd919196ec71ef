"""Rows of a PV out of sealed files and the log's tail, and what to say where a file is damaged."""

from collections.abc import Sequence

import pyarrow as pa

from nualley.archive.models import ConnectionRow, RowKind
from nualley.archive.pv_record import PvRecord
from nualley.archive.rows import last_sample_ns, narrow
from nualley.archive.sealed import Level, RowGroup
from nualley.archive.tail import LogTail
from nualley.archive.view import ArchiveView
from nualley.pv import ValueType

_NEVER_NS = -(2**63)


def read_rows(
    view: ArchiveView, tail: LogTail, records: Sequence[PvRecord], start_ns: int, stop_ns: int
) -> tuple[dict[ValueType, list[pa.Table]], list[RowGroup]]:
    """Return the rows of a stretch and the last sample before it, by type, and the row groups that cannot be read.

    Parameters
    ----------
    view : ArchiveView
        The sealed files.
    tail : LogTail
        What is not sealed yet.
    records : sequence of PvRecord
        Of the PV's names.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC].

    Raises
    ------
    FileNotFoundError
        Where a file was replaced meanwhile.
    """
    found: dict[ValueType, list[pa.Table]] = {}
    lost: list[RowGroup] = []
    for record in records:
        held_ns = _NEVER_NS
        for group in _groups(view, record.name, start_ns, stop_ns):
            if group.stop_ns < start_ns and (group.last_sample_ns or 0) < held_ns:
                continue  # a file that reaches over the start has a newer sample
            table = view.rows(group)
            if table is None:
                lost.append(group)
            else:
                part = narrow(table, start_ns, stop_ns)
                held_ns = max(held_ns, last_sample_ns(part, start_ns))
                found.setdefault(group.value_type, []).append(part)
        for value_type, table in tail.tables(record).items():
            found.setdefault(value_type, []).append(table)
    return found, lost


def sample_types(
    view: ArchiveView, tail: LogTail, records: Sequence[PvRecord], start_ns: int, stop_ns: int
) -> frozenset[ValueType]:
    """Return what the samples of a stretch are: several types where the PV changed; from where its rows are."""
    sealed = {
        group.value_type
        for record in records
        for group in view.sealed.groups(record.name, Level.RAW, start_ns, stop_ns)
        if group.first_sample_ns is not None
    }
    return frozenset(
        sealed
        | {
            value_type
            for record in records
            for value_type, table in tail.tables(record).items()
            if start_ns <= last_sample_ns(table, stop_ns - 1)
        }
    )


def _groups(view: ArchiveView, name: str, start_ns: int, stop_ns: int) -> list[RowGroup]:
    """Return where a PV's rows of a stretch are; at the end, the row group before it that may be needed too."""
    before = view.sealed.before(name, Level.RAW, start_ns)
    return [*view.sealed.groups(name, Level.RAW, start_ns, stop_ns), *([before] if before else [])]


def gap_rows(pv: str, table: pa.Table, lost: Sequence[RowGroup], links: Sequence[ConnectionRow]) -> list[ConnectionRow]:
    """Say that a PV is unknown where its rows cannot be read: until its next sample, also when it came back before."""
    if not lost:
        return []
    times_ns = table["time_ns"].to_numpy()
    is_sample = table["kind"].cast(pa.string()).to_numpy() == "sample"
    rows = []
    for group in lost:
        rows.append(ConnectionRow(pv, group.start_ns, RowKind.GAP, group.start_ns, -1, ""))
        behind = times_ns[is_sample & (times_ns > group.stop_ns)]
        until_ns = int(behind[0]) if behind.size else 2**62
        # right behind each that came back meanwhile: by its number of receipt
        rows += [
            ConnectionRow(pv, row.time_ns, RowKind.GAP, row.time_ns, row.seq, "")
            for row in links
            if row.kind is RowKind.RECONNECT and group.start_ns <= row.time_ns < until_ns
        ]
        if behind.size:
            rows.append(ConnectionRow(pv, int(behind[0]), RowKind.RECONNECT, int(behind[0]), -1, ""))
    return rows
