"""A copy of the SQLite catalog while others write to it, and the way back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

import xxhash

from nualley.catalog.adapters import schema
from nualley.catalog.adapters.database import BUSY_TIMEOUT_MS, open_database
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.errors import CatalogDamaged, CatalogError, CatalogMissing, CatalogNewer, CatalogNotEmpty
from nualley.catalog.models import CatalogContent
from nualley.core import escape_name, format_time
from nualley.storage import DurableFiles, publish_made

_CHUNK_ROWS = 10_000


def backup(location: Path | str, file: Path, *, files: DurableFiles) -> CatalogContent:
    """Copy the catalog as it is at one moment, while others go on writing.

    Parameters
    ----------
    location : Path or str
        The catalog; only SQLite can be copied this way.
    file : Path
        The copy's final name; never overwritten. It is a SQLite file like the catalog itself.
    files : DurableFiles
        The file systems.

    Returns
    -------
    CatalogContent
        What the copy holds, read back and equal to the original.

    Raises
    ------
    CatalogMissing, CatalogDamaged, CatalogUnreachable
        The catalog cannot be read.
    CatalogError
        Where it is on a server.
    storage.StorageError, storage.DestinationConflict
        The copy cannot be written.
    """
    path = _sqlite_file(location)
    with _reading(path) as source:
        content = _content(source, path)

        def make(part: Path) -> None:
            with translated(escape_name(str(file))), closing(sqlite3.connect(part, isolation_level=None)) as target:
                source.backup(target)
                # a single file: without it the copy could only be opened beside its log
                target.execute("PRAGMA journal_mode=DELETE")

        publish_made(file, make, files=files, size_B=path.stat().st_size, check=lambda part: _check(part, content))
    return content


def restore(
    file: Path, location: Path | str, *, files: DurableFiles, replace: bool = False, now_ns: int
) -> CatalogContent:
    """Bring back what a backup holds.

    Parameters
    ----------
    file : Path
        The backup; looked through first.
    location : Path or str
        The catalog; only SQLite can be restored this way.
    files : DurableFiles
        The file systems.
    replace : bool
        Overwrite a catalog that holds something; it is backed up beside itself first.
    now_ns : int
        The time now, for the name of that backup [ns since 1970 UTC].

    Returns
    -------
    CatalogContent
        What the catalog holds now, read back and equal to the backup.

    Raises
    ------
    CatalogMissing, CatalogDamaged, CatalogNewer
        The backup cannot be used; nothing was changed.
    CatalogNotEmpty
        The catalog holds something, and ``replace`` was not given.
    CatalogUnreachable
        Another process keeps the catalog locked.

    Notes
    -----
    The pages are exchanged in one transaction: killed in the middle, the old catalog is still there. Others should not
    write meanwhile (stop ``nualley up``): what they enter between the backup beside it and that transaction is lost.
    """
    path = _sqlite_file(location)
    content = inspect(file)
    if _holds_something(path):
        if not replace:
            raise CatalogNotEmpty(
                f"{escape_name(str(path))} already holds a catalog; the backup was not restored",
                where=escape_name(str(file)),
                do="give --replace if the backup is to take its place (a backup of it is made first)",
            )
        stamp = format_time(now_ns, digits=0).replace(":", "").replace("-", "")
        backup(path, path.with_name(f"{path.name}.before-restore-{stamp}"), files=files)
    _overwrite(file, path)
    with _reading(path) as restored:
        _compare(_content(restored, path), content, path)
    # an older backup is brought up to date; and the write-ahead log is switched on again
    open_database(path, create=True).close()
    return content


def inspect(file: Path) -> CatalogContent:
    """Look through a backup and return what it holds.

    Parameters
    ----------
    file : Path
        The backup.

    Returns
    -------
    CatalogContent
        What it holds.

    Raises
    ------
    CatalogMissing
        Where there is no such file.
    CatalogDamaged
        Where SQLite finds it damaged.
    CatalogNewer
        Where a newer nualley wrote it.
    """
    with _reading(file) as source:
        _check_integrity(source, file)
        content = _content(source, file)
    if content.version not in schema.VERSIONS:
        raise CatalogNewer(
            f"the backup has version {content.version}, this nualley knows up to {schema.HEAD}",
            where=escape_name(str(file)),
            do="install the newer nualley that wrote it",
        )
    return content


def _sqlite_file(location: Path | str) -> Path:
    if isinstance(location, Path):
        return location
    raise CatalogError(
        f"the catalog is on a server ({location.partition('://')[0]})",
        where="catalog.url",
        do="back it up with pg_dump",
    )


def _holds_something(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with _reading(path) as there:
        if not _tables(there):
            return False
        return not _content(there, path).is_empty


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that sees one moment of the file and never makes it."""
    where = escape_name(str(path))
    if not path.exists():
        raise CatalogMissing(f"there is no file {where}", where=where, do="name the file of a catalog or a backup")
    uri = f"file:{quote_from_bytes(bytes(path.absolute()))}?mode=rw"
    with translated(where), closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("BEGIN")
        yield connection


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if name != "alembic_version" and not name.startswith("sqlite_")]


def _content(connection: sqlite3.Connection, path: Path) -> CatalogContent:
    names = _tables(connection)
    if "run" not in names:
        raise CatalogDamaged(
            "the file is no catalog of nualley", where=escape_name(str(path)), do="name a file that 'backup' made"
        )
    digest = xxhash.xxh3_128()
    counts = {name: _digest_table(connection, name, digest) for name in names}
    (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return CatalogContent(version, counts, digest.hexdigest())


def _digest_table(connection: sqlite3.Connection, name: str, digest: xxhash.xxh3_128) -> int:
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
    order = ", ".join(f'"{column}"' for column in columns)
    digest.update(f"{name}({order})".encode())
    n_rows = 0
    cursor = connection.execute(f'SELECT {order} FROM "{name}" ORDER BY {order}')  # noqa: S608 - the schema's own names
    while found := cursor.fetchmany(_CHUNK_ROWS):
        n_rows += len(found)
        digest.update(repr(found).encode("utf-8", "surrogatepass"))
    return n_rows


def _check(part: Path, content: CatalogContent) -> None:
    with _reading(part) as copy:
        _check_integrity(copy, part)
        _compare(_content(copy, part), content, part)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    findings = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    if findings != ["ok"]:
        raise CatalogDamaged(
            f"SQLite finds it damaged: {'; '.join(findings)}",
            where=escape_name(str(path)),
            do="take an older backup; look at the drive that it lay on",
        )


def _compare(found: CatalogContent, expected: CatalogContent, path: Path) -> None:
    if found != expected:
        raise CatalogDamaged(
            f"the copy holds {sum(found.n_rows_by_table.values())} rows with digest {found.xxh3_128}, "
            f"expected {sum(expected.n_rows_by_table.values())} rows with {expected.xxh3_128}",
            where=escape_name(str(path)),
            do="try again; if it happens again, look at the drive and the machine's memory",
        )


def _overwrite(file: Path, path: Path) -> None:
    """Put all pages of a file in place of a database's in one transaction of that database."""
    where = escape_name(str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated(where), _reading(file) as source, closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        target.execute("PRAGMA synchronous=FULL")
        source.backup(target)
