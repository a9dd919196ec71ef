"""Recording: what sources emit becomes commits of the log, and nothing is lost or invented on the way."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import structlog

from nualley.archive.columns import VALUE_TYPES, LogRow, is_storable, joined_batch, log_batch, number_batch
from nualley.archive.commits import Commit, Frame, Note
from nualley.archive.decide import QUARANTINED, Reason, fingerprint, fitted, judge
from nualley.archive.fast import FastLane
from nualley.archive.models import RowKind
from nualley.archive.ports import LogWriter
from nualley.archive.progress import Account
from nualley.archive.pv_record import PvRecord, Tail
from nualley.archive.registry import Registry
from nualley.archive.rules import Rule, RuledPv
from nualley.archive.settings import ArchiveSettings
from nualley.archive.wal import encode_commit
from nualley.core import SECOND_NS, Clock, Event, format_time
from nualley.pv import Connection, Life, Metadata, PvEvent, Sample, Samples, ValueType

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Synced:
    """A commit is durable: what it holds is acknowledged.

    Parameters
    ----------
    seq : int
        The last receipt number that is durable.
    time_ns : int
        When the commit was made [ns since 1970 UTC].
    changed : frozenset of str
        PVs that have a new value, state or metadata.
    """

    seq: int
    time_ns: int
    changed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Received:
    """What a recorder took in.

    Parameters
    ----------
    seq : int
        The last receipt number that was given out.
    n_quarantined, n_filtered : int
        Samples that were kept aside and left out since the process began.
    """

    seq: int
    n_quarantined: int
    n_filtered: int


@dataclass(slots=True)
class _LivePv:
    """What receiving needs to know of a PV, ahead of what is synced."""

    code: int
    name: str
    value_type: ValueType | None = None
    tail: Tail | None = None
    refused: Tail | None = None
    ioc: str = ""
    is_connected: bool = False
    is_paused: bool = False
    is_in_doubt: bool = False  # a refused sample may have been a new value: the one before it holds no longer
    protocol: str = ""
    doubted_ns: int = 0
    # connection rows that wait until the PV's type is known
    held: list[LogRow] = field(default_factory=list)
    ruled: RuledPv | None = None
    # PVs that are archived only while this one has such a value
    watchers: list["_LivePv"] = field(default_factory=list)


class _Pending:
    """What was received and is not yet in a frame."""

    def __init__(self) -> None:
        self.rows: dict[ValueType, list[LogRow | pa.RecordBatch]] = {}
        self.refused: dict[ValueType, list[LogRow]] = {}
        self.reasons: dict[ValueType, list[str]] = {}
        self.filtered: dict[int, Counter[str]] = {}
        self.names: dict[int, str] = {}
        self.iocs: dict[int, str] = {}
        self.metadata: list[Metadata] = []
        self.last_heard: dict[str, int] = {}
        self.silent: list[int] = []
        self.gap_reasons: dict[int, str] = {}
        self.is_start = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.refused or self.filtered or self.names or self.metadata or self.last_heard)

    def to_commit(self, account: Account) -> Commit:
        note = Note(
            account,
            names=self.names,
            filtered={code: dict(counts) for code, counts in self.filtered.items()},
            metadata=tuple(self.metadata),
            last_heard=self.last_heard,
            iocs=self.iocs,
            silent=tuple(self.silent),
            refused=self.gap_reasons,
            is_start=self.is_start,
        )
        refused = {
            value_type: log_batch(rows, value_type, self.reasons[value_type])
            for value_type, rows in self.refused.items()
        }
        return Commit(
            note, {value_type: joined_batch(parts, value_type) for value_type, parts in self.rows.items()}, refused
        )


class Recorder:
    """The one writer of an archive's shard.

    What is received waits in memory until a commit makes it durable; only then is it acknowledged by `synced`. The
    two halves of a commit may be called from an event loop around a log that is written in a thread: `prepare`,
    ``log.append``, `confirm`.

    Parameters
    ----------
    registry : Registry
        What the archive knows, up to the last commit of its log.
    log : LogWriter
        Where commits become durable.
    settings : ArchiveSettings
        Limits and intervals.
    clock : Clock
        Gives the time of commits and gaps.
    """

    def __init__(self, registry: Registry, log: LogWriter, settings: ArchiveSettings, clock: Clock) -> None:
        self.registry = registry
        self.synced: Event[Synced] = Event()
        self._log = log
        self._clock = clock
        self._future_limit_ns = round(settings.future_limit_s * SECOND_NS)
        self._seq = registry.account.seq
        self._n_received = registry.account.n_received
        self._n_refused = 0
        self._n_filtered = 0
        self._pending = _Pending()
        self._fast = FastLane(self._future_limit_ns)
        self._code_of: dict[str, int] = {}
        self._unsynced: tuple[Commit, Frame] | None = None
        self._live = {record.name: _live_from(record) for record in registry.by_code.values()}
        self._codes = max(registry.by_code, default=-1)
        self._ruled: dict[str, _LivePv] = {}
        self._handlers: Mapping[type, Callable[..., None]] = {
            Sample: self._on_sample,
            Samples: self._on_samples,
            Connection: self._on_connection,
            Metadata: self._on_metadata,
            Life: self._on_life,
        }
        self._pending.is_start = True
        self._name_all()
        self._write_gaps()

    # -------------------------------------------------------------- receiving
    def register(self, pvs: Iterable[str]) -> None:
        """Make PVs known before anything is heard of them, so that the silent ones are listed too."""
        for pv in pvs:
            self._pv(pv)

    def keep_paused(self, pvs: Iterable[str]) -> None:
        """Go on filtering PVs that were paused before this process began: how their value ended is on record."""
        for pv in pvs:
            self._pv(pv).is_paused = True

    def follow(self, pv: str, earlier: str) -> None:
        """Let a PV go on where it had another name: its first sample is judged by the last one of that name.

        One that is given a name back has samples under it, of before.
        """
        live, before = self._pv(pv), self._live.get(earlier)
        if before is None:
            return
        self._leave_fast_lane(live)
        tail = self._fast.tail(before.code) or before.tail
        if tail is not None and (live.tail is None or live.tail.time_ns < tail.time_ns):
            live.tail = tail

    def rule(self, pv: str, rule: Rule | None) -> None:
        """Store of a PV what a rule says from now on; None: every sample.

        Parameters
        ----------
        pv : str
            Its name.
        rule : Rule or None
            The rule.
        """
        live = self._pv(pv)
        self._leave_fast_lane(live)
        if live.ruled is not None:
            self._switch(live, is_on=True)
            self._store_held(live)
            for other in self._live.values():
                other.watchers = [watcher for watcher in other.watchers if watcher is not live]
            self._ruled.pop(pv, None)
        live.ruled = RuledPv(rule) if rule else None
        if rule:
            self._ruled[pv] = live
        if rule and rule.condition:
            watched = self._pv(rule.condition.pv)
            self._leave_fast_lane(watched)
            watched.watchers.append(live)

    def tick(self) -> None:
        """Store what scans held back and is due, and say which periodic PVs are silent."""
        now_ns = self._clock.now_ns()
        for live in self._ruled.values():
            ruled = live.ruled
            if ruled is not None and ruled.is_due(now_ns):
                self._store_held(live)
            if ruled is not None and ruled.is_silent(now_ns) and live.is_connected and not live.is_in_doubt:
                _log.warning("silent", pv=live.name, since=format_time(ruled.heard_ns))
                self._doubt(live, now_ns, ruled.heard_ns)
                self._pending.silent.append(self._seq)

    def flush(self) -> None:
        """Store what scans held back: the last one before an end is worth more than its period."""
        for live in self._ruled.values():
            self._store_held(live)

    @property
    def received(self) -> Received:
        """What came in since this process began, synced or not."""
        return Received(self._seq, n_quarantined=self._n_refused, n_filtered=self._n_filtered)

    def receive(self, event: PvEvent) -> None:
        """Take in an event of a source; it is acknowledged by `synced` once durable.

        Parameters
        ----------
        event : PvEvent
            Sample, connection, metadata or life.
        """
        self._handlers[type(event)](event)

    def pause(self, pv: str) -> None:
        """Stop archiving a PV: a pause row, and its samples are filtered from now on."""
        live = self._pv(pv)
        if not live.is_paused:
            self._store_held(live)
            live.is_paused = True
            self._leave_fast_lane(live)
            live.is_connected = False
            self._add_connection_row(live, RowKind.PAUSE, self._clock.now_ns(), self._clock.now_ns())

    def resume(self, pv: str) -> None:
        """Archive a paused PV again; its value counts from the next sample on: it may have changed meanwhile."""
        live = self._pv(pv)
        if live.is_paused:
            live.is_paused = False
            live.is_connected = True
            live.is_in_doubt, live.doubted_ns = True, self._clock.now_ns()

    def _pv(self, name: str) -> _LivePv:
        live = self._live.get(name)
        if live is None:
            self._codes += 1
            live = self._live[name] = _LivePv(self._codes, name)
            self._pending.names[live.code] = name
        return live

    def _on_sample(self, sample: Sample) -> None:
        live = self._pv(sample.pv)
        live.tail = self._fast.tail(live.code) or live.tail
        self._n_received += 1
        if live.ioc:
            self._pending.last_heard[live.ioc] = sample.received_ns
        value_type = sample.value_type
        value = _plain(sample.value, value_type)
        reason = Reason.PAUSED if live.is_paused else judge(sample, _tail(live), self._future_limit_ns)
        fitting = fitted(sample)
        if fitting is not sample or not is_storable(value, value_type):
            # no column can hold it: kept as text, so that one odd value stops nothing else
            value, value_type, reason, sample = ascii(value), ValueType.STRING, Reason.UNSTORABLE, fitting
        if reason is Reason.PAUSED:
            self._filter(live, reason)
        elif reason is Reason.REPEAT:
            self._settle(live, sample)
            self._filter(live, reason)
        elif reason in QUARANTINED:
            why = f"{reason}: {ascii(sample.unreadable)[1:-1]:.200}" if reason is Reason.UNREADABLE else str(reason)
            self._refuse(live, sample, value, value_type, why)
        elif live.ruled is None:
            self._store(live, sample, value, value_type)
        else:
            self._follow_rule(live, live.ruled, sample)
        for watcher in live.watchers:
            self._switch(watcher, is_on=_is_on(watcher, sample.value))

    def _store(self, live: _LivePv, sample: Sample, value: object, value_type: ValueType) -> None:
        if value_type is not live.value_type or live.held:
            self._learn_type(live, value_type)
        self._settle(live, sample)
        live.tail = Tail(sample.time_ns, fingerprint(value, sample.severity, sample.status))
        if live.ruled is None and not live.watchers:  # others look at each of its samples
            self._fast.enter(live.code, value_type, sample.time_ns, live.ioc)
        self._pending.rows.setdefault(value_type, []).append(self._row(live, sample, value))

    def _follow_rule(self, live: _LivePv, ruled: RuledPv, sample: Sample) -> None:
        reason, before = ruled.verdict(sample), ruled.held
        if before is not None:  # what is newer stands in its place
            ruled.held, self._n_received = None, self._n_received + 1
            self._filter(live, Reason.CONDITION if ruled.is_off else Reason.SCAN)
        if reason is None:
            ruled.note_stored(sample)
            self._store(live, sample, _plain(sample.value, sample.value_type), sample.value_type)
        elif reason is Reason.DEAD_BAND:
            self._settle(live, sample)
            self._filter(live, reason)
        else:
            # it counts once it is stored or replaced
            ruled.held, self._n_received = sample, self._n_received - 1

    def _store_held(self, live: _LivePv) -> None:
        ruled = live.ruled
        if ruled is None or ruled.held is None:
            return
        sample, self._n_received = ruled.held, self._n_received + 1
        if ruled.is_off:
            ruled.held = None
            self._filter(live, Reason.CONDITION)
            return
        ruled.note_stored(sample)
        ruled.stored_ns = self._clock.now_ns()
        self._store(live, sample, _plain(sample.value, sample.value_type), sample.value_type)

    def _switch(self, live: _LivePv, *, is_on: bool) -> None:
        """Begin or end to archive a PV, as its condition says."""
        ruled = live.ruled
        if ruled is None or ruled.is_off != is_on or live.is_paused:
            return
        now_ns = self._clock.now_ns()
        if not is_on:
            self._store_held(live)
            ruled.is_off, ruled.is_connected = True, live.is_connected
            if live.is_connected:
                live.is_connected = False
                self._add_connection_row(live, RowKind.PAUSE, now_ns, now_ns)
            return
        ruled.is_off = False
        if not ruled.is_connected:
            return
        live.is_connected, live.is_in_doubt = True, False
        # its value may have changed meanwhile, and is the newest that came; else it is what it was
        self._add_connection_row(live, RowKind.RECONNECT, now_ns, now_ns)
        self._store_held(live)

    def _filter(self, live: _LivePv, reason: Reason) -> None:
        self._seq += 1
        self._n_filtered += 1
        self._pending.filtered.setdefault(live.code, Counter())[reason] += 1

    def _row(self, live: _LivePv, sample: Sample, value: object) -> LogRow:
        self._seq += 1
        return LogRow(
            pv=live.code,
            time_ns=sample.time_ns,
            protocol=sample.protocol,
            received_ns=sample.received_ns,
            seq=self._seq,
            kind=RowKind.SAMPLE,
            value=value,
            severity=sample.severity,
            status=sample.status,
        )

    def _refuse(self, live: _LivePv, sample: Sample, value: object, value_type: ValueType, reason: str) -> None:
        refused = Tail(sample.time_ns, fingerprint(value, sample.severity, sample.status))
        if refused == live.refused and not sample.unreadable:
            self._filter(live, Reason.REPEAT)  # it is kept aside already: sent again at every connection
        else:
            live.refused = refused
            self._n_refused += 1
            self._pending.refused.setdefault(value_type, []).append(self._row(live, sample, value))
            self._pending.reasons.setdefault(value_type, []).append(reason)
        if not live.is_in_doubt and live.tail is not None:
            # it may have been a new value: the one before it holds no longer, until a sample is taken again
            self._fast.leave(live.code)
            _log.warning("samples refused", pv=live.name, reason=reason, stamp=format_time(sample.time_ns))
            self._doubt(live, sample.received_ns, sample.received_ns)
            self._pending.gap_reasons[self._seq] = reason

    def _doubt(self, live: _LivePv, now_ns: int, heard_ns: int) -> None:
        """Say that a PV's last value holds no longer."""
        live.is_in_doubt, live.doubted_ns = True, now_ns
        self._add_connection_row(live, RowKind.GAP, now_ns, heard_ns)

    def _settle(self, live: _LivePv, sample: Sample) -> None:
        """Say that a value holds again where one was in doubt."""
        if not live.is_in_doubt:
            return
        live.is_in_doubt = False
        # never before the gap: the sample may carry an older stamp, and holds from then on all the same
        since_ns = max(sample.time_ns, live.doubted_ns)
        self._add_connection_row(live, RowKind.RECONNECT, since_ns, sample.received_ns)

    def _on_samples(self, samples: Samples) -> None:
        if not len(samples):
            return
        for name in samples.pvs[self._fast.n_known(samples.pvs) :]:
            self._code_of[name] = self._pv(name).code
        codes = self._fast.codes(samples.pvs, self._code_of)[samples.index]
        found = self._fast.sort(samples, codes)
        rows = np.flatnonzero(found.is_fast)
        if rows.size:
            batch = number_batch(samples, rows, codes[rows], self._seq + 1)
            self._pending.rows.setdefault(samples.value_type, []).append(batch)
            self._seq += rows.size
            self._n_received += rows.size
            self._pending.last_heard |= self._fast.take(samples, found)
        if rows.size < len(samples):
            for sample in samples.only(~found.is_fast).each():
                self._on_sample(sample)

    def _leave_fast_lane(self, live: _LivePv) -> None:
        """Look at each of a PV's next samples, until one is stored."""
        live.tail = self._fast.tail(live.code) or live.tail
        self._fast.leave(live.code)

    def _on_connection(self, connection: Connection) -> None:
        live = self._pv(connection.pv)
        self._leave_fast_lane(live)
        live.protocol = connection.protocol
        if connection.ioc and connection.ioc != live.ioc:
            live.ioc = self._pending.iocs[live.code] = connection.ioc
        self._note_link(live, connection)
        is_off = live.ruled is not None and live.ruled.is_off
        if live.is_paused or is_off or connection.is_connected == live.is_connected:
            return
        live.is_connected = connection.is_connected
        live.is_in_doubt = False  # what follows is a blackout of its own, until a connection that brings a value
        kind = RowKind.RECONNECT if connection.is_connected else RowKind.DISCONNECT
        self._add_connection_row(live, kind, connection.time_ns, connection.last_heard_ns)

    def _note_link(self, live: _LivePv, connection: Connection) -> None:
        if live.ruled is not None:
            live.ruled.is_connected = connection.is_connected
            live.ruled.heard_ns = max(live.ruled.heard_ns, connection.time_ns)
            live.ruled.stored = None  # what comes first is stored, whatever the dead band
        if not connection.is_connected:
            self._store_held(live)
            for watcher in live.watchers:  # nobody knows whether the condition holds
                self._switch(watcher, is_on=True)

    def _on_metadata(self, metadata: Metadata) -> None:
        live = self._pv(metadata.pv)
        self._pending.metadata.append(metadata)
        self._learn_type(live, metadata.value_type)

    def _on_life(self, life: Life) -> None:
        self._pending.last_heard[life.ioc] = max(life.last_heard_ns, self._pending.last_heard.get(life.ioc, 0))

    def _learn_type(self, live: _LivePv, value_type: ValueType) -> None:
        if value_type is not live.value_type:
            self._leave_fast_lane(live)
        live.value_type = value_type
        if live.held:
            self._pending.rows.setdefault(value_type, []).extend(live.held)
            live.held = []

    def _add_connection_row(self, live: _LivePv, kind: RowKind, time_ns: int, last_heard_ns: int) -> None:
        self._seq += 1
        row = LogRow(
            pv=live.code,
            time_ns=time_ns,
            protocol=live.protocol,
            received_ns=self._clock.now_ns(),
            seq=self._seq,
            kind=kind,
            last_heard_ns=last_heard_ns,
        )
        if live.value_type is None:
            live.held.append(row)
        else:
            self._pending.rows.setdefault(live.value_type, []).append(row)

    # -------------------------------------------------------------- committing
    def prepare(self) -> Frame | None:
        """Return the next frame to append, or None where nothing waits.

        Returns
        -------
        Frame or None
            The same frame again until it is confirmed: a failed append is tried again whole, and what was received
            meanwhile waits behind it.
        """
        if self._unsynced is None and self._pending:
            account = Account(
                number=self.registry.account.number + 1,
                n_received=self._n_received,
                seq=self._seq,
                time_ns=self._clock.now_ns(),
            )
            commit = self._pending.to_commit(account)
            self._unsynced = (commit, Frame(account, encode_commit(commit)))
            self._pending = _Pending()
        return self._unsynced[1] if self._unsynced else None

    def confirm(self) -> None:
        """Say that the frame of `prepare` is durable; what it holds is acknowledged."""
        if self._unsynced is None:
            return
        commit, _ = self._unsynced
        self._unsynced = None
        changed = self.registry.fold(commit)
        self.synced.publish(Synced(commit.account.seq, commit.account.time_ns, frozenset(changed)))

    def commit(self) -> None:
        """Make all that was received durable.

        Raises
        ------
        LogWriteError
            Where it could not be made durable; everything still waits, and the next commit tries again.
        """
        while (frame := self.prepare()) is not None:
            self._log.append(frame)
            self.confirm()

    def rotate(self) -> int:
        """Begin a new segment and return the number of the one that is ready to be sealed; all is confirmed by then."""
        segment = self._log.rotate()
        self._name_all()
        return segment

    def _name_all(self) -> None:
        # every segment names its PVs, so that it can be read alone
        self._pending.names.update({live.code: live.name for live in self._live.values()})
        self._pending.iocs.update({live.code: live.ioc for live in self._live.values() if live.ioc})

    def _write_gaps(self) -> None:
        # the archive did not run: what was connected then is unknown since its last proof of life
        now_ns = self._clock.now_ns()
        for record in self.registry.by_code.values():
            if record.is_connected:
                live = self._live[record.name]
                live.is_connected = False
                self._add_connection_row(live, RowKind.GAP, now_ns, self.registry.last_heard_ns(record))


def _tail(live: _LivePv) -> Tail | None:
    """Return what the next sample is judged by: the newest one, also where it is held back."""
    held = live.ruled.held if live.ruled else None
    if held is None:
        return live.tail
    return Tail(held.time_ns, fingerprint(_plain(held.value, held.value_type), held.severity, held.status))


def _is_on(watcher: _LivePv, value: object) -> bool:
    condition = watcher.ruled.rule.condition if watcher.ruled else None
    return condition is None or condition.holds(value)


def _live_from(record: PvRecord) -> _LivePv:
    return _LivePv(
        code=record.code,
        name=record.name,
        value_type=record.value_type,
        tail=record.tail,
        refused=record.refused,
        ioc=record.ioc,
        is_connected=record.is_connected,
        protocol=record.protocol,
    )


def _plain(value: object, value_type: ValueType) -> object:
    """Return an array as its column holds it, so that a repeat of it has the same fingerprint after a restart."""
    arrow_type = VALUE_TYPES[value_type]
    if not pa.types.is_list(arrow_type):
        return value
    if value_type is ValueType.STRING_ARRAY:
        return list(value)  # type: ignore[call-overload]  # a sequence of text by its type
    return np.asarray(value, dtype=arrow_type.value_type.to_pandas_dtype()).ravel()
