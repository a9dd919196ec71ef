"""Copies of a transfer, read back from their drive: what is found is what the catalog knows afterwards."""

from collections.abc import Callable
from dataclasses import replace

from nualley.catalog import Catalog, CopyState, ReplicaState, Transfer, TransferFile
from nualley.core import Clock, NualleyError
from nualley.replicas import decide
from nualley.replicas.errors import CopyDamaged, CopyGone
from nualley.replicas.models import Verification
from nualley.replicas.pace import Pace
from nualley.replicas.ports import Turns
from nualley.replicas.sides import Side
from nualley.storage import SourceUnreadable, SourceVanished

_N_NAMED = 3


class Verifier:
    """Reads the copies of one transfer back.

    Parameters
    ----------
    catalog : Catalog
        The record.
    turns : Turns
        Turns at devices and remotes.
    destination : Side
        Where the copies are.
    transfer : Transfer
        The transfer.
    clock : Clock
        Dates each proof.
    pace : Pace
        Told how far it is.
    check_there : callable
        Raises where the drive of the copies went away: then nothing is called missing or damaged.
    """

    def __init__(
        self,
        catalog: Catalog,
        turns: Turns,
        destination: Side,
        *,
        transfer: Transfer,
        clock: Clock,
        pace: Pace,
        check_there: Callable[[], object],
    ) -> None:
        self._check_there = check_there
        self._catalog = catalog
        self._turns = turns
        self._destination = destination
        self._transfer = transfer
        self._clock = clock
        self._pace = pace

    def run(self) -> Verification:
        """Read all that was entered."""
        transfers, number = self._catalog.transfers, self._transfer.transfer_id
        files = [file for file in transfers.files(number) if file.state is CopyState.CATALOGUED]
        size_B = sum(file.size_B for file in files)
        self._pace.expect(size_B)
        problems = [problem for file in files if (problem := self._verify(file))]
        if problems:
            transfers.finish(number, problem="; ".join(problem.what for problem in problems[:_N_NAMED]))
        n_files = len(files)
        return Verification(transfers.transfer(number), n_files, n_files - len(problems), size_B, tuple(problems))

    def _verify(self, file: TransferFile) -> NualleyError | None:
        path = self._destination.address(file.path)
        with self._turns.at({self._destination.device()}, self._pace.check_stop):
            try:
                found = self._destination.read_back(file.path, self._pace.file(file.size_B))
            except SourceVanished:
                self._check_there()
                self._note(path, ReplicaState.MISSING)
                self._catalog.transfers.settle(replace(file, state=CopyState.QUEUED), None)
                return _gone(path)
            except SourceUnreadable as error:
                self._check_there()
                self._note(path, ReplicaState.UNVERIFIED)
                return error
        if file.digests is not None and decide.is_same(found, file.digests):
            self._note(path, ReplicaState.VERIFIED, verified_ns=self._clock.now_ns())
            if file.problem:
                self._catalog.transfers.settle(replace(file, problem=""), None)
            return None
        self._check_there()
        damage = _damaged(path, decide.damage(found, file.size_B, file.xxh3_128))
        self._note(path, ReplicaState.DAMAGED)
        self._catalog.transfers.settle(replace(file, problem=damage.what), None)
        return damage

    def _note(self, path: str, state: ReplicaState, *, verified_ns: int | None = None) -> None:
        if self._transfer.drive is None:
            return
        known = self._catalog.replica_at(self._transfer.drive, path)
        if known is not None:
            self._catalog.update_replica(known.replica_id, state=state, verified_ns=verified_ns)


def _gone(path: str) -> CopyGone:
    return CopyGone(f"{path} is gone", where=path, do="copy it again: nualley transfer resume")


def _damaged(path: str, what: str) -> CopyDamaged:
    do = "look at the drive or the remote; move the damaged copy away, then: nualley transfer resume"
    return CopyDamaged(f"{path} {what}", where=path, do=do)
