"""Whether the index is as it was written: SQLite keeps no checksums; a digest of the file and a copy lie beside it."""

import contextlib
import struct
import time
from pathlib import Path
from typing import Any, Protocol

import structlog
import xxhash

from nualley.archive.errors import IndexDamagedError
from nualley.core import reason, replacing

_SUFFIX = ".digest"
_COPY_SUFFIX = ".copy"
_log = structlog.get_logger(__name__)
_COUNTER = struct.Struct(">I")
_COUNTER_AT = 24
_PAGE_SIZE = struct.Struct(">H")
_PAGE_SIZE_AT = 16
_FREE_LIST = struct.Struct(">II")
_FREE_LIST_AT = 32
_HEADER_B = 100
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


def copy_path(index: Path) -> Path:
    """Return where the copy of an index lies; its own digest lies beside it."""
    return index.with_name(index.name + _COPY_SUFFIX)


def note_digest(connection: Database, index: Path) -> None:
    """Say what the index is from now on, and keep a copy of it.

    A digest that cannot be written only means a slower look at the next start; a copy that cannot be written stays
    behind until the next change.

    Parameters
    ----------
    connection : Database
        Open on the index, outside of a transaction.
    index : Path
        The index.
    """
    connection.execute("BEGIN IMMEDIATE")  # an import may write the index beside the archive: one copy at a time
    try:
        counter, digest, data = _state(connection)
        try:
            write_digested(copy_path(index), data)
        except OSError as error:
            _log.error("index not copied", what=reason(error), where=str(copy_path(index)), do="make room on its drive")
        _write_digest(index, counter, digest)
    finally:
        connection.execute("ROLLBACK")


def write_digested(path: Path, data: bytes) -> None:
    """Write the bytes of an index durably, whole or not at all, and their digest beside them."""
    counter, digest = _count_and_digest(data)
    with replacing(path) as part:
        part.write_bytes(data)
    _write_digest(path, counter, digest)


def read_digested(path: Path) -> bytes | None:
    """Return the bytes of an index that are as they were written by their digest; None where they are not."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if len(data) >= _HEADER_B and _said(path) == _count_and_digest(data) else None


def restore_copy(index: Path) -> Path | None:
    """Put the copy in the place of an index, and return where that was kept; None where it was gone.

    Parameters
    ----------
    index : Path
        The index; nobody may write it meanwhile.

    Raises
    ------
    IndexDamagedError
        Where the copy is missing or damaged, too.
    """
    copy = copy_path(index)
    data = read_digested(copy)
    if data is None:
        raise IndexDamagedError(
            "the copy of the index is missing, or is not as it was written",
            where=str(copy),
            do="put a backup of index.sqlite and its digest back; the samples are in the Parquet files beside it",
        )
    aside = index.with_name(f"{index.name}.{time.time_ns()}.damaged")
    for suffix in ("-journal", ""):  # a killed writer's journal would be rolled back into the restored one
        with contextlib.suppress(FileNotFoundError):
            index.with_name(index.name + suffix).rename(aside.with_name(aside.name + suffix))
    write_digested(index, data)
    return aside if aside.exists() else None


def _write_digest(index: Path, counter: int, digest: str) -> None:
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
        counter, digest, _ = _state(connection)
        said = _said(index)
        if said is not None and said[0] == counter:
            return "" if said[1] == digest else f"its digest is {digest}, {said[1]} was written"
        time.sleep(_PAUSE_S)
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if found == "ok" else str(found)


def _state(connection: Database) -> tuple[int, str, bytes]:
    # through SQLite and not by reading the file: closing it would drop the locks of this process
    data = connection.serialize()
    return *_count_and_digest(data), data


def _count_and_digest(data: bytes) -> tuple[int, str]:
    (counter,) = _COUNTER.unpack_from(data, _COUNTER_AT)
    digest = xxhash.xxh3_128()
    view, position = memoryview(data), 0
    for start, stop in _free_stretches(data):
        digest.update(view[position:start])
        position = stop
    digest.update(view[position:])
    return counter, digest.hexdigest()


def _free_stretches(data: bytes) -> list[tuple[int, int]]:
    """Return where the free pages of a database lie, by position, bytes.

    Notes
    -----
    SQLite neither writes what a free page holds nor keeps it in its journal: after the rollback of a killed writer they
    hold other bytes, and nothing has changed. Layout: https://www.sqlite.org/fileformat2.html, section 1.5.
    """
    (page_B,) = _PAGE_SIZE.unpack_from(data, _PAGE_SIZE_AT)
    page_B = 65536 if page_B == 1 else page_B
    trunk, n_free = _FREE_LIST.unpack_from(data, _FREE_LIST_AT)
    free: set[int] = set()
    n_pages = len(data) // page_B if page_B else 0
    for _ in range(min(n_free, n_pages)):  # a damaged list may go round
        if not 0 < trunk <= n_pages:
            break
        start = (trunk - 1) * page_B
        trunk, n_leaves = _FREE_LIST.unpack_from(data, start)
        n_leaves = min(n_leaves, page_B // _COUNTER.size - 2)
        free.update(page for (page,) in _COUNTER.iter_unpack(data[start + 8 : start + 8 + 4 * n_leaves]))
    return [((page - 1) * page_B, page * page_B) for page in sorted(free) if 0 < page <= n_pages]


def _said(index: Path) -> tuple[int, str] | None:
    try:
        # several times a question: without a buffer it takes a third of the time
        with digest_path(index).open("rb", buffering=0) as file:
            counter, digest = file.read().split()
        return int(counter), digest.decode()
    except (OSError, ValueError):
        return None
