"""Whether the index is as it was written: SQLite keeps no checksums, so a digest of the whole file lies beside it."""

import contextlib
import struct
import time
from pathlib import Path
from typing import Any, Protocol

import xxhash

_SUFFIX = ".digest"
_COUNTER = struct.Struct(">I")
_COUNTER_AT = 24
_TRIES = 20
_PAUSE_S = 0.005


class Database(Protocol):
    """An open database, as far as its digest needs it."""

    def execute(self, sql: str, /) -> Any:
        """Ask it something."""
        ...

    def serialize(self) -> bytes:
        """Return its whole file as of one moment."""
        ...


def digest_path(index: Path) -> Path:
    """Return where an index's digest lies."""
    return index.with_name(index.name + _SUFFIX)


def note_digest(connection: Database, index: Path) -> None:
    """Say what the index is from now on; a digest that cannot be written only means a slower look at the next start.

    Parameters
    ----------
    connection : Database
        Open on the index, outside of a transaction.
    index : Path
        The index.
    """
    counter, digest = _state(connection)
    path = digest_path(index)
    part = path.with_name(f".{path.name}.part")
    with contextlib.suppress(OSError):
        part.write_text(f"{counter} {digest}\n")
        part.replace(path)


def said_counter(index: Path) -> int:
    """Return how often the index had changed when its digest was written; 0 where there is none."""
    said = _said(index)
    return said[0] if said else 0


def find_damage(connection: Database, index: Path) -> str:
    """Return what is wrong with the bytes of an index; empty where nothing is.

    Parameters
    ----------
    connection : Database
        Open on the index, outside of a transaction.
    index : Path
        The index.

    Notes
    -----
    SQLite counts the changes of a file in its header. Where the count is that of the digest, the bytes must be, too.
    Where it is another, the writer was killed before it could say the digest, or says it in a moment; then SQLite looks
    through the whole file, which finds what does not hang together but no changed value.
    """
    for _ in range(_TRIES):
        counter, digest = _state(connection)
        said = _said(index)
        if said is not None and said[0] == counter:
            return "" if said[1] == digest else f"its digest is {digest}, {said[1]} was written"
        time.sleep(_PAUSE_S)
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if found == "ok" else str(found)


def _state(connection: Database) -> tuple[int, str]:
    # through SQLite and not by reading the file: closing it would drop the locks of this process
    data = connection.serialize()
    (counter,) = _COUNTER.unpack_from(data, _COUNTER_AT)
    return counter, xxhash.xxh3_128_hexdigest(data)


def _said(index: Path) -> tuple[int, str] | None:
    try:
        counter, digest = digest_path(index).read_text().split()
        return int(counter), digest
    except (OSError, ValueError):
        return None
