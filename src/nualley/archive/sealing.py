"""Sealing: a closed segment of the log becomes Parquet files and an entry of the index."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.columns import table_from_log
from nualley.archive.commits import Commit
from nualley.archive.models import ConnectionRow, RowKind, SealedFile, SealedState
from nualley.archive.ports import ColumnFiles, Index, LogReader
from nualley.archive.registry import Registry
from nualley.core import DAY_NS, format_time
from nualley.pv import ValueType


class Sealer:
    """Turns closed segments into sealed files; crash-safe at every step.

    The files are written and synced first; one transaction of the index then takes over the segment; the log goes
    last. Killed in between, the next start does it again and gets the same names.

    Parameters
    ----------
    log : LogReader
        The shard's log.
    files : ColumnFiles
        Where rows go.
    index : Index
        Where they are entered.
    shard : str
        Name of the shard.
    """

    def __init__(self, log: LogReader, files: ColumnFiles, index: Index, shard: str) -> None:
        self._log = log
        self._files = files
        self._index = index
        self._shard = shard

    def seal(self, state: SealedState) -> list[SealedFile]:
        """Seal one segment.

        Parameters
        ----------
        state : SealedState
            What is known of every PV at the end of that segment.

        Returns
        -------
        list of SealedFile
            The files that took over its rows.
        """
        commits, _ = self._log.read(state.segment, is_writer=True)
        names = {record.code: record.name for record in state.records}
        files: list[SealedFile] = []
        connections: list[ConnectionRow] = []
        for is_quarantine in (False, True):
            for value_type, table in _tables(commits, names, is_quarantine=is_quarantine):
                if not is_quarantine:
                    connections.extend(connection_rows(table))
                for day, part in _days(table):
                    folder = "quarantine" if is_quarantine else "day"
                    path = f"{folder}/{day}/{value_type}-{self._shard}-{state.segment:08d}.parquet"
                    files.append(self._files.write(path, part, value_type, is_quarantine=is_quarantine))
        self._index.seal(state, files, connections)
        self._log.remove(state.segment)
        return files

    def recover(self) -> Registry:
        """Repair and seal what an earlier process left, and return what the archive knows.

        Returns
        -------
        Registry
            Up to the last whole commit of the log.
        """
        state = self._index.load()
        registry = Registry(state)
        for segment in self._log.segments():
            if segment <= state.segment:  # killed between the transaction and the removal
                self._log.remove(segment)
                continue
            self._log.repair(segment)
            for commit in self._log.read(segment, is_writer=True)[0]:
                registry.fold(commit)
            self.seal(registry.sealed(segment))
        return registry


def connection_rows(table: pa.Table) -> list[ConnectionRow]:
    """Return the rows of a table that are no samples."""
    rows = table.filter(pc.not_equal(table["kind"].cast(pa.string()), "sample"))
    return [
        ConnectionRow(
            pv=row["pv"],
            time_ns=row["time_ns"],
            kind=RowKind[row["kind"].upper()],
            last_heard_ns=row["last_heard_ns"] or 0,
            seq=row["seq"],
            protocol=row["protocol"],
        )
        for row in rows.drop_columns(["value"]).to_pylist()
    ]


def _tables(
    commits: list[Commit], names: Mapping[int, str], *, is_quarantine: bool
) -> Iterator[tuple[ValueType, pa.Table]]:
    batches: dict[ValueType, list[pa.RecordBatch]] = {}
    for commit in commits:
        for value_type, batch in (commit.quarantined if is_quarantine else commit.rows).items():
            batches.setdefault(value_type, []).append(batch)
    for value_type, found in batches.items():
        table = table_from_log(found, names, value_type, is_quarantine=is_quarantine)
        # sort by the PV's name, not by its place in the dictionary
        order = pc.sort_indices(
            pa.table({"pv": table["pv"].cast(pa.string()), "time_ns": table["time_ns"], "seq": table["seq"]}),
            sort_keys=[("pv", "ascending"), ("time_ns", "ascending"), ("seq", "ascending")],
        )
        yield value_type, table.take(order)


def _days(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    days = table["time_ns"].to_numpy() // DAY_NS
    for day in np.unique(days):
        yield format_time(int(day) * DAY_NS, digits=0)[:10], table.filter(pa.array(days == day))
