"""Who listens at a port of this machine, as far as this account may see."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nualley.core import escape_name

_TABLES = ("net/tcp", "net/tcp6")
_LISTENS = "0A"


def listener_of(port: int, proc: Path = Path("/proc")) -> str:
    """Return who listens at a port.

    Parameters
    ----------
    port : int
        TCP port, 1 to 65535.
    proc : Path
        The kernel's account of processes.

    Returns
    -------
    str
        Such as ``process 4711 (python -m nualley.cli up web)``; ``another process`` where it is another account's.
    """
    sockets = {f"socket:[{inode}]" for table in _TABLES for inode in _inodes(proc / table, port)}
    for process in sorted(proc.glob("[0-9]*"), key=lambda folder: int(folder.name)):
        if sockets & set(_open_files(process)):
            return f"process {process.name} ({_command(process)})"
    return "another process"


def _inodes(table: Path, port: int) -> Iterator[str]:
    try:
        rows = table.read_text().splitlines()[1:]
    except OSError:  # no such protocol, or not Linux
        return
    for row in rows:
        # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
        fields = row.split()
        if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        links = list((process / "fd").iterdir())
    except OSError:  # another account's, or it has ended
        return
    for link in links:
        with suppress(OSError):  # closed meanwhile
            yield str(link.readlink())


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "ended meanwhile"
    return escape_name(b" ".join(words))
