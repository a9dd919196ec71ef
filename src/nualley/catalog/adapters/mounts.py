"""Which file system is under a path: SQLite must not lie on one of the network."""

import re
from pathlib import Path

from nualley.catalog.errors import CatalogOnNetwork
from nualley.core import escape_name

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "orangefs"),
        *("ncpfs", "9p", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.davfs"),
    )
)


def file_system_type(path: Path) -> str:
    """Return the type of the file system under a path.

    Parameters
    ----------
    path : Path
        It need not exist yet.

    Returns
    -------
    str
        Such as ``ext4`` or ``nfs4``; empty where the machine does not say.
    """
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return ""
    return find_type(lines, path.resolve())


def find_type(lines: list[bytes], path: Path) -> str:
    r"""Return the type of the mount that holds a path, from the lines of ``mountinfo`` (proc(5)).

    Parameters
    ----------
    lines : list of bytes
        Mount points with ``\040`` for a space; a later line covers an earlier one.
    path : Path
        Absolute, links resolved.

    Returns
    -------
    str
        Type of the deepest mount point above the path, empty where there is none.
    """
    wanted = bytes(path)
    depth, kind = -1, b""
    for line in lines:
        before, _, after = line.partition(b" - ")
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), before.split(b" ")[4])
        stem = point.rstrip(b"/")
        if (wanted == point or wanted.startswith(stem + b"/")) and len(stem) >= depth:
            depth, kind = len(stem), after.split(b" ")[0]
    return kind.decode()


def refuse_network(path: Path, kind: str) -> None:
    """Refuse SQLite on a network file system.

    Parameters
    ----------
    path : Path
        Where the catalog is or would be.
    kind : str
        Type of the file system there.

    Raises
    ------
    CatalogOnNetwork
        Where it is one of the network.
    """
    if kind in _NETWORK:
        raise CatalogOnNetwork(
            f"{escape_name(str(path))} lies on {kind}: SQLite's locks do not hold there, two hosts would damage it",
            where="catalog.url",
            do="put the store on a local drive, and let other hosts ask its web (catalog.url = 'http://...'); or use "
            "PostgreSQL (catalog.url = 'postgresql://...')",
        )
