"""Whether a file may go now: nothing is believed but what record and drives say at this moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.catalog import Activity, Catalog, FileRecord, PlacedFile, Replica, ReplicaState
from nualley.core import SECOND_NS, Clock, format_duration, unescape_name
from nualley.replicas import decide
from nualley.replicas.errors import RemoteError, RemovalRefused
from nualley.replicas.models import Policy
from nualley.replicas.places import NoRemotes, lies_on, split_remote
from nualley.replicas.ports import Drives, Remotes, Trees
from nualley.replicas.removals import Ground, Removal
from nualley.replicas.scrubbing import Scrubber, ScrubResult
from nualley.replicas.settings import ReclaimSettings
from nualley.storage import DriveUsage, FileLook, Owner, RemovalFiles

DERIVING = frozenset({"process", "simulate"})
"""Kinds of activities that make bytes out of others, and would make them again."""

USER_STAGE = "user"
"""Stage of files that belong to a person."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the experiment says of taking files away.

    Parameters
    ----------
    policy : callable
        Takes a stage; how many copies of it there should be.
    reclaim : ReclaimSettings
        How long proofs hold, and when files of users are stale.
    frozen : callable
        Returns the frozen selections by run: a run in one of them is never touched.
    owner_of : callable
        Takes a drive and an escaped path; whose it is.
    """

    policy: Callable[[str], Policy]
    reclaim: ReclaimSettings
    frozen: Callable[[], Mapping[str, Sequence[str]]]
    owner_of: Callable[[str, str], Owner]


_NO_REMOTES = NoRemotes()


class Judge:
    """Says whether a file may go.

    Parameters
    ----------
    catalog : Catalog
        The record.
    drives : Drives
        The drives as they are now.
    looks : RemovalFiles
        Looks at names.
    trees : Trees
        Resolves links: what a link leads to on another drive is no copy of its own.
    scrubber : Scrubber
        Reads replicas back, and enters what it finds.
    rules : Rules
        What the experiment says.
    clock : Clock
        Says how old a proof is.
    remotes : Remotes
        What else may hold copies.
    """

    def __init__(
        self,
        catalog: Catalog,
        drives: Drives,
        looks: RemovalFiles,
        *,
        trees: Trees,
        scrubber: Scrubber,
        rules: Rules,
        clock: Clock,
        remotes: Remotes = _NO_REMOTES,
    ) -> None:
        self._catalog = catalog
        self._remotes = remotes
        self._drives = drives
        self._looks = looks
        self._trees = trees
        self._scrubber = scrubber
        self._rules = rules
        self._clock = clock

    def check(self, removal: Removal, *, in_trash: bool = False) -> tuple[int, ...]:
        """Return the replicas that a file rests on where it goes; of a user's file none.

        Parameters
        ----------
        removal : Removal
            The file, as somebody said that it was.
        in_trash : bool
            It lies in the trash, and is to be deleted for good.

        Raises
        ------
        RemovalRefused
            Where it may not go now.
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used.
        """
        if removal.ground is Ground.PURGE:
            raise _refused(removal, "no plan of a person says so: it is a drop directory's own", _ANEW)
        usages = {usage.drive.name: usage for usage in self._drives.usages()}
        usage = usages.get(removal.drive)
        if usage is None or not usage.is_mounted:
            raise _refused(removal, f"its drive {removal.drive} is not there", "mount it")
        if removal.ground is Ground.STALE:
            self.check_stale(removal, usage)
            return ()
        file, own = self._known(removal, in_trash=in_trash)
        if not in_trash:
            self._check_free(removal, file, own)
        if removal.ground is Ground.DERIVABLE:
            if file.run_id in self._rules.frozen():
                raise _refused(removal, _frozen(self._rules.frozen()[file.run_id]), _KEEP)
            if find_derivation(self._catalog, file) is None:
                raise _refused(removal, "nothing on record could make it again", _KEEP)
            return ()
        n_needed = max(1, self._rules.policy(file.stage).n_copies)
        look = self._looks.look(Path(unescape_name(removal.path)))
        return self.proven_elsewhere(removal, file, n_needed, device=usage.device, look=look, remotes=self._remotes)

    def _known(self, removal: Removal, *, in_trash: bool) -> tuple[FileRecord, Replica]:
        """Return file and replica as the record has them, where that is what was said."""
        if removal.file_id is None:
            raise _refused(removal, "no file of the catalog is named", _ANEW)
        wanted = ReplicaState.REMOVED if in_trash else ReplicaState.VERIFIED
        own = [each for each in self._catalog.replicas(removal.file_id) if each.replica_id == removal.replica_id]
        if not own or (own[0].drive, own[0].path) != (removal.drive, removal.path):
            raise _refused(removal, "the catalog knows no such replica there", _ANEW)
        if own[0].state is not wanted:
            raise _refused(removal, f"its replica is {own[0].state}, not {wanted}", _ANEW)
        file = self._catalog.file(removal.file_id)
        if (file.xxh3_128, file.size_B, file.run_id) != (removal.xxh3_128, removal.size_B, removal.run_id):
            raise _refused(removal, "the catalog has other bytes, or another run, for it", _ANEW)
        return file, own[0]

    def _check_free(self, removal: Removal, file: FileRecord, own: Replica) -> None:
        """Refuse what is frozen, on its way, or does not hold what the record says."""
        frozen = self._rules.frozen().get(file.run_id)
        if frozen:
            raise _refused(removal, _frozen(frozen), _KEEP)
        if is_busy(self.busy_places(), removal.drive, removal.path):
            raise _refused(removal, "a transfer that is not finished reads or writes there", "nualley transfer resume")
        if not self.is_proven(own, file):
            raise _refused(removal, "it does not hold what was written: it may be the only one of its bytes", _SCRUB)

    def busy_places(self) -> list[tuple[str | None, str]]:
        """Return where unfinished transfers begin and end: drives, None for none of the experiment's, and paths."""
        return [
            place
            for transfer in self._catalog.transfers.transfers(is_open=True)
            for place in ((transfer.source_drive, transfer.source), (transfer.drive, transfer.destination))
        ]

    # ------------------------------------------------------------ copies elsewhere
    def proven_elsewhere(
        self,
        removal: Removal,
        file: FileRecord,
        n_needed: int,
        *,
        device: int | None,
        look: FileLook | None,
        remotes: Remotes = _NO_REMOTES,
    ) -> tuple[int, ...]:
        """Return verified replicas of a file in as many other homes as are needed, each read back lately or now.

        Parameters
        ----------
        removal : Removal
            The file that is to go.
        file : FileRecord
            The file as the record has it.
        n_needed : int
            How many, >= 1.
        device : int or None
            The device that it is on: a replica there is none.
        look : FileLook or None
            The file itself: another name of it is no replica.
        remotes : Remotes
            Those whose copies count like the ones on drives, which come first; by default none.

        Raises
        ------
        RemovalRefused
            Where there are fewer, or a remote that is needed does not answer.
        """
        kept: list[int] = []
        homes: set[int | str | None] = {device}
        silent: list[str] = []
        for replica, usage in self._others(removal, file):
            if len(kept) >= n_needed:
                break
            if usage.device in homes or self._is_same(replica, look) or not self.is_proven(replica, file):
                continue
            kept.append(replica.replica_id)
            homes.add(usage.device)
        for replica in self._verified(removal, file):
            if len(kept) >= n_needed:
                break
            try:
                home = self._proven_home(replica, file, remotes)
            except RemoteError as error:  # what does not answer holds nothing
                silent.append(error.what)
                continue
            if home is not None and home not in homes:
                kept.append(replica.replica_id)
                homes.add(home)
        if len(kept) >= n_needed:
            return tuple(kept)
        raise _refused(
            removal,
            "; ".join(
                [
                    f"{len(kept)} verified replicas of it are on other devices that are there, {n_needed} are needed",
                    *dict.fromkeys(silent),
                ]
            ),
            "copy it: nualley transfer place; or mount what is missing",
        )

    def _verified(self, removal: Removal, file: FileRecord) -> list[Replica]:
        """Return the other replicas that the record calls verified, the last proof first."""
        good = [
            replica
            for replica in self._catalog.replicas(file.file_id)
            if replica.state is ReplicaState.VERIFIED and replica.replica_id != removal.replica_id
        ]
        return sorted(good, key=lambda replica: -(replica.verified_ns or 0))

    def _proven_home(self, replica: Replica, file: FileRecord, remotes: Remotes) -> str | None:
        """Return which remote holds a replica: it is there now, and was or is read back; None where none does.

        A remote has no time that nobody can set: how lately its bytes count unread is a rule of its own.
        """
        place = split_remote(replica.path)
        if place is None or place.remote != replica.drive or place.remote not in remotes.names():
            return None
        remote = remotes.open(place.remote)
        if remote.home() is None or remote.sizes([place.path]).get(place.path) != file.size_B:
            return None
        proof_ns = self._rules.reclaim.remote_proof_ns
        # proofs under the name of a drive are of that drive, which the remote was called after
        is_drive = place.remote in self._catalog.drive_ids()
        is_believed = not is_drive and is_recent(replica.verified_ns, self._clock.now_ns(), proof_ns)
        return remote.home() if is_believed or self._reads_back(replica, file) else None

    def _others(self, removal: Removal, file: FileRecord) -> list[tuple[Replica, DriveUsage]]:
        usages = {usage.drive.name: usage for usage in self._drives.usages() if usage.is_mounted}
        return [
            (each, usages[each.drive])
            for each in self._verified(removal, file)
            if each.drive in usages and self._lies_on(usages[each.drive], each.path)
        ]

    def _lies_on(self, usage: DriveUsage, path: str) -> bool:
        try:
            return lies_on(Path(unescape_name(path)), usage.drive.path, self._trees)
        except OSError:  # a folder that cannot be searched proves nothing
            return False

    def _is_same(self, replica: Replica, look: FileLook | None) -> bool:
        other = self._look(replica.path)
        return other is not None and look is not None and (other.device, other.inode) == (look.device, look.inode)

    def _look(self, path: str) -> FileLook | None:
        try:
            return self._looks.look(Path(unescape_name(path)))
        except OSError:  # a folder that cannot be searched proves nothing
            return None

    def is_proven(self, replica: Replica, file: FileRecord) -> bool:
        """Return whether a replica holds the file's bytes: read back lately and not touched since, or read back now."""
        look = self._look(replica.path)
        if look is None or not look.is_regular or look.size_B != file.size_B:
            return False
        if is_fresh(replica.verified_ns, look, self._clock.now_ns(), self._rules.reclaim.proof_ns):
            return True
        return self._reads_back(replica, file)

    def _reads_back(self, replica: Replica, file: FileRecord) -> bool:
        placed = PlacedFile(
            path=replica.path,
            state=replica.state,
            size_B=file.size_B,
            verified_ns=replica.verified_ns,
            replica_id=replica.replica_id,
            file_id=file.file_id,
            run_id=file.run_id,
            xxh3_128=file.xxh3_128,
        )
        found = [each.result for each in self._scrubber.run(replica.drive, [placed])]
        return found == [ScrubResult.INTACT]

    # ------------------------------------------------------------ files of users
    def check_stale(self, removal: Removal, usage: DriveUsage) -> None:
        """Refuse a file that is no user's, that the catalog knows, or that was written to lately.

        Raises
        ------
        RemovalRefused
            Says which.
        """
        path = Path(unescape_name(removal.path))
        if not path.is_relative_to(usage.drive.path) or ".." in path.parts:
            raise _refused(removal, f"it does not lie on {usage.drive.name}", _ANEW)
        if any(each.state.is_there for each in self._replicas_at(removal.path)):
            raise _refused(removal, "the catalog knows it: it is no file of a user alone", _ANEW)
        if self._rules.owner_of(removal.drive, removal.path).stage != USER_STAGE:
            raise _refused(removal, "by the rules of drives.toml it is no file of a user", _KEEP)
        age_ns = self._clock.now_ns() - removal.mtime_ns
        if age_ns < self._rules.reclaim.stale_ns:
            wanted = format_duration(self._rules.reclaim.stale_ns / SECOND_NS)
            was = format_duration(max(0, age_ns) / SECOND_NS)
            raise _refused(removal, f"it was written to {was} ago, stale is {wanted}", _KEEP)

    def _replicas_at(self, path: str) -> list[Replica]:
        files = self._catalog.files_at(path)
        return [each for file in files for each in self._catalog.replicas(file.file_id) if each.path == path]


def is_busy(places: Sequence[tuple[str | None, str]], drive: str, path: str) -> bool:
    """Return whether an unfinished transfer begins or ends at a path, or above it."""
    return any(of in (drive, None) and decide.is_in(path, place) for of, place in places)


def is_fresh(verified_ns: int | None, look: FileLook, now_ns: int, proof_ns: int) -> bool:
    """Return whether a reading back still proves what a file holds.

    Parameters
    ----------
    verified_ns : int or None
        When it was read back [ns since 1970 UTC].
    look : FileLook
        What it is now.
    now_ns : int
        What the clock says [ns since 1970 UTC].
    proof_ns : int
        How long a proof holds [ns].

    Returns
    -------
    bool
        Never where the proof is of a time to come, or the file's inode changed after it.
    """
    return verified_ns is not None and is_recent(verified_ns, now_ns, proof_ns) and look.ctime_ns <= verified_ns


def is_recent(verified_ns: int | None, now_ns: int, proof_ns: int) -> bool:
    """Return whether a reading back is so young that it may be believed, and none of a time to come.

    Examples
    --------
    >>> is_recent(10, 15, 6), is_recent(10, 15, 5), is_recent(20, 15, 6), is_recent(None, 15, 6), is_recent(15, 15, 0)
    (True, False, False, False, False)
    """
    return verified_ns is not None and 0 <= now_ns - verified_ns < proof_ns


def find_derivation(catalog: Catalog, file: FileRecord) -> Activity | None:
    """Return what made a file and could make it again, the last one; None where nothing is on record that could.

    Parameters
    ----------
    catalog : Catalog
        The record.
    file : FileRecord
        The file; raw data are made by nothing.
    """
    if file.stage == "raw":
        return None
    things = [f"file:{file.run_id}/{file.name}", *(each.path for each in catalog.replicas(file.file_id))]
    made = {
        activity.activity_id: activity
        for thing in things
        for activity in catalog.activities(thing)
        if activity.kind in DERIVING and thing in activity.outputs
    }
    good = [each for each in made.values() if _has_inputs(catalog, each, file)]
    return max(good, key=lambda each: each.activity_id, default=None)


def _has_inputs(catalog: Catalog, activity: Activity, file: FileRecord) -> bool:
    """Return whether all that an activity took is still there."""
    if not activity.inputs:
        return activity.kind == "simulate"
    return all(_is_kept(catalog, thing, file) for thing in activity.inputs)


def _is_kept(catalog: Catalog, thing: str, file: FileRecord) -> bool:
    if thing.startswith("file:"):
        run_id, _, name = thing.removeprefix("file:").partition("/")
        found = catalog.find_file(run_id, name)
        files = [found] if found else []
    else:
        files = catalog.files_at(thing)
    return any(
        replica.state is ReplicaState.VERIFIED
        for each in files
        if each.file_id != file.file_id
        for replica in catalog.replicas(each.file_id)
    )


_ANEW = "make a new plan: nualley drives reclaim"
_KEEP = "take its line out of the plan"
_SCRUB = "nualley drives scrub, and look at it"


def _refused(removal: Removal, why: str, do: str) -> RemovalRefused:
    return RemovalRefused(f"{removal.path} stays: {why}", where=removal.path, do=do)


def _frozen(names: Sequence[str]) -> str:
    return f"its run is in the frozen selection {', '.join(names)}"
