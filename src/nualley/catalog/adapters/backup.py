"""A copy of the catalog while others write to it, as a SQLite file, and the way back."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from nualley.catalog.adapters import schema, sqlite_file
from nualley.catalog.adapters.contents import difference, read_content
from nualley.catalog.adapters.copying import copy_rows, copy_verified, empty_tables
from nualley.catalog.adapters.database import BUSY_TIMEOUT_MS, Database, file_engine, open_database
from nualley.catalog.adapters.moves import forget_move
from nualley.catalog.adapters.refusals import translated
from nualley.catalog.errors import CatalogDamaged, CatalogMissing, CatalogNewer, CatalogNotEmpty
from nualley.catalog.models import CatalogContent
from nualley.core import UsageError, escape_name, format_time
from nualley.storage import DurableFiles, publish_made

Finish = Callable[[Connection], None]
"""Does a last thing to a copy, in a writing transaction of it."""


def backup(location: Path | str, file: Path, *, files: DurableFiles, finish: Finish | None = None) -> CatalogContent:
    """Copy the catalog as it is at one moment, while others go on writing.

    Parameters
    ----------
    location : Path or str
        The catalog: a SQLite file or the address of a server.
    file : Path
        The copy's final name, in a folder that is there; never overwritten. It is a SQLite file like the catalog.
    files : DurableFiles
        The file systems.
    finish : callable, optional
        Does a last thing to the copy before it is read back, such as marking it as one.

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
    storage.StorageError, storage.DestinationConflict
        The copy cannot be written.
    """
    check_destination(file)
    if isinstance(location, str):
        return _backup_server(location, file, files=files, finish=finish)
    path = location
    with _reading(path) as source:
        content = _content(source, path)

        def make(part: Path) -> None:
            with translated(escape_name(str(file))), closing(sqlite3.connect(part, isolation_level=None)) as target:
                _pages(source).backup(target)
                # a single file: without it the copy could only be opened beside its log
                target.execute("PRAGMA journal_mode=DELETE")
            _finish(part, finish)

        publish_made(file, make, files=files, size_B=path.stat().st_size, check=lambda part: _check(part, content))
    return content


def _finish(part: Path, finish: Finish | None) -> None:
    if finish is not None:
        with closing(Database(file_engine(part, BUSY_TIMEOUT_MS), escape_name(str(part)), part)) as copy:
            copy.write(finish)


def _backup_server(location: str, file: Path, *, files: DurableFiles, finish: Finish | None) -> CatalogContent:
    # a reader sees one moment of the server for as long as the copy takes
    with closing(open_database(location, create=False)) as catalog, catalog.reading() as source:
        content = read_content(source, catalog.where)

        def make(part: Path) -> None:
            with closing(Database(file_engine(part, BUSY_TIMEOUT_MS), escape_name(str(part)), part)) as copy:
                copy.write(schema.migrate)
                copy.write(lambda target: copy_rows(source, target))
            _finish(part, finish)

        publish_made(file, make, files=files, check=lambda part: _check(part, content))
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
        The catalog: a SQLite file or the address of a server.
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
    content = inspect(file)
    if isinstance(location, str):
        return _restore_to_server(file, location, files=files, replace=replace, now_ns=now_ns)
    path = location
    if path.exists():
        _give_way(path, file, replace=replace, files=files, now_ns=now_ns)
    if path.exists():
        _overwrite(file, path)  # in one transaction, which those who have it open see as a whole
    else:
        sqlite_file.make_whole(path, lambda new: _overwrite(file, new))
    with _reading(path) as restored:
        _compare(_content(restored, path), content, path)
    # an older backup is brought up to date; and the write-ahead log is switched on again
    with closing(open_database(path, create=True)) as catalog:
        catalog.write(forget_move)
    return content


def _restore_to_server(file: Path, location: str, *, files: DurableFiles, replace: bool, now_ns: int) -> CatalogContent:
    with current(file) as source, closing(open_database(location, create=True)) as catalog:
        content = read_content(source, escape_name(str(file)))
        with catalog.reading() as connection:
            is_empty = read_content(connection, catalog.where).is_empty
        if not is_empty and not replace:
            raise _not_restored(file, f"{catalog.where} already holds a catalog", "backed up beside the backup first")
        if not is_empty:
            backup(location, file.with_name(f"{file.name}.before-restore-{_stamp(now_ns)}"), files=files)

        def work(target: Connection) -> None:
            empty_tables(target)
            copy_verified(source, target, catalog.where, content)

        catalog.write(work)
    return content


@contextmanager
def current(file: Path) -> Iterator[Connection]:
    """Give a connection that reads a backup with the tables of this version; an older one is brought there in a copy.

    Parameters
    ----------
    file : Path
        The backup; it is not changed.
    """
    with ExitStack() as stack:
        with _reading(file) as source:
            is_current = schema.read_version(source) == schema.HEAD
        if not is_current:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nualley-backup-"))
            copy = Path(folder) / "copy.sqlite"
            _overwrite(file, copy)
            open_database(copy, create=True).close()
            file = copy
        yield stack.enter_context(_reading(file))


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


def check_destination(file: Path) -> None:
    """Raise UsageError where a copy cannot get that name: its folder is not there, or something has it."""
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
    stamp = _stamp(now_ns)
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


def _stamp(time_ns: int) -> str:
    return format_time(time_ns, digits=0).replace(":", "").replace("-", "")


def _pages(connection: Connection) -> sqlite3.Connection:
    """Return SQLite's own connection, which copies pages; inside the transaction of the other."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"{driver!r} is no SQLite file")
    return driver


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
def _reading(path: Path) -> Iterator[Connection]:
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
        yield stack.enter_context(file_engine(path, BUSY_TIMEOUT_MS, uri=uri).connect())


def _content(connection: Connection, path: Path) -> CatalogContent:
    return read_content(connection, escape_name(str(path)))


def _check(part: Path, content: CatalogContent) -> None:
    with _reading(part) as copy:
        _check_integrity(copy, part)
        _compare(_content(copy, part), content, part)


def _check_integrity(connection: Connection, path: Path) -> None:
    findings = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
    if findings != ["ok"]:
        raise CatalogDamaged(
            f"SQLite finds it damaged: {'; '.join(findings)}",
            where=escape_name(str(path)),
            do="take an older backup; look at the drive that it lay on",
        )


def _compare(found: CatalogContent, expected: CatalogContent, path: Path) -> None:
    told = difference(found, expected)
    if told:
        raise CatalogDamaged(
            f"the copy is not the same: {told}",
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
        _pages(source).backup(target)
