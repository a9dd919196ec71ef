"""What could be taken away to make room, the safest first; nothing is touched here, and nothing is read."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from nualley.catalog import Catalog, PlacedFile, ReplicaState
from nualley.core import SECOND_NS, Clock, NualleyError, reason, unescape_name
from nualley.replicas.errors import RemovalRefused
from nualley.replicas.judging import Judge, Rules, find_derivation, is_busy
from nualley.replicas.plans import new_plan_id
from nualley.replicas.ports import Drives
from nualley.replicas.removals import Elsewhere, Ground, Proposal, Removal, RemovalPlan
from nualley.replicas.sides import remote_device
from nualley.storage import DriveMissing, DriveUsage, RemovalFiles

_ORDER = list(Ground)


class UserFile(NamedTuple):
    """A file of a user, as a scan found it.

    Parameters
    ----------
    path : str
        Where it lies, escaped.
    size_B, mtime_ns : int
        Size [B] and last change of its bytes [ns since 1970 UTC].
    owner : str or None
        Whose it is.
    """

    path: str
    size_B: int
    mtime_ns: int
    owner: str | None


@dataclass(slots=True)
class _Found:
    """What was found on the drives."""

    removals: list[Removal] = field(default_factory=list)
    held_B: Counter[str] = field(default_factory=Counter)
    problems: list[NualleyError] = field(default_factory=list)


class Proposer:
    """Proposes what could go.

    Parameters
    ----------
    catalog : Catalog
        The record.
    drives : Drives
        The drives as they are now.
    looks : RemovalFiles
        Looks at names.
    judge : Judge
        Knows what is on its way.
    rules : Rules
        What the experiment says.
    user_files : callable
        Takes a drive; the files of users that its newest scan found.
    clock : Clock
        Dates the plan.
    remotes : sequence of str
        Remotes whose verified copies count; nothing is asked of them here.
    """

    def __init__(
        self,
        catalog: Catalog,
        drives: Drives,
        looks: RemovalFiles,
        *,
        judge: Judge,
        rules: Rules,
        user_files: Callable[[DriveUsage], Iterable[UserFile]],
        clock: Clock,
        remotes: Sequence[str] = (),
    ) -> None:
        self._remotes = remotes
        self._catalog = catalog
        self._drives = drives
        self._looks = looks
        self._judge = judge
        self._rules = rules
        self._user_files = user_files
        self._clock = clock

    def propose(self, experiment: str, *, drive: str | None = None, free_B: int | None = None) -> Proposal:
        """Propose files that could go until there is so much more room.

        Parameters
        ----------
        experiment : str
            Name of the experiment.
        drive : str, optional
            Only on this one.
        free_B : int, optional
            How much room is wanted [B]; by default all that could go is proposed.

        Returns
        -------
        Proposal
            Of no file more replicas than may go together.
        """
        found = _Found()
        wanted = [usage for usage in self._drives.usages() if drive in (None, usage.drive.name)]
        for usage in wanted:
            if not usage.is_mounted:
                error = DriveMissing(
                    f"{usage.drive.name} is missing: {usage.error}", where=usage.drive.name, do="mount it"
                )
                found.problems.append(error)
        mounted = [usage for usage in wanted if usage.is_mounted]
        for removal in self._known(mounted, found):
            found.removals.append(removal)
        for usage in mounted:
            try:
                found.removals += self._stale(usage)
            except NualleyError as error:
                found.problems.append(error)
        return self._choose(experiment, found, free_B)

    # ------------------------------------------------------------ what the catalog knows
    def _known(self, mounted: list[DriveUsage], found: _Found) -> Iterator[Removal]:
        there: dict[str, int | str | None] = {
            usage.drive.name: usage.device for usage in self._drives.usages() if usage.is_mounted
        }
        there |= {remote: remote_device(remote) for remote in self._remotes}
        verified: dict[int, list[tuple[str, PlacedFile]]] = defaultdict(list)
        for name in there:
            for placed in self._catalog.placed_files(name):
                if placed.state is ReplicaState.VERIFIED:
                    verified[placed.file_id].append((name, placed))
        frozen, busy = self._rules.frozen(), self._judge.busy_places()
        for usage in mounted:
            name = usage.drive.name
            stages = self._catalog.removals.stages(name)
            for placed in self._catalog.placed_files(name):
                why = _held(placed, frozen)
                if not why and is_busy(busy, name, placed.path):
                    why = "a transfer under way"
                removal = None
                if not why:
                    removal = self._removal(usage, placed, stages[placed.file_id], verified, there)
                    why = "" if removal else "needed: too few verified copies are elsewhere"
                if removal is None:
                    found.held_B[why] += placed.size_B if placed.state.is_there else 0
                    continue
                # the next replica of the same file must not count on this one
                verified[placed.file_id] = [each for each in verified[placed.file_id] if each[1] != placed]
                yield removal

    def _removal(
        self,
        usage: DriveUsage,
        placed: PlacedFile,
        stage: str,
        verified: Mapping[int, list[tuple[str, PlacedFile]]],
        there: Mapping[str, int | str | None],
    ) -> Removal | None:
        others = {
            there[name]: Elsewhere(name, each.path, each.verified_ns)
            for name, each in verified[placed.file_id]
            if there[name] != usage.device
        }
        base = Removal(
            ground=Ground.COPIES,
            drive=usage.drive.name,
            path=placed.path,
            size_B=placed.size_B,
            mtime_ns=0,
            ctime_ns=0,
            inode=0,
            replica_id=placed.replica_id,
            file_id=placed.file_id,
            run_id=placed.run_id,
            xxh3_128=placed.xxh3_128,
            elsewhere=tuple(others.values()),
        )
        if len(others) >= max(1, self._rules.policy(stage).n_copies):
            return base
        derivation = None if stage == "raw" else find_derivation(self._catalog, self._catalog.file(placed.file_id))
        if derivation is None:
            return None
        return replace(
            base,
            ground=Ground.DERIVABLE,
            derived_by=f"{derivation.kind} {derivation.activity_id} with {derivation.code or 'code unknown'}",
            cost_s=(derivation.stop_ns - derivation.start_ns) / SECOND_NS,
        )

    # ------------------------------------------------------------ files of users
    def _stale(self, usage: DriveUsage) -> Iterator[Removal]:
        known = {each.path for each in self._catalog.placed_files(usage.drive.name) if each.state.is_there}
        for file in self._user_files(usage):
            if file.path in known or self._clock.now_ns() - file.mtime_ns < self._rules.reclaim.stale_ns:
                continue
            yield Removal(
                ground=Ground.STALE,
                drive=usage.drive.name,
                path=file.path,
                size_B=file.size_B,
                mtime_ns=file.mtime_ns,
                ctime_ns=0,
                inode=0,
                owner=file.owner,
            )

    # ------------------------------------------------------------ which of them
    def _choose(self, experiment: str, found: _Found, free_B: int | None) -> Proposal:
        available: Counter[Ground] = Counter()
        chosen: list[Removal] = []
        chosen_B = 0
        for removal in sorted(found.removals, key=_rank):
            available[removal.ground] += removal.size_B
            if free_B is not None and chosen_B >= free_B:
                continue
            try:
                seen = self._seen(removal)
            except RemovalRefused as error:
                available[removal.ground] -= removal.size_B
                found.problems.append(error)
                continue
            chosen.append(seen)
            chosen_B += seen.size_B
        plan = RemovalPlan(
            plan_id=new_plan_id(),
            experiment=experiment,
            created_ns=self._clock.now_ns(),
            removals=tuple(chosen),
        )
        held = {why: size_B for why, size_B in found.held_B.items() if size_B}
        return Proposal(plan, dict(available), held, tuple(found.problems))

    def _seen(self, removal: Removal) -> Removal:
        """Return a file as it is at this moment; RemovalRefused where it is not what the record or the scan says."""
        try:
            look = self._looks.look(Path(unescape_name(removal.path)))
        except OSError as error:
            raise _not_seen(removal, reason(error)) from error
        if look is None or not look.is_regular:
            raise _not_seen(removal, "no file is there")
        if look.size_B != removal.size_B or (removal.ground is Ground.STALE and look.mtime_ns != removal.mtime_ns):
            raise _not_seen(removal, "it is another file than record or scan say")
        if look.n_names > 1:
            raise _not_seen(removal, f"it has {look.n_names} names: nothing becomes free where one of them goes")
        return replace(removal, mtime_ns=look.mtime_ns, ctime_ns=look.ctime_ns, inode=look.inode)


def _held(placed: PlacedFile, frozen: Mapping[str, object]) -> str:
    if placed.state is not ReplicaState.VERIFIED:
        return f"{placed.state}: not known to be good"
    return "in a frozen selection" if placed.run_id in frozen else ""


def _rank(removal: Removal) -> tuple[int, float, str]:
    """Return what comes first: the safest, then the largest; the cheapest to make again; the longest untouched."""
    within = {
        Ground.DERIVABLE: (removal.cost_s or 0.0) / max(1, removal.size_B),
        Ground.STALE: float(removal.mtime_ns),
    }
    return _ORDER.index(removal.ground), within.get(removal.ground, -float(removal.size_B)), removal.path


def _not_seen(removal: Removal, why: str) -> RemovalRefused:
    return RemovalRefused(
        f"{removal.path} is not proposed: {why}", where=removal.path, do="nualley drives consistency tells more"
    )
