"""Whether a replica that the catalog knows is there, and still holds its bytes."""

from dataclasses import dataclass
from pathlib import Path

from nualley.catalog import FileRecord, Replica, ReplicaState
from nualley.core import Digests, NualleyError, reason, unescape_name
from nualley.ingest.errors import ReplicaDamaged, ReplicaLost, ReplicaUnproven
from nualley.storage import DriveUsage, DurableFiles, SourceUnreadable, SourceVanished, read_back


@dataclass(frozen=True, slots=True)
class Finding:
    """How a replica was found to be.

    Parameters
    ----------
    state : ReplicaState
        How it stands.
    is_proven : bool
        Its bytes were read back from the drive and are the right ones.
    problem : NualleyError or None
        What the user should know.
    """

    state: ReplicaState
    is_proven: bool = False
    problem: NualleyError | None = None


def examine(
    replica: Replica,
    known: FileRecord,
    usage: DriveUsage | None,
    *,
    files: DurableFiles,
    reads: bool,
    is_remote: bool = False,
) -> Finding:
    """Say how a replica stands.

    Parameters
    ----------
    replica : Replica
        As the catalog knows it.
    known : FileRecord
        What it has to hold.
    usage : DriveUsage or None
        Its drive, as it was just measured; None where there is none of that name any more.
    files : DurableFiles
        The file systems.
    reads : bool
        Read its bytes back; else only see that it is there with its size.
    is_remote : bool
        It lies on a remote. Its path does not tell: what lies on a drive that nobody names any more looks the same.

    Returns
    -------
    Finding
        Of a drive that is missing, and of a remote, nothing is known: there the state stays as it was.
    """
    if usage is None or not usage.is_mounted:
        why = usage.error if usage else "drives.toml names no such drive"
        # a remote is read back by transfers; here nothing is asked over a network
        problem = None if is_remote else _unproven(replica, known, f"the drive is missing: {why}")
        return Finding(replica.state, problem=problem)
    path = Path(unescape_name(replica.path))
    try:
        state = files.state(path)
        size_B = state.size_B if state else None
        if size_B != known.size_B:
            return _judge(replica, known, size_B=size_B)
        if not reads:
            return Finding(replica.state)
        return _judge(replica, known, size_B=size_B, digests=read_back(path, files=files))
    except (SourceUnreadable, SourceVanished) as error:
        # what cannot be read back is not verified, whatever it was
        return Finding(ReplicaState.UNVERIFIED, problem=_unproven(replica, known, error.what))
    except OSError as error:  # a folder that may not be searched proves nothing
        return Finding(replica.state, problem=_unproven(replica, known, reason(error)))


def _judge(replica: Replica, known: FileRecord, *, size_B: int | None, digests: Digests | None = None) -> Finding:
    if size_B is None:
        return Finding(ReplicaState.MISSING, problem=_lost(replica, known))
    if digests == known.digests:
        return Finding(ReplicaState.VERIFIED, is_proven=True)
    found = f"xxh3_128 {digests.xxh3_128} adler32 {digests.adler32} ({size_B} B)" if digests else f"{size_B} B"
    return Finding(ReplicaState.DAMAGED, problem=_damaged(replica, known, found))


def _shown(replica: Replica, known: FileRecord) -> str:
    return f"the replica of {known.run_id}/{known.name} on {replica.drive}"


def _lost(replica: Replica, known: FileRecord) -> NualleyError:
    return ReplicaLost(
        f"{_shown(replica, known)} is missing: nothing is at {replica.path}",
        where=replica.path,
        do="look who removed it; a new copy is made of this file where a drive takes it",
    )


def _damaged(replica: Replica, known: FileRecord, found: str) -> NualleyError:
    return ReplicaDamaged(
        f"{_shown(replica, known)} is damaged: it holds {found}, the catalog knows xxh3_128 {known.xxh3_128} "
        f"adler32 {known.adler32} ({known.size_B} B)",
        where=replica.path,
        do="look at the drive's SMART state; the damaged file is kept, a new copy is made of this file",
    )


def _unproven(replica: Replica, known: FileRecord, why: str) -> NualleyError:
    return ReplicaUnproven(
        f"{_shown(replica, known)} was not read: {why}",
        where=replica.path,
        do="mount the drive and give this user the right to read it, then give the command again",
    )
