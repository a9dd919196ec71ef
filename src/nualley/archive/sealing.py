"""Sealing: a closed segment of the log becomes Parquet files and an entry of the index."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from nualley.archive.columns import table_from_log
from nualley.archive.commits import Commit
from nualley.archive.errors import LogDamagedError
from nualley.archive.layouts import NUMBERS, WAVES
from nualley.archive.mending import mended
from nualley.archive.models import ConnectionRow, RowKind
from nualley.archive.ports import ColumnFiles, Index, LogReader, Manifest
from nualley.archive.progress import Loss, Mark
from nualley.archive.registry import Registry
from nualley.archive.replay import Replay
from nualley.archive.sealed import TIERS, Level, SealedContents, SealedFile, SealedState
from nualley.archive.tiering import tier_table
from nualley.archive.waves import NO_RULES, Rules, wave_table
from nualley.core import DAY_NS, Clock, format_time
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
    manifest : Manifest
        Where they are written down.
    shard : str
        Name of the shard.
    clock : Clock
        Says until when a log that is gone may have held something.
    rules : mapping of str to TraceRule
        How arrays of some PVs are averaged for good.
    """

    def __init__(
        self,
        log: LogReader,
        files: ColumnFiles,
        index: Index,
        manifest: Manifest,
        *,
        shard: str,
        clock: Clock,
        rules: Rules = NO_RULES,
    ) -> None:
        self._clock = clock
        self._rules = rules
        self._manifest = manifest
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
        return self._seal(segment, Replay(Registry(self._state())), mark=None)

    def _state(self) -> SealedState:
        return mended(self._index.load(), self._index, self._files)

    def _seal(self, segment: int, replay: Replay, mark: Mark | None, lost: Sequence[Commit] = ()) -> list[SealedFile]:
        # the account is taken from what can be read, not from what was once written
        commits = [*lost, *self._readable(segment, replay)]
        if mark is not None and mark.segment == segment:
            commits += replay.finish(mark.account)
        files: list[SealedFile] = []
        connections: list[ConnectionRow] = []
        for is_quarantine in (False, True):
            for value_type, table in _tables(commits, replay.registry.names, is_quarantine=is_quarantine):
                if not is_quarantine:
                    connections.extend(connection_rows(table))
                level = Level.QUARANTINE if is_quarantine else Level.RAW
                name = f"{value_type}-{self._shard}-{segment:08d}.parquet"
                files += write_days(self._files, table, level, value_type, name, rules=self._rules)
        self._manifest.note(files, (), f"sealed segment {segment} of shard {self._shard}")
        learned = tuple(metadata for commit in commits for metadata in commit.note.metadata)
        contents = SealedContents(tuple(files), tuple(connections), tuple(replay.losses), learned)
        self._index.seal(replay.registry.sealed(segment), contents)
        for loss in replay.losses:
            _log_loss(segment, loss)
        replay.losses.clear()
        self._log.remove(segment)
        return files

    def _readable(self, segment: int, replay: Replay) -> list[Commit]:
        try:
            self._repair(segment)
            commits, _ = self._log.read(segment)
        except FileNotFoundError:
            # the whole segment is gone: the numbers of the commits behind it, or the mark, say what was in it
            _log.error("log segment missing", segment=segment)
            return []
        return [folded for commit in commits for folded in replay.take(commit)]

    def _repair(self, segment: int) -> None:
        found = self._log.repair(segment)
        if found.damaged_B:
            _log.error(
                "log damaged",
                segment=segment,
                damaged_B=found.damaged_B,
                do="the bytes are kept in the archive's quarantine folder; look at the drive",
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
        registry = Registry(state := self._state())
        replay, mark = Replay(registry), self._mark_or_none()
        segments = self._log.segments()
        for segment in segments:
            if segment <= state.segment:  # killed between the transaction and the removal
                self._log.remove(segment)
        # above every file that an index from before the last sealing forgot: what is sealed is never written over
        last = max([*segments, mark.segment if mark else -1, self._files.last_segment(self._shard)])
        if mark is not None:  # the next one may have been begun before the mark said so; what is above is a stray file
            last = min(last, max(mark.segment + 1, self._files.last_segment(self._shard)))
        lost = []
        if mark is None and not segments and state.has_log:
            lost = replay.lose_rest(self._clock.now_ns())
            last = max(last, state.segment) + 1
        for segment in range(state.segment + 1, last + 1):
            self._seal(segment, replay, mark, lost if segment == last else [])
        return registry

    def _mark_or_none(self) -> Mark | None:
        try:
            return self._log.mark()
        except LogDamagedError as error:
            _log.error("log without its mark", what=error.what, where=error.where)
            return None


def _log_loss(segment: int, loss: Loss) -> None:
    _log.error(
        "commits lost",
        segment=segment,
        n_commits=loss.n_commits,
        since=format_time(loss.start_ns),
        until=format_time(loss.stop_ns),
        do="the time between is unknown for every PV that was connected; look at the drive: nualley doctor",
    )


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


def write_days(
    files: ColumnFiles, table: pa.Table, level: Level, value_type: ValueType, name: str, *, rules: Rules = NO_RULES
) -> Iterator[SealedFile]:
    """Write a table, one file a UTC day; beside numbers their cells of each tier, beside arrays their averages.

    Parameters
    ----------
    files : ColumnFiles
        Where.
    table : pyarrow.Table
        Rows by PV, time and receipt.
    level : Level
        Raw or quarantine.
    value_type : ValueType
        What the values are.
    name : str
        Name of each file in its day's folder.
    rules : mapping of str to TraceRule
        How arrays of some PVs are averaged.

    Yields
    ------
    SealedFile
        One after the other.
    """
    folder = "day" if level is Level.RAW else level
    for day, part in _days(table):
        yield files.write(f"{folder}/{day}/{name}", part, level, value_type)
        if level is Level.RAW and value_type in NUMBERS:
            for tier in TIERS:  # every sample is in a cell of every tier: whatever tier is asked tells of all
                cells = tier_table(part, tier)
                if cells.num_rows:
                    yield files.write(f"tier/{tier}/{day}/{name}", cells, tier, value_type)
        if level is Level.RAW and value_type in WAVES:
            waves = wave_table(part, rules)
            if waves.num_rows:
                yield files.write(f"wave/{day}/{name}", waves, Level.WAVE, value_type)


def _days(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    days = table["time_ns"].to_numpy() // DAY_NS
    for day in np.unique(days):
        yield format_time(int(day) * DAY_NS, digits=0)[:10], table.filter(pa.array(days == day))
