"""Policies of replicas as pure functions: what is to be copied, how many copies there are, which drive is next."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from nualley.catalog import CopyState, Replica, ReplicaState, Transfer, TransferFile
from nualley.core import Digests
from nualley.replicas.errors import NotEnoughCopies
from nualley.replicas.models import Difference, HeldFile, Listing, Policy, Seen
from nualley.storage import DriveUsage

Folder = tuple[str, str]
"""A drive or remote, and a directory on it as the record has it."""


def reconcile(files: Sequence[TransferFile], listing: Listing) -> Difference:
    """Return in what a transfer's list differs from what a fresh look at its source found.

    Parameters
    ----------
    files : sequence of TransferFile
        The list.
    listing : Listing
        What is there now: this is what counts.

    Returns
    -------
    Difference
        A file that was written to since it was queued is queued again, whatever was done with it. One that was copied
        and then went away is none of it: its bytes are where they should be. Of what lies in a folder that could not be
        read nothing is known, and nothing is said.
    """
    known = {file.path: file for file in files}
    there = {seen.path for seen in listing.files}
    unseen = [refused.path for refused in listing.unreadable]
    return Difference(
        queued=tuple(
            TransferFile(path=seen.path, size_B=seen.size_B, mtime_ns=seen.mtime_ns, inode=seen.inode)
            for seen in listing.files
            if seen.path not in known or is_changed(known[seen.path], seen)
        ),
        gone=tuple(
            file
            for file in files
            if file.path not in there
            and file.state is not CopyState.CATALOGUED
            and not any(is_in(file.path, folder) for folder in unseen)
        ),
    )


def is_in(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it; the folder "" holds every one."""
    return folder in ("", path) or path.startswith(f"{folder}/")


def is_changed(file: TransferFile, seen: Seen) -> bool:
    """Return whether a file was written to or replaced since it was queued."""
    return (file.size_B, file.mtime_ns, file.inode) != (seen.size_B, seen.mtime_ns, seen.inode)


def may_source_go(transfer: Transfer, file: TransferFile) -> bool:
    """Return whether the source of a file may be looked at as one that could be deleted, by other rules than this.

    Parameters
    ----------
    transfer : Transfer
        The transfer.
    file : TransferFile
        One of its files.

    Returns
    -------
    bool
        Only after two commits, the drive's and the catalog's, and only where a fresh look at the source found nothing
        that the transfer did not copy: a list alone never says it.
    """
    return file.state is CopyState.CATALOGUED and not file.problem and transfer.finished_ns is not None


def is_same(found: Digests, wanted: Digests) -> bool:
    """Return whether bytes are those that are meant; a remote that reckons by itself tells no adler32.

    Examples
    --------
    >>> is_same(Digests(3, "06b0", ""), Digests(3, "06b0", "024d0127"))
    True
    """
    return (found.size_B, found.xxh3_128) == (wanted.size_B, wanted.xxh3_128) and found.adler32 in ("", wanted.adler32)


def damage(found: Digests, size_B: int, xxh3_128: str) -> str:
    """Return in words that a file holds other bytes than were written: what it holds, and what it should."""
    return f"holds xxh3_128 {found.xxh3_128} ({found.size_B} B), written was {xxh3_128} ({size_B} B)"


def pause_s(done_B: int, elapsed_s: float, rate_B_per_s: int | None) -> float:
    """Return how long to wait so that no more than a rate is reached [s].

    Parameters
    ----------
    done_B : int
        Bytes since it was begun [B].
    elapsed_s : float
        Time since then [s].
    rate_B_per_s : int or None
        The limit [B/s]; None for none.

    Examples
    --------
    >>> pause_s(300, 1.0, 100), pause_s(50, 1.0, 100), pause_s(50, 0.0, None)
    (2.0, 0.0, 0.0)
    """
    return max(0.0, done_B / rate_B_per_s - elapsed_s) if rate_B_per_s else 0.0


# ---------------------------------------------------------------- copies and places
def count_copies(replicas: Iterable[Replica], usages: Sequence[DriveUsage]) -> int:
    """Return how many copies of a file there are.

    Parameters
    ----------
    replicas : iterable of Replica
        What the catalog knows of it.
    usages : sequence of DriveUsage
        The drives that this machine sees.

    Returns
    -------
    int
        Verified ones. Those on drives that share a device are one; a tape, a remote or a drive on a shelf counts like
        any other, though nothing of it is seen here.
    """
    group = {usage.drive.name: min(usage.drive.name, *usage.shares_with) for usage in usages if usage.shares_with}
    verified = {replica.drive for replica in replicas if replica.state is ReplicaState.VERIFIED}
    return len({group.get(name, name) for name in verified})


def choose_folders(
    files: Iterable[HeldFile], usages: Sequence[DriveUsage], remotes: Collection[str] = ()
) -> tuple[dict[Folder, list[HeldFile]], list[HeldFile]]:
    """Return from which directories files are copied: as few as hold all together, each with what is copied from it.

    Parameters
    ----------
    files : iterable of HeldFile
        The files.
    usages : sequence of DriveUsage
        The drives; only one that is there is copied from.
    remotes : collection of str
        Names of the remotes.

    Returns
    -------
    chosen : dict of (drive or remote, directory) to list of HeldFile
        The one that holds most comes first, of equal ones the longest on record; remotes are the last.
    unreached : list of HeldFile
        Those of which no verified replica is within reach.
    """
    there = {usage.drive.name for usage in usages if usage.is_mounted}
    places = [(file, _places(file, there.union(remotes))) for file in files]
    chosen: dict[Folder, list[HeldFile]] = {}
    left = [(file, found) for file, found in places if found]
    while left:
        n_files, oldest = Counter[Folder](), dict[Folder, int]()
        for _, found in left:
            n_files.update(found.keys())
            for folder, number in found.items():
                oldest[folder] = min(number, oldest.get(folder, number))
        best = max(n_files, key=lambda folder: (folder[0] in there, n_files[folder], -oldest[folder]))
        chosen[best] = [file for file, found in left if best in found]
        left = [(file, found) for file, found in left if best not in found]
    return chosen, [file for file, found in places if not found]


def _places(file: HeldFile, reached: Collection[str]) -> dict[Folder, int]:
    """Return in which directories verified replicas of a file lie that are within reach, and their numbers."""
    return {
        (replica.drive, os.path.dirname(replica.path)): replica.replica_id  # noqa: PTH120 - escaped text
        for replica in file.replicas
        if replica.state is ReplicaState.VERIFIED and replica.drive in reached
    }


def not_enough(n_files: int, stage: str, policy: Policy, why: str) -> NotEnoughCopies:
    """Return the error of files that get fewer copies than they should have."""
    return NotEnoughCopies(
        f"{n_files} files of stage {stage} have fewer than {policy.n_copies} copies, and get no more: {why}",
        where=f"replicas.placement.{stage}",
        do="mount what is missing, add a drive in drives.toml, or ask for fewer copies",
    )
