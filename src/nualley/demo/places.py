"""Where a demo may be: a folder and a TCP port that are its own."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nualley.app.locks import hold_role
from nualley.core import UsageError
from nualley.demo.errors import DemoError

_ROLE = "demo"
_LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def demo_folder(directory: Path | None) -> Iterator[Path]:
    """Have a folder for a demo, and for no second one.

    Parameters
    ----------
    directory : Path or None
        A folder that is absent, empty, or was written by an earlier demo, which goes on. None: a temporary one.

    Yields
    ------
    Path
        The folder; a temporary one is removed at the end.

    Raises
    ------
    UsageError
        Where there are other people's files.
    RoleTakenError
        Where another demo runs there.
    """
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="nualley-demo-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    folder = directory.absolute()
    _check_ours(folder)
    with hold_role(folder, _ROLE):
        yield folder


def _check_ours(folder: Path) -> None:
    do = "name an empty folder, one that is not there yet, or that of an earlier demo"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", where="--directory", do=do)
    # the lock of an earlier demo, held or not, is the sign that all of this was written by one
    if folder.is_dir() and not (folder / "run" / f"{_ROLE}.lock").is_file():
        first = next(iter(sorted(folder.iterdir())), None)
        if first is not None:
            raise UsageError(
                f"{folder} holds files that no demo wrote, such as {first.name}", where="--directory", do=do
            )


def reserve_port(favourite: int) -> socket.socket:
    """Take a TCP port of loopback for the status page of one demo.

    Parameters
    ----------
    favourite : int
        Taken where it is free; otherwise the kernel chooses one.

    Returns
    -------
    socket.socket
        Holds the port until it is closed. It is bound and does not listen: the web process, which sets SO_REUSEADDR,
        can listen there; another demo, which asks here, cannot have it.

    Raises
    ------
    DemoError
        Where no port is free.
    """
    for port in (favourite, 0):
        holder = socket.socket()
        try:
            holder.bind((_LOOPBACK, port))
        except OSError:
            holder.close()
            continue
        # only now: set before, it would let two demos have one port
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return holder
    raise DemoError(f"no TCP port of {_LOOPBACK} is free", do="close programs that hold them")
