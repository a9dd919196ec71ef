"""Replaying the log: commits in the order of their numbers, and gap rows where a number is missing."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from nualley.archive.columns import connection_batch
from nualley.archive.commits import Commit, Note
from nualley.archive.models import ConnectionRow, RowKind
from nualley.archive.progress import Account, Loss
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import Registry
from nualley.pv import ValueType


class Replay:
    """Folds the log into a registry and says what is lost as rows: a value is never taken to hold over lost commits.

    Every PV that was connected gets a gap row where commits are missing. A lost commit may have held a new value of
    any of them, so a PV counts again only from its next sample on, or from its next own connection row.

    Parameters
    ----------
    registry : Registry
        What is known before the first commit; each commit is folded into it.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.losses: list[Loss] = []

    def take(self, commit: Commit) -> list[Commit]:
        """Fold the next whole commit of the log.

        Parameters
        ----------
        commit : Commit
            One whose number is folded already is passed over: nothing counts twice.

        Returns
        -------
        list of Commit
            It, and before it what stands for commits that are missing.
        """
        known = self.registry.account.number
        if commit.account.number <= known:
            return []
        commits = []
        if commit.account.number > known + 1:
            commits.append(self._lose(commit.account.number - known - 1, commit.account.time_ns))
        commit = self._with_names(commit)
        self.registry.name_all(commit.note.names)
        commits += self._back(commit)
        self.registry.fold(commit)
        return [*commits, commit]

    def finish(self, account: Account) -> list[Commit]:
        """Say that the log ends here, and what was acknowledged by then.

        Parameters
        ----------
        account : Account
            Of the last acknowledged commit.

        Returns
        -------
        list of Commit
            What stands for commits that are missing at the end.
        """
        n_commits = account.number - self.registry.account.number
        if n_commits <= 0:
            return []
        commits = [self._lose(n_commits, account.time_ns)]
        end = Commit(Note(account))
        self.registry.fold(end)
        return [*commits, end]

    def lose_rest(self, stop_ns: int) -> list[Commit]:
        """Say that there is no log at all although commits of it are sealed: how many are lost nobody can say.

        Parameters
        ----------
        stop_ns : int
            The time now [ns since 1970 UTC].

        Returns
        -------
        list of Commit
            What stands for them: one, at least; nothing where it was said before.
        """
        return [] if self.losses else [self._lose(1, stop_ns)]

    def _lose(self, n_commits: int, stop_ns: int) -> Commit:
        registry = self.registry
        start_ns = registry.account.time_ns
        self.losses.append(Loss(n_commits, start_ns, stop_ns))
        connected = [record for record in registry.by_code.values() if record.is_connected]
        rows = [
            (
                record,
                ConnectionRow(
                    pv=record.name,
                    time_ns=start_ns,
                    kind=RowKind.GAP,
                    last_heard_ns=registry.last_heard_ns(record),
                    seq=registry.account.seq,
                    protocol=record.protocol,
                ),
            )
            for record in connected
        ]
        commit = self._fold_rows(rows)
        for record in registry.by_code.values():
            # also one that was not connected: a lost commit may have held its reconnect
            record.in_doubt_since_ns = start_ns
        return commit

    def _back(self, commit: Commit) -> list[Commit]:
        in_doubt = self.registry.codes_in_doubt
        if not in_doubt:
            return []
        by_code = self.registry.by_code
        firsts: dict[int, tuple[int, pa.RecordBatch, int]] = {}
        for batch in commit.rows.values():
            found, rows = np.unique(batch["pv"].to_numpy(), return_index=True)
            for code, row in zip(found.tolist(), rows.tolist(), strict=True):
                seq = batch["seq"][row].as_py()
                # a PV may have changed its type: what came first counts
                if code in in_doubt and (code not in firsts or seq < firsts[code][0]):
                    firsts[code] = seq, batch, row
        back = [
            _reconnect(by_code[code], batch, row)
            for code, (_, batch, row) in firsts.items()
            if batch["kind"][row].as_py() == RowKind.SAMPLE
        ]
        return [self._fold_rows(back)] if back else []

    def _fold_rows(self, rows: Iterable[tuple[PvRecord, ConnectionRow]]) -> Commit:
        by_type: dict[ValueType, list[tuple[int, ConnectionRow]]] = {}
        for record, row in rows:
            # a PV without a type never had a value that could be taken to hold
            if record.value_type is not None:
                by_type.setdefault(record.value_type, []).append((record.code, row))
        batches = {value_type: connection_batch(found, value_type) for value_type, found in by_type.items()}
        commit = Commit(Note(self.registry.account), batches)
        self.registry.fold(commit)
        return commit

    def _with_names(self, commit: Commit) -> Commit:
        """Name what a lost commit named: the rows stay readable."""
        note = commit.note
        batches = [*commit.rows.values(), *commit.quarantined.values()]
        codes = {code for batch in batches for code in np.unique(batch["pv"].to_numpy()).tolist()}
        unnamed = (codes | note.filtered.keys() | note.iocs.keys()) - note.names.keys() - self.registry.names.keys()
        names = {**note.names, **{code: f"unnamed-{code}" for code in sorted(unnamed)}}
        known = {*self.registry.names.values(), *names.values()}
        metadata = tuple(entry for entry in note.metadata if entry.pv in known)
        if not unnamed and len(metadata) == len(note.metadata):
            return commit
        return replace(commit, note=replace(note, names=names, metadata=metadata))


def _reconnect(record: PvRecord, batch: pa.RecordBatch, row: int) -> tuple[PvRecord, ConnectionRow]:
    # never before the gap: its sample may carry an older stamp, and holds from then on all the same
    time_ns = max(batch["time_ns"][row].as_py(), record.in_doubt_since_ns or 0)
    return record, ConnectionRow(
        pv=record.name,
        time_ns=time_ns,
        kind=RowKind.RECONNECT,
        last_heard_ns=batch["received_ns"][row].as_py(),
        seq=batch["seq"][row].as_py(),
        protocol=record.protocol,
    )
