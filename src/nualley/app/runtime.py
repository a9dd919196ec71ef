"""Where the processes of one store meet: local sockets, outside of the store."""

import contextlib
import os
import tempfile
from pathlib import Path

import xxhash

from nualley.core import ConfigurationError, socket_base

_MODE = 0o700


def bus_path(store: Path) -> Path:
    """Return where the socket of a store's live bus is.

    Parameters
    ----------
    store : Path
        The store. Its own folder may be a network drive, or too long a path for a socket: the socket stands in the
        machine's folder for temporary files, readable by this user alone; in ``/tmp`` where that is too long a path.
    """
    name = f"{xxhash.xxh3_64_hexdigest(os.fsencode(store.resolve()))}.bus"
    rest = f"nualley-{os.getuid()}/{name}"
    return socket_base(Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()), rest) / rest


def bus_endpoint(store: Path) -> str:
    """Return the ZeroMQ endpoint of a store's live bus; its folder is made.

    Parameters
    ----------
    store : Path
        The store.

    Returns
    -------
    str
        ``ipc://...``

    Raises
    ------
    ConfigurationError
        Where somebody else owns the folder.
    """
    path = bus_path(store)
    _make_own(path.parent)
    return f"ipc://{path}"


def control_path(store: Path) -> Path:
    """Return where the socket of a store's archive process is, at which it takes orders; its folder is made.

    Parameters
    ----------
    store : Path
        The store.

    Raises
    ------
    ConfigurationError
        Where somebody else owns the folder.
    """
    path = bus_path(store).with_suffix(".ctl")
    _make_own(path.parent)
    return path


def _make_own(folder: Path) -> None:
    folder.mkdir(mode=_MODE, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"{folder} belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}, expected {os.getuid()} "
            f"and {_MODE:o}",
            where=str(folder),
            do="remove it or set XDG_RUNTIME_DIR to a folder of your own",
        )


def forget_bus(store: Path) -> None:
    """Take the socket of a store's live bus away, which ZeroMQ leaves behind; only for who holds the role.

    Parameters
    ----------
    store : Path
        The store.
    """
    with contextlib.suppress(OSError):  # not there, or not ours: nobody hears of it either way
        bus_path(store).unlink()
