"""Sealing: a closed segment of the log becomes Parquet files and an entry of the index."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from nualley.archive.columns import table_from_log
from nualley.archive.commits import Commit
from nualley.archive.models import ConnectionRow, RowKind, SealedFile
from nualley.archive.ports import ColumnFiles, Index, LogReader
from nualley.archive.registry import Registry
from nualley.core import DAY_NS, format_time
from nualley.pv import ValueType

_log = structlog.get_logger(__name__)


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

    def seal(self, segment: int) -> list[SealedFile]:
        """Seal one closed segment.

        Parameters
        ----------
        segment : int
            Its number: the one after the last sealed.

        Returns
        -------
        list of SealedFile
            The files that took over its rows.
        """
        self._repair(segment)
        commits, _ = self._log.read(segment, is_writer=True)
        # the account is taken from what can be read, not from what was once written
        registry = Registry(self._index.load())
        for commit in commits:
            registry.fold(commit)
        state = registry.sealed(segment)
        files: list[SealedFile] = []
        connections: list[ConnectionRow] = []
        for is_quarantine in (False, True):
            for value_type, table in _tables(commits, registry.names, is_quarantine=is_quarantine):
                if not is_quarantine:
                    connections.extend(connection_rows(table))
                for day, part in _days(table):
                    folder = "quarantine" if is_quarantine else "day"
                    path = f"{folder}/{day}/{value_type}-{self._shard}-{segment:08d}.parquet"
                    files.append(self._files.write(path, part, value_type, is_quarantine=is_quarantine))
        self._index.seal(state, files, connections)
        self._log.remove(segment)
        return files

    def _repair(self, segment: int) -> None:
        found = self._log.repair(segment)
        if found.damaged_B:
            _log.error(
                "log damaged",
                segment=segment,
                damaged_B=found.damaged_B,
                do="samples are lost: the bytes are in the archive's quarantine folder; look at the drive",
            )
        if found.torn_B:
            _log.info("torn tail cut", segment=segment, torn_B=found.torn_B)

    def recover(self) -> Registry:
        """Repair and seal what an earlier process left, and return what the archive knows.

        Returns
        -------
        Registry
            Up to the last whole commit of the log.
        """
        sealed = self._index.load().segment
        for segment in self._log.segments():
            if segment <= sealed:  # killed between the transaction and the removal
                self._log.remove(segment)
            else:
                self.seal(segment)
        return Registry(self._index.load())


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
