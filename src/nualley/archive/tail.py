"""The part of the archive that is not sealed yet, as far as it was read."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.columns import table_from_log
from nualley.archive.commits import Commit
from nualley.archive.ports import LogReader
from nualley.archive.progress import Loss, Mark
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import Registry
from nualley.archive.replay import Replay
from nualley.pv import Metadata, ValueType

_MAX_CHUNKS = 64


class LogTail:
    """The commits that are not sealed yet, as far as they were read."""

    def __init__(self, registry: Registry, segment: int, *, has_log: bool) -> None:
        self.registry = registry
        self.segment = segment
        self.has_log = has_log
        self._replay = Replay(registry)
        self._offsets_B: dict[int, int] = {}
        self._batches: dict[ValueType, list[pa.RecordBatch]] = {}
        self._refused: dict[ValueType, list[pa.RecordBatch]] = {}
        self._metadata: list[Metadata] = []

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
        commits = list(commits)
        self._metadata += [metadata for commit in commits for metadata in commit.note.metadata]
        for value_type, batch in [found for commit in commits for found in commit.quarantined.items()]:
            self._refused.setdefault(value_type, []).append(batch)
        for value_type, batch in [found for commit in commits for found in commit.rows.items()]:
            batches = self._batches.setdefault(value_type, [])
            batches.append(batch)
            if len(batches) > _MAX_CHUNKS:
                self._batches[value_type] = pa.Table.from_batches(batches).combine_chunks().to_batches()

    def metadata(self, pv: str) -> list[Metadata]:
        """Return what was learned of a PV's numbers, by time; also what says nothing new."""
        return [metadata for metadata in self._metadata if metadata.pv == pv]

    def refused(self) -> dict[ValueType, pa.Table]:
        """Return the quarantined rows of all PVs, by type."""
        names = self.registry.names
        return {
            value_type: table_from_log(batches, names, value_type, is_quarantine=True)
            for value_type, batches in self._refused.items()
        }

    def tables(self, record: PvRecord) -> dict[ValueType, pa.Table]:
        """Return the rows of one PV, by type."""
        found = {}
        for value_type, batches in self._batches.items():
            rows = [batch for batch in (batch.filter(pc.equal(batch["pv"], record.code)) for batch in batches) if batch]
            if rows:
                found[value_type] = table_from_log(rows, {record.code: record.name}, value_type)
        return found
