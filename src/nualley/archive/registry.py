"""What the archive knows of every PV, folded from the commits of the log."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.commits import Commit
from nualley.archive.decide import STALE_AFTER_S, Reason, fingerprint, pv_state
from nualley.archive.models import LastValue, PvState, RowKind
from nualley.archive.pv_record import LastSample, Ledger, PvRecord, Refusal, Tail
from nualley.archive.sealed import SealedState
from nualley.core import SECOND_NS
from nualley.pv import ValueType

_GAP_KINDS = frozenset({RowKind.DISCONNECT, RowKind.GAP, RowKind.PAUSE})


_NOTHING = SealedState()
_MOST_LATE_B = 2**23


class Registry:
    """All PVs of an archive, up to the last commit that was folded in.

    Parameters
    ----------
    sealed : SealedState
        What the index holds of the segments that are sealed.
    """

    def __init__(self, sealed: SealedState = _NOTHING) -> None:
        self._late = _LateSamples()
        self._silent: frozenset[int] = frozenset()
        self._refused: Mapping[int, str] = {}
        self._by_code: dict[int, PvRecord] = {}
        self._by_name: dict[str, PvRecord] = {}
        self.account = sealed.account
        self.n_imported = 0
        self.life_by_ioc: dict[str, int] = dict(sealed.life_by_ioc)
        for record in sealed.records:
            self._insert(record)

    @property
    def by_code(self) -> dict[int, PvRecord]:
        """Every PV by its code."""
        self._catch_up()
        return self._by_code

    @property
    def by_name(self) -> dict[str, PvRecord]:
        """Every PV by its name."""
        self._catch_up()
        return self._by_name

    @property
    def codes_in_doubt(self) -> set[int]:
        """PVs whose value is unknown because commits are lost."""
        return {code for code, record in self._by_code.items() if record.in_doubt_since_ns is not None}

    def _catch_up(self) -> None:
        for codes, counts, value_type, batch, rows in self._late.take():
            protocols = batch["protocol"].take(rows).to_pylist()
            for code, count, last, protocol in zip(codes, counts, _last_samples(batch, rows), protocols, strict=True):
                self._by_code[code].n_stored += count
                _note_last(self._by_code[code], value_type, last, protocol)

    def sealed(self, segment: int) -> SealedState:
        """Return all of it as the state up to ``segment``, for the index."""
        self._catch_up()
        records = tuple(replace(record, filtered=dict(record.filtered)) for record in self._by_code.values())
        return SealedState(segment, records, self.account, dict(self.life_by_ioc))

    def add_imported(self, records: Iterable[PvRecord]) -> None:
        """Join what was taken in beside the log: more of a PV that is there, or a PV that only that tells of."""
        for number, record in enumerate(records):
            self.n_imported += record.ledger.received
            known = self._by_name.get(record.name)
            if known is None:
                self._insert(replace(record, code=-1 - number, filtered=dict(record.filtered)))
            else:
                _join_imported(known, record)

    def _insert(self, record: PvRecord) -> None:
        self._by_code[record.code] = record
        self._by_name[record.name] = record

    def name_all(self, names: Mapping[int, str]) -> None:
        """Make PVs known by their codes; one that had to be listed without its name gets it."""
        for code, name in names.items():
            record = self._by_code.get(code)
            if record is None:
                imported = self._by_name.get(name)
                self._insert(record := PvRecord(code, name))
                if imported is not None:
                    del self._by_code[imported.code]
                    _join_imported(record, imported)
            elif record.name != name:
                del self._by_name[record.name]
                record.name = name
                self._insert(record)

    def last_heard_ns(self, record: PvRecord) -> int:
        """Return the last proof that a PV's IOC was alive [ns since 1970 UTC]; 0 where there never was one."""
        if not record.is_connected:
            return record.last_heard_ns
        # nobody was heard after the last commit: what says so was noted while our own clock was ahead
        return max(record.last_heard_ns, min(self.life_by_ioc.get(record.ioc, 0), self.account.time_ns))

    def is_silent(self, record: PvRecord, now_ns: int) -> bool:
        """Say whether a PV's IOC lives and the PV is connected, periodic and silent all the same."""
        heard_ns = max(record.last_heard_ns, self.life_by_ioc.get(record.ioc, 0))
        return record.is_silent and now_ns - heard_ns <= STALE_AFTER_S * SECOND_NS

    def last_value(self, record: PvRecord, now_ns: int) -> LastValue:
        """Return the last value as a person wants it: enums by label, with unit, age and state.

        Parameters
        ----------
        record : PvRecord
            The PV.
        now_ns : int
            The time now [ns since 1970 UTC].
        """
        last, heard_ns, refusal = record.last, self.last_heard_ns(record), _refusal(record)
        if refusal is not None and refusal.has_gap:  # its value holds no longer, and its IOC lives
            heard_ns = max(heard_ns, min(self.life_by_ioc.get(record.ioc, 0), self.account.time_ns))
        return LastValue(
            pv=record.name,
            time_ns=last.time_ns if last else None,
            value=record.shown(last.value) if last else None,
            severity=last.severity if last else None,
            status=last.status if last else None,
            unit=record.metadata.unit if record.metadata else "",
            age_s=(now_ns - last.time_ns) / 1e9 if last else None,
            state=_state(record, refusal, heard_ns, now_ns),
            last_heard_ns=heard_ns,
            reason=refusal.reason if refusal else "",
        )

    @property
    def names(self) -> Mapping[int, str]:
        """Names of all PVs by their code."""
        return {code: record.name for code, record in self._by_code.items()}

    @property
    def ledger(self) -> Ledger:
        """The account of all samples; ``received`` was counted at receipt, the others row by row."""
        ledgers = [record.ledger for record in self.by_code.values()]
        return Ledger(
            received=self.account.n_received + self.n_imported,
            stored=sum(ledger.stored for ledger in ledgers),
            quarantined=sum(ledger.quarantined for ledger in ledgers),
            filtered=sum(ledger.filtered for ledger in ledgers),
            gaps=sum(ledger.gaps for ledger in ledgers),
        )

    def fold(self, commit: Commit) -> set[str]:
        """Take in one commit.

        Parameters
        ----------
        commit : Commit
            The next one of the log.

        Returns
        -------
        set of str
            Names of the PVs that have a new last sample, state or metadata.
        """
        changed = self._fold_note(commit)
        mixed = _mixed_codes(commit.rows)
        if mixed.size:
            changed |= self._fold_mixed({value_type: _only(batch, mixed) for value_type, batch in commit.rows.items()})
        for value_type, batch in commit.rows.items():
            rest = _only(batch, mixed, is_in=False) if mixed.size else batch
            if rest.num_rows:
                changed |= self._fold_rows(value_type, rest)
        for batch in commit.quarantined.values():
            for code, count in zip(*np.unique(batch["pv"].to_numpy(), return_counts=True), strict=True):
                self._by_code[int(code)].n_quarantined += int(count)
            changed |= self._note_refused(batch)
        return changed

    def _note_refused(self, batch: pa.RecordBatch) -> set[str]:
        changed = set()
        rows = zip(*(batch[name].to_pylist() for name in ("pv", "seq", "reason")), strict=True)
        for row, (code, seq, reason) in enumerate(rows):
            record = self._by_code[code]
            if seq > record.refused_seq:
                refused = last_sample(batch, row)
                record.refused, record.refused_seq = Tail(refused.time_ns, refused.fingerprint), seq
            record.synced_seq = max(record.synced_seq, seq)
            if seq > record.linked_seq and (record.refusal or record.last is None):
                known = record.refusal or Refusal(-1, "", has_gap=False)
                if seq > known.seq:  # those of another type may be newer
                    record.refusal = replace(known, seq=seq, reason=reason)
                    changed.add(record.name)
        return changed

    def _fold_note(self, commit: Commit) -> set[str]:
        note = commit.note
        self.name_all(note.names)
        for code, ioc in note.iocs.items():
            self._by_code[code].ioc = ioc
        if note.is_start:
            for record in self._by_code.values():
                record.is_silent = False
                if record.refusal is not None and record.refusal.has_gap:
                    record.refusal = None
        if note.metadata:
            self._catch_up()  # a type that comes now is newer than that of the samples so far
        for metadata in note.metadata:
            record = self._by_name[metadata.pv]
            record.metadata, record.value_type = metadata, metadata.value_type
        for code, counts in note.filtered.items():
            filtered = self._by_code[code].filtered
            for reason, count in counts.items():
                filtered[reason] = filtered.get(reason, 0) + count
        for ioc, heard_ns in note.last_heard.items():
            self.life_by_ioc[ioc] = max(heard_ns, self.life_by_ioc.get(ioc, 0))
        self.account, self._silent, self._refused = note.account, frozenset(note.silent), note.refused
        return {metadata.pv for metadata in note.metadata}

    def _fold_rows(self, value_type: ValueType, batch: pa.RecordBatch) -> set[str]:
        codes, kinds = batch["pv"].to_numpy(), batch["kind"].to_numpy()
        is_sample = kinds == RowKind.SAMPLE
        if is_sample.all():
            # looked at when somebody asks: most samples are the last ones for a moment only
            self._late.add(value_type, batch, codes)
            if self._late.size_B > _MOST_LATE_B:
                self._catch_up()
            return {self._by_code[code].name for code in np.unique(codes).tolist()}
        self._catch_up()
        for row in np.flatnonzero(~is_sample):
            self._fold_connection(batch, int(row), RowKind(int(kinds[row])))
        rows = np.flatnonzero(is_sample)
        sample_codes = codes[rows]
        # the last row of each PV: the first one seen from behind
        found, first_from_behind, counts = np.unique(sample_codes[::-1], return_index=True, return_counts=True)
        for code, from_behind, count in zip(found, first_from_behind, counts, strict=True):
            record, newest = self._by_code[int(code)], int(rows[len(rows) - 1 - from_behind])
            record.n_stored += int(count)
            _note_last(record, value_type, last_sample(batch, newest), batch["protocol"][newest].as_py())
        return {self._by_code[int(code)].name for code in np.unique(codes)}

    def _fold_mixed(self, rows: Mapping[ValueType, pa.RecordBatch]) -> set[str]:
        """Take in PVs that changed their type within a commit: row by row, in the order of receipt over all types."""
        self._catch_up()
        newest: dict[int, tuple[ValueType, pa.RecordBatch, int]] = {}
        found = [
            (seq, code, RowKind(kind), (value_type, batch, row))
            for value_type, batch in rows.items()
            for row, (seq, code, kind) in enumerate(
                zip(*(batch[name].to_pylist() for name in ("seq", "pv", "kind")), strict=True)
            )
        ]
        for _, code, kind, (value_type, batch, row) in sorted(found, key=itemgetter(0)):
            if kind is RowKind.SAMPLE:
                self._by_code[code].n_stored += 1
                newest[code] = value_type, batch, row
            else:
                self._fold_connection(batch, row, kind)
        for code, (value_type, batch, row) in newest.items():
            _note_last(self._by_code[code], value_type, last_sample(batch, row), batch["protocol"][row].as_py())
        return {self._by_code[code].name for _, code, *_ in found}

    def _fold_connection(self, batch: pa.RecordBatch, row: int, kind: RowKind) -> None:
        record, seq = self._by_code[batch["pv"][row].as_py()], batch["seq"][row].as_py()
        record.protocol = batch["protocol"][row].as_py()
        record.is_connected = kind is RowKind.RECONNECT
        record.is_silent = seq in self._silent
        if seq in self._refused:
            record.refusal = Refusal(seq, self._refused[seq], has_gap=True)
        elif record.last is not None:  # where it never had a value, none of this gives it one
            record.refusal = None
        record.in_doubt_since_ns = None
        record.has_connected = record.has_connected or record.is_connected
        record.last_heard_ns = max(record.last_heard_ns, batch["last_heard_ns"][row].as_py() or 0)
        record.n_gaps += kind in _GAP_KINDS
        record.synced_seq = max(record.synced_seq, seq)
        if kind is not RowKind.GAP:  # what was refused leaves a gap
            record.linked_seq = seq


def _mixed_codes(rows: Mapping[ValueType, pa.RecordBatch]) -> NDArray[np.int32]:
    """Return the PVs that have rows of several types."""
    if len(rows) < 2:
        return np.zeros(0, dtype=np.int32)
    codes, counts = np.unique(
        np.concatenate([np.unique(batch["pv"].to_numpy()) for batch in rows.values()]), return_counts=True
    )
    return codes[counts > 1]


def _only(batch: pa.RecordBatch, codes: NDArray[np.int32], *, is_in: bool = True) -> pa.RecordBatch:
    return batch.filter(pa.array(np.isin(batch["pv"].to_numpy(), codes, invert=not is_in)))


def _refusal(record: PvRecord) -> Refusal | None:
    """Return why nothing was taken of a PV since its last sample; None where nothing came that was not."""
    found, newest_seq = record.refusal, record.last.seq if record.last else -1
    return found if found is not None and found.seq > newest_seq else None


def _state(record: PvRecord, refusal: Refusal | None, heard_ns: int, now_ns: int) -> PvState:
    if record.code < 0:  # the log does not know it
        return PvState.IMPORTED
    state = pv_state(
        has_connected=record.has_connected,
        is_connected=record.is_connected or (refusal is not None and refusal.has_gap),
        is_silent=record.is_silent,
        last_heard_ns=heard_ns,
        now_ns=now_ns,
    )
    if refusal is None or state not in {PvState.CONNECTED, PvState.NEVER_CONNECTED}:
        return state
    return PvState.UNREADABLE if refusal.reason.startswith(Reason.UNREADABLE) else PvState.QUARANTINED


class _LateSamples:
    """Batches of samples of which only the last of each PV, and how many there were, will be wanted.

    Attributes
    ----------
    size_B : int
        What is kept for that [B].
    """

    def __init__(self) -> None:
        self.size_B = 0
        self._batches: list[tuple[ValueType, pa.RecordBatch]] = []
        self._count = np.zeros(0, dtype=np.int64)
        self._batch = np.zeros(0, dtype=np.int32)
        self._row = np.zeros(0, dtype=np.int32)

    def add(self, value_type: ValueType, batch: pa.RecordBatch, codes: NDArray[np.int32]) -> None:
        """Take a batch; each of its PVs has its newest sample there now."""
        more = int(codes.max()) + 1 - self._count.size
        if more > 0:
            more = max(more, self._count.size, 64)
            self._count = np.concatenate([self._count, np.zeros(more, dtype=np.int64)])
            self._batch = np.concatenate([self._batch, np.zeros(more, dtype=np.int32)])
            self._row = np.concatenate([self._row, np.zeros(more, dtype=np.int32)])
        self._count[: int(codes.max()) + 1] += np.bincount(codes)
        # where a PV is there several times, the last row stays
        self._batch[codes] = len(self._batches)
        self._row[codes] = np.arange(codes.size, dtype=np.int32)
        self._batches.append((value_type, batch))
        self.size_B += batch.nbytes

    def take(self) -> Iterator[tuple[list[int], list[int], ValueType, pa.RecordBatch, pa.Array]]:
        """Yield codes, numbers of samples, type, batch and rows of the newest ones, batch by batch; they go then."""
        if not self._batches:
            return
        codes = np.flatnonzero(self._count)
        batches, self._batches, self.size_B = self._batches, [], 0
        counts, at, rows = self._count[codes], self._batch[codes], self._row[codes]
        self._count[codes] = 0
        for number in np.unique(at).tolist():
            is_here = at == number
            yield codes[is_here].tolist(), counts[is_here].tolist(), *batches[number], pa.array(rows[is_here])


def _note_last(record: PvRecord, value_type: ValueType, last: LastSample, protocol: str) -> None:
    record.value_type, record.last, record.protocol = value_type, last, protocol
    record.synced_seq = max(record.synced_seq, last.seq)


def _join_imported(record: PvRecord, imported: PvRecord) -> None:
    record.n_stored += imported.n_stored
    record.n_quarantined += imported.n_quarantined
    record.n_gaps += imported.n_gaps
    for reason, count in imported.filtered.items():
        record.filtered[reason] = record.filtered.get(reason, 0) + count
    record.value_type = record.value_type or imported.value_type
    record.metadata = record.metadata or imported.metadata
    if imported.last and (record.last is None or imported.last.time_ns > record.last.time_ns):
        record.last = imported.last
    record.last_heard_ns = max(record.last_heard_ns, imported.last_heard_ns)


def _last_samples(batch: pa.RecordBatch, rows: pa.Array) -> list[LastSample]:
    if pa.types.is_list(batch["value"].type):
        return [last_sample(batch, row) for row in rows.to_pylist()]
    names = ("time_ns", "seq", "value", "severity", "status")
    columns = (batch[name].take(rows).to_pylist() for name in names)
    return [
        LastSample(
            time_ns=time_ns,
            seq=seq,
            value=value,
            severity=severity,
            status=status,
            fingerprint=fingerprint(value, severity, status),
        )
        for time_ns, seq, value, severity, status in zip(*columns, strict=True)
    ]


def last_sample(batch: pa.RecordBatch, row: int) -> LastSample:
    """Return a row as the newest sample of its PV.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Of the log, or of a sealed file.
    row : int
        Which of its rows.
    """
    column = batch["value"]
    value = column[row].as_py()
    severity, status = batch["severity"][row].as_py(), batch["status"][row].as_py()
    is_numeric_array = pa.types.is_list(column.type) and not pa.types.is_string(column.type.value_type)
    seen = column[row].values.to_numpy() if is_numeric_array else value
    return LastSample(
        time_ns=batch["time_ns"][row].as_py(),
        seq=batch["seq"][row].as_py() or 0,  # what is kept for good has none
        value=value,
        severity=severity,
        status=status,
        fingerprint=fingerprint(seen, severity, status),
    )
