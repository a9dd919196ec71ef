"""A copy of the SQLite catalog while others write to it, and the way back."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import xxhash

from nualley.catalog.adapters import schema, sqlite_file
from nualley.catalog.adapters.database import BUSY_TIMEOUT_MS, open_database
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.errors import CatalogDamaged, CatalogError, CatalogMissing, CatalogNewer, CatalogNotEmpty
from nualley.catalog.models import CatalogContent
from nualley.core import UsageError, escape_name, format_time
from nualley.storage import DurableFiles, publish_made

_CHUNK_ROWS = 10_000
_VERSION_TABLE = "alembic_version"


def backup(location: Path | str, file: Path, *, files: DurableFiles) -> CatalogContent:
    """Copy the catalog as it is at one moment, while others go on writing.

    Parameters
    ----------
    location : Path or str
        The catalog; only SQLite can be copied this way.
    file : Path
        The copy's final name, in a folder that is there; never overwritten. It is a SQLite file like the catalog.
    files : DurableFiles
        The file systems.

    Returns
    -------
    CatalogContent
        What the copy holds, read back and equal to the original.

    Raises
    ------
    UsageError
        Where the folder is not there, or something has that name; a mistyped path must not look like a backup.
    CatalogMissing, CatalogDamaged, CatalogUnreachable
        The catalog cannot be read.
    CatalogError
        Where it is on a server.
    storage.StorageError, storage.DestinationConflict
        The copy cannot be written.
    """
    path = _sqlite_file(location)
    _check_destination(file)
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
        Also where a catalog is there that holds something: it is backed up beside itself first. One that is damaged
        is kept beside itself as it is.
    now_ns : int
        The time now, for the name of that copy [ns since 1970 UTC].

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
    if path.exists():
        _give_way(path, file, replace=replace, files=files, now_ns=now_ns)
    if path.exists():
        _overwrite(file, path)  # in one transaction, which those who have it open see as a whole
    else:
        sqlite_file.make_whole(path, lambda new: _overwrite(file, new))
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


def _check_destination(file: Path) -> None:
    where = escape_name(str(file))
    if not file.parent.is_dir():
        raise UsageError(
            f"there is no folder {escape_name(str(file.parent))}",
            where=where,
            do="mount its drive, make it, or name another folder",
        )
    if file.exists() or file.is_symlink():
        raise UsageError(
            f"{where} is there already", where=where, do="name a new file: a backup never replaces another"
        )


def _give_way(path: Path, file: Path, *, replace: bool, files: DurableFiles, now_ns: int) -> None:
    """Keep what is there before a restore: a catalog as a backup beside it, what is damaged under another name."""
    stamp = format_time(now_ns, digits=0).replace(":", "").replace("-", "")
    shown = escape_name(str(path))
    try:
        is_empty = _is_empty(path)
    except CatalogDamaged as error:
        if not replace:
            raise _not_restored(file, f"{shown} is damaged ({error.what})", "kept beside it") from error
        sqlite_file.set_aside(path, f"damaged-{stamp}")
        return
    if is_empty:
        return
    if not replace:
        raise _not_restored(file, f"{shown} already holds a catalog", "backed up beside it first")
    backup(path, path.with_name(f"{path.name}.before-restore-{stamp}"), files=files)


def _not_restored(file: Path, what: str, fate: str) -> CatalogNotEmpty:
    return CatalogNotEmpty(
        f"{what}; the backup was not restored",
        where=escape_name(str(file)),
        do=f"give --replace if the backup is to take its place (what is there is {fate})",
    )


def _is_empty(path: Path) -> bool:
    sqlite_file.check_there(path)
    with _reading(path) as there:
        _check_integrity(there, path)
        return _content(there, path).is_empty


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that sees one moment of the file and never makes it."""
    where = escape_name(str(path))
    if not path.exists():
        raise CatalogMissing(f"there is no file {where}", where=where, do="name the file of a catalog or a backup")
    with ExitStack() as stack:
        uri = sqlite_file.writing_uri(path)
        if not sqlite_file.is_writable(path):
            is_alone = sqlite_file.is_quiet(path)
            uri = sqlite_file.reading_uri(path, is_alone=is_alone)
            if is_alone:
                stack.enter_context(sqlite_file.steady(path))
        stack.enter_context(translated(where, path))
        connection = stack.enter_context(closing(sqlite3.connect(uri, uri=True, isolation_level=None)))
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("BEGIN")
        yield connection


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_")]


def _content(connection: sqlite3.Connection, path: Path) -> CatalogContent:
    names = _tables(connection)
    if not {"run", _VERSION_TABLE} <= set(names):
        raise CatalogDamaged(
            "the file is no catalog of nualley", where=escape_name(str(path)), do="name a file that 'backup' made"
        )
    digest = xxhash.xxh3_128()
    counts = {name: _digest_table(connection, name, digest) for name in names if name != _VERSION_TABLE}
    versions = [version for (version,) in connection.execute("SELECT version_num FROM alembic_version")]
    return CatalogContent(" ".join(versions), counts, digest.hexdigest())


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
    with (
        _reading(file) as source,
        translated(where, path),
        closing(sqlite3.connect(path, isolation_level=None)) as target,
    ):
        target.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        target.execute("PRAGMA synchronous=FULL")
        source.backup(target)
