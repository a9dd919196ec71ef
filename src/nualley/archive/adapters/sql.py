"""The archive's index in SQLite: PVs and their account, files with their directories, connection rows."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from nualley.archive.adapters.index_digest import copy_path, find_damage, note_digest, said_counter
from nualley.archive.directory import Directory, DirectoryCache, Snapshot, directory_of
from nualley.archive.errors import (
    RESTORE_INDEX,
    ArchiveNewerError,
    ArchiveOlderError,
    IndexDamagedError,
    IndexFailedError,
    ReplacedError,
    SealOrderError,
)
from nualley.archive.models import ConnectionRow, RowKind
from nualley.archive.ports import Generation
from nualley.archive.progress import Account, Loss
from nualley.archive.pv_record import LastSample, PvRecord, Refusal, Tail
from nualley.archive.sealed import IndexedFile, Level, SealedContents, SealedFile, SealedState
from nualley.archive.wal import metadata_from_json
from nualley.core import NualleyError, make_folders, sync_folder
from nualley.pv import Metadata, ValueType

_VERSION = 6
_MIGRATED = (2, 3, 4, 5)
_BUSY_MS = 30_000
_METADATA = """
CREATE TABLE metadata (
    pv TEXT NOT NULL, time_ns INTEGER NOT NULL, said TEXT NOT NULL, shard TEXT NOT NULL,
    PRIMARY KEY (pv, time_ns, shard)) WITHOUT ROWID;
"""
# an older nualley kept of a PV that changed its type within a commit not what it received last
_BY_RECEIPT = """
ALTER TABLE state ADD COLUMN is_by_receipt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pvs ADD COLUMN synced_seq INTEGER NOT NULL DEFAULT -1;
ALTER TABLE pvs ADD COLUMN is_silent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pvs ADD COLUMN refused TEXT;
"""
_REFUSAL = "ALTER TABLE pvs ADD COLUMN refusal TEXT"
_LINKS = "SELECT {} FROM connections WHERE connections.pv = pvs.name AND connections.shard = pvs.shard"
_MEND_LINKS = f"""
UPDATE pvs SET
    is_connected = COALESCE(({_LINKS.format("kind = :reconnect")} ORDER BY seq DESC, kind DESC LIMIT 1), is_connected),
    synced_seq = COALESCE(({_LINKS.format("MAX(seq)")}), synced_seq)
WHERE shard = :shard
"""  # noqa: S608  # constants
_SCHEMA = f"""
CREATE TABLE state (
    shard TEXT PRIMARY KEY, segment INTEGER NOT NULL, number INTEGER NOT NULL, n_received INTEGER NOT NULL,
    seq INTEGER NOT NULL, time_ns INTEGER NOT NULL, life_by_ioc TEXT NOT NULL, is_by_receipt INTEGER NOT NULL);
CREATE TABLE pvs (
    shard TEXT NOT NULL, code INTEGER NOT NULL, name TEXT NOT NULL, value_type TEXT, protocol TEXT NOT NULL,
    ioc TEXT NOT NULL, metadata TEXT, has_connected INTEGER NOT NULL, is_connected INTEGER NOT NULL, last TEXT,
    last_heard_ns INTEGER NOT NULL, in_doubt_since_ns INTEGER, n_stored INTEGER NOT NULL,
    n_quarantined INTEGER NOT NULL, n_gaps INTEGER NOT NULL, filtered TEXT NOT NULL,
    synced_seq INTEGER NOT NULL, is_silent INTEGER NOT NULL, refused TEXT, refusal TEXT,
    PRIMARY KEY (shard, code), UNIQUE (shard, name)) WITHOUT ROWID;
CREATE TABLE names (number INTEGER PRIMARY KEY, pv TEXT NOT NULL UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, level TEXT NOT NULL, value_type TEXT NOT NULL,
    shard TEXT NOT NULL, start_ns INTEGER NOT NULL, stop_ns INTEGER NOT NULL, n_rows INTEGER NOT NULL,
    size_B INTEGER NOT NULL, sha256 TEXT NOT NULL, directory BLOB NOT NULL);
CREATE TABLE connections (
    pv TEXT NOT NULL, time_ns INTEGER NOT NULL, kind INTEGER NOT NULL, last_heard_ns INTEGER NOT NULL,
    seq INTEGER NOT NULL, protocol TEXT NOT NULL, shard TEXT NOT NULL,
    PRIMARY KEY (pv, time_ns, seq, kind)) WITHOUT ROWID;
{_METADATA}
CREATE TABLE losses (
    shard TEXT NOT NULL, segment INTEGER NOT NULL, n_commits INTEGER NOT NULL, start_ns INTEGER NOT NULL,
    stop_ns INTEGER NOT NULL);
"""
_PUT_PV = f"INSERT OR REPLACE INTO pvs VALUES ({', '.join('?' * 20)})"  # noqa: S608  # placeholders only
_PUT_METADATA = "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?, ?)"
_LAST_METADATA = "SELECT said FROM metadata WHERE pv = ? AND shard = ? ORDER BY time_ns DESC LIMIT 1"
_HAS_LOG = 1
"""SQLite's application_id of an index whose log has begun."""
_CONNECTION_COLUMNS = "pv, time_ns, kind, last_heard_ns, seq, protocol"
_CONNECTIONS = f"""
SELECT * FROM (SELECT {_CONNECTION_COLUMNS} FROM connections WHERE pv = :pv AND time_ns < :start_ns
    ORDER BY time_ns DESC, seq DESC, kind DESC LIMIT 1)
UNION ALL SELECT * FROM (SELECT {_CONNECTION_COLUMNS} FROM connections
    WHERE pv = :pv AND time_ns >= :start_ns AND time_ns < :stop_ns ORDER BY time_ns, seq, kind)
UNION ALL SELECT * FROM (SELECT {_CONNECTION_COLUMNS} FROM connections WHERE pv = :pv AND time_ns >= :stop_ns
    ORDER BY time_ns, seq, kind LIMIT 1)
"""  # noqa: S608  # a constant, no input
_FILE_COLUMNS = "id, path, level, value_type, shard, start_ns, stop_ns, n_rows, size_B, sha256"


class SqliteIndex:
    """The index of one archive, and what it says of one shard.

    Parameters
    ----------
    path : Path
        ``index.sqlite``; made where it is missing and ``is_writer``.
    shard : str
        The shard that is read and sealed.
    is_writer : bool
        Whether it may be made and written.

    Raises
    ------
    ArchiveNewerError
        Where a newer nualley wrote it.
    IndexDamagedError
        Where it is not what an archive wrote.
    FileNotFoundError
        Where there is none and it may not be made.
    """

    def __init__(self, path: Path, shard: str, *, is_writer: bool = False) -> None:
        self._path = path
        self._shard = shard
        self._is_writer = is_writer
        self._verified: tuple[int, int, int] | None = None
        if path.is_file():
            self._check_version()
            if is_writer and said_counter(copy_path(path)) != said_counter(path):
                self._note_digest()  # killed between a change and its copy
        elif is_writer:
            self._create()
        else:
            raise FileNotFoundError(path)

    def _create(self) -> None:
        # never there without its tables: a reader may come at any moment
        make_folders(self._path.parent)
        part = self._path.with_name(f".{self._path.name}.part")
        part.unlink(missing_ok=True)
        with self._opened(part, "rwc") as connection:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
            note_digest(connection, self._path)
        part.replace(self._path)
        sync_folder(self._path.parent)

    def _check_version(self) -> None:
        with self._open() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise ArchiveNewerError(
                f"the archive's index has version {version}, this nualley knows {_VERSION}",
                where=str(self._path),
                do="use the nualley that wrote it, or a newer one",
            )
        if version in _MIGRATED and self._is_writer:
            self._migrate(version)
        elif version in _MIGRATED:
            raise ArchiveOlderError(
                f"the archive's index has version {version}, this nualley writes {_VERSION}",
                where=str(self._path),
                do="start the archive once, which brings it up to date: nualley up archive",
            )
        elif 0 < version < _VERSION:
            raise ArchiveOlderError(
                f"the archive's index has version {version}, this nualley writes {_VERSION}; no release wrote it",
                where=str(self._path),
                do="begin a new store; the Parquet files of this one are read as they are",
            )
        elif version != _VERSION:
            raise self._damaged(f"it has version {version} and {self._path.stat().st_size} B")

    def _migrate(self, version: int) -> None:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if version < 3:
                connection.execute(_METADATA)
            if version < 4:
                for statement in _BY_RECEIPT.split(";"):
                    connection.execute(statement)
                connection.execute(_MEND_LINKS, {"reconnect": int(RowKind.RECONNECT), "shard": self._shard})
            if version < 5:
                connection.execute(_REFUSAL)
            connection.execute(f"PRAGMA user_version={_VERSION}")
            connection.execute("COMMIT")
            note_digest(connection, self._path)

    def _note_digest(self) -> None:
        # what this process changed itself a moment ago has no digest to be compared with
        with self._opened(self._path, "rw") as connection:
            note_digest(connection, self._path)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # no write-ahead journal: a reader of one must write beside it, which a full or read-only drive refuses;
        # a reader that may write can still roll a killed writer's journal back
        mode = "rw" if self._is_writer or os.access(self._path, os.W_OK) else "ro"
        with self._opened(self._path, mode) as connection:
            self._verify(connection)
            yield connection

    def _verify(self, connection: sqlite3.Connection) -> None:
        """Compare the file with its digest, whenever it is another one than at the last look."""
        now = self._path.stat()
        state = (now.st_ino, now.st_size, now.st_mtime_ns)
        if now.st_size and state != self._verified:  # an empty file has no digest, and no version either
            if damage := find_damage(connection, self._path):
                raise self._damaged(damage)
            self._verified = state

    @contextmanager
    def _opened(self, path: Path, mode: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
            with closing(connection):
                connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                connection.execute("PRAGMA synchronous=FULL")
                yield connection
        except sqlite3.OperationalError as error:
            if not path.is_file():
                raise FileNotFoundError(path) from error
            if str(error).startswith("no such"):
                raise self._damaged(str(error)) from error
            raise IndexFailedError(
                f"the archive's index does not work: {error}",
                where=str(path),
                do="nualley doctor looks at the drive; the Parquet files and the log hold all samples without it",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
        except NualleyError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            # SQLite has no checksums: a flipped bit may leave a row that stands for nothing
            raise self._damaged(f"a row cannot be read: {error}") from error

    def _damaged(self, what: str) -> IndexDamagedError:
        return IndexDamagedError(
            f"the archive's index is not as it was written: {what}",
            where=str(self._path),
            do=RESTORE_INDEX,
        )

    def generation(self) -> Generation:
        """Return what changes with every change of the index; see `nualley.archive.ports.Index`."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        # two changes may have one time: SQLite's own count of them is in the digest
        return now.st_size, now.st_mtime_ns, said_counter(self._path)

    def last_sealed(self) -> int:
        """Return the number of the last sealed segment (-1: none)."""
        with self._open() as connection:
            row = connection.execute("SELECT segment FROM state WHERE shard = ?", (self._shard,)).fetchone()
        return -1 if row is None else int(row[0])

    def load(self) -> SealedState:
        """Return what is known up to the last sealed segment."""
        with self._open() as connection:
            connection.execute("BEGIN")
            has_log = connection.execute("PRAGMA application_id").fetchone()[0] == _HAS_LOG
            imported = self._records(connection, "shard != ?")
            row = connection.execute("SELECT * FROM state WHERE shard = ?", (self._shard,)).fetchone()
            if row is None:
                return SealedState(has_log=has_log, imported=imported)
            records = self._records(connection, "shard = ?")
            _, segment, *account, life, is_by_receipt = row
            lives = json.loads(life)
            return SealedState(segment, records, Account(*account), lives, has_log, imported, bool(is_by_receipt))

    def _records(self, connection: sqlite3.Connection, which: str) -> tuple[PvRecord, ...]:
        found = connection.execute(f"SELECT * FROM pvs WHERE {which} ORDER BY code", (self._shard,))  # noqa: S608  # a constant
        return tuple(_record(row[1:]) for row in found)

    def snapshot(self, cache: DirectoryCache) -> Snapshot:
        """Return the files that are sealed now; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            connection.execute("BEGIN")
            files = [_file(row) for row in connection.execute(f"SELECT {_FILE_COLUMNS} FROM files ORDER BY start_ns")]  # noqa: S608  # a constant
            numbers = dict(connection.execute("SELECT pv, number FROM names"))
        return Snapshot(files, numbers, self._directory, cache)

    def _directory(self, file_id: int) -> Directory:
        with self._open() as connection:
            row = connection.execute("SELECT directory FROM files WHERE id = ?", (file_id,)).fetchone()
        if row is None:  # replaced meanwhile: the reader looks again
            raise FileNotFoundError(f"file {file_id} of {self._path}")
        try:
            return decode_directory(row[0])
        except (ValueError, pa.ArrowException) as error:
            raise self._damaged(f"the directory of file {file_id} cannot be read: {error}") from error

    def note_log(self) -> None:
        """Note that the log has begun; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != _HAS_LOG:
                connection.execute(f"PRAGMA application_id={_HAS_LOG}")
        self._note_digest()

    def seal(self, state: SealedState, contents: SealedContents) -> None:
        """Take over a segment in one transaction; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._check_order(connection, state.segment)
            _insert_files(connection, contents.files, self._shard)
            _insert_connections(connection, contents.connections, self._shard)
            connection.executemany(
                "INSERT INTO losses VALUES (?, ?, ?, ?, ?)",
                [(self._shard, state.segment, loss.n_commits, loss.start_ns, loss.stop_ns) for loss in contents.losses],
            )
            connection.executemany(_PUT_PV, [(self._shard, *_row(record)) for record in state.records])
            _insert_metadata(connection, contents.metadata, self._shard)
            connection.execute(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (self._shard, state.segment, *astuple(state.account), json.dumps(state.life_by_ioc), True),
            )
            connection.execute("COMMIT")
            note_digest(connection, self._path)

    def _check_order(self, connection: sqlite3.Connection, segment: int) -> None:
        # a start removes every segment up to the last sealed one: a hole would be lost
        row = connection.execute("SELECT segment FROM state WHERE shard = ?", (self._shard,)).fetchone()
        expected = 0 if row is None else int(row[0]) + 1
        if segment != expected:
            raise SealOrderError(
                f"segment {segment} is sealed before segment {expected}",
                where=str(self._path),
                do="seal the segments in their order",
            )

    def replace(self, gone: Sequence[IndexedFile], files: Sequence[SealedFile], shard: str = "") -> None:
        """Put files in the place of others in one transaction; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for file in gone:
                changed = connection.execute(
                    "DELETE FROM files WHERE id = ? AND sha256 = ?", (file.file_id, file.sha256)
                )
                if changed.rowcount != 1:
                    connection.execute("ROLLBACK")
                    raise ReplacedError(
                        "the file was replaced by another process meanwhile",
                        where=file.path,
                        do="nothing was changed; try again",
                    )
            _insert_files(connection, files, shard)
            connection.execute("COMMIT")
            note_digest(connection, self._path)

    def take_in(
        self, records: Sequence[PvRecord], contents: SealedContents, forget: Sequence[ConnectionRow], *, shard: str
    ) -> None:
        """Take over what a writer beside the log made; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _insert_files(connection, contents.files, shard)
            connection.executemany(
                "DELETE FROM connections WHERE pv = ? AND time_ns = ? AND seq = ? AND kind = ?",
                [(row.pv, row.time_ns, row.seq, int(row.kind)) for row in forget],
            )
            _insert_connections(connection, contents.connections, shard)
            connection.executemany(_PUT_PV, [(shard, *_row(record)) for record in records])
            _insert_metadata(connection, contents.metadata, shard)
            connection.execute("COMMIT")
            note_digest(connection, self._path)

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> list[ConnectionRow]:
        """Return a PV's connection rows around a stretch of time; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            parameters = {"pv": pv, "start_ns": start_ns, "stop_ns": stop_ns}
            rows = connection.execute(_CONNECTIONS, parameters).fetchall()
            return [
                ConnectionRow(found, time_ns, RowKind(kind), last_heard_ns, seq, protocol)
                for found, time_ns, kind, last_heard_ns, seq, protocol in rows
            ]

    def metadata(self, pv: str) -> list[Metadata]:
        """Return what was known of a PV's numbers, by time; see `nualley.archive.ports.Index`."""
        with self._open() as connection:
            rows = connection.execute("SELECT time_ns, said FROM metadata WHERE pv = ? ORDER BY time_ns", (pv,))
            return [metadata_from_json({"pv": pv, "time_ns": time_ns, **json.loads(said)}) for time_ns, said in rows]

    def losses(self) -> list[Loss]:
        """Return what was found missing when segments were sealed, by time."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT n_commits, start_ns, stop_ns FROM losses WHERE shard = ? ORDER BY start_ns", (self._shard,)
            )
            return [Loss(*row) for row in rows]


def _insert_files(connection: sqlite3.Connection, files: Sequence[SealedFile], shard: str) -> None:
    pvs = sorted({pv for file in files for pv, _ in file.groups})
    connection.executemany("INSERT OR IGNORE INTO names (pv) VALUES (?)", [(pv,) for pv in pvs])
    numbers = dict(connection.execute("SELECT pv, number FROM names"))
    connection.executemany(
        f"INSERT INTO files ({_FILE_COLUMNS}, directory) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # a constant
        [
            (
                file.path,
                file.level,
                file.value_type,
                shard,
                file.start_ns,
                file.stop_ns,
                file.n_rows,
                file.size_B,
                file.sha256,
                encode_directory(directory_of(file, numbers)),
            )
            for file in files
        ],
    )


def _insert_metadata(connection: sqlite3.Connection, learned: Sequence[Metadata], shard: str) -> None:
    """Add what differs from what was known before: an IOC says the same at every connection."""
    last: dict[str, str] = {}
    for metadata in learned:
        pv, fields = metadata.pv, asdict(metadata)
        said = json.dumps({key: value for key, value in fields.items() if key not in {"pv", "time_ns"}}, sort_keys=True)
        if pv not in last:
            row = connection.execute(_LAST_METADATA, (pv, shard)).fetchone()
            last[pv] = row[0] if row else ""
        if said != last[pv]:
            connection.execute(_PUT_METADATA, (pv, metadata.time_ns, said, shard))
            last[pv] = said


def _insert_connections(connection: sqlite3.Connection, rows: Sequence[ConnectionRow], shard: str) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO connections VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row.pv, row.time_ns, int(row.kind), row.last_heard_ns, row.seq, row.protocol, shard) for row in rows],
    )


def _file(row: tuple[Any, ...]) -> IndexedFile:
    file_id, path, level, value_type, *rest = row
    return IndexedFile(file_id, path, Level(level), ValueType(value_type), *rest)


def encode_directory(directory: Directory) -> bytes:
    """Return a directory as bytes: an Arrow record batch, compressed, with the footer's places as its metadata."""
    names = [field.name for field in fields(directory) if field.name != "footer"]
    columns = [getattr(directory, name) for name in names]
    metadata = {b"footer": json.dumps(directory.footer.tolist()).encode()}
    types = [pa.from_numpy_dtype(column.dtype) for column in columns]
    schema = pa.schema(list(zip(names, types, strict=True)), metadata)
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    body: bytes = sink.getvalue().to_pybytes()
    return xxhash.xxh3_64_digest(body) + body


def decode_directory(data: bytes) -> Directory:
    """Return the directory that `encode_directory` wrote.

    Raises
    ------
    ValueError
        Where the bytes are not as they were written.
    """
    if xxhash.xxh3_64_digest(data[8:]) != data[:8]:
        raise ValueError("its checksum is another one")
    table = pa.ipc.open_stream(pa.py_buffer(data)[8:]).read_all()
    footer = np.array(json.loads(table.schema.metadata[b"footer"]), dtype=np.int64)
    columns = {name: table[name].to_numpy() for name in table.schema.names}
    columns.setdefault("skip_rows", np.zeros(table.num_rows, dtype=np.int64))  # each entry a row group of its own
    if "group_xxh3" not in columns:
        columns["group_xxh3"] = np.zeros(table.num_rows, dtype=np.int64)
        footer = np.append(footer, 0)
    return Directory(**columns, footer=footer)


def _row(record: PvRecord) -> tuple[object, ...]:
    return (
        record.code,
        record.name,
        record.value_type,
        record.protocol,
        record.ioc,
        json.dumps(asdict(record.metadata)) if record.metadata else None,
        record.has_connected,
        record.is_connected,
        json.dumps(asdict(record.last)) if record.last else None,
        record.last_heard_ns,
        record.in_doubt_since_ns,
        record.n_stored,
        record.n_quarantined,
        record.n_gaps,
        json.dumps(record.filtered),
        record.synced_seq,
        record.is_silent,
        json.dumps(asdict(record.refused)) if record.refused else None,
        json.dumps(asdict(record.refusal)) if record.refusal else None,
    )


def _record(row: tuple[Any, ...]) -> PvRecord:
    code, name, value_type, protocol, ioc, metadata, has_connected, is_connected, last, *counts = row
    heard_ns, in_doubt_since_ns, n_stored, n_quarantined, n_gaps, filtered, synced_seq, is_silent, *aside = counts
    refused, refusal = aside
    return PvRecord(
        code,
        name,
        ValueType(value_type) if value_type else None,
        protocol,
        ioc,
        metadata_from_json(json.loads(metadata)) if metadata else None,
        bool(has_connected),
        bool(is_connected),
        LastSample(**json.loads(last)) if last else None,
        last_heard_ns=heard_ns,
        in_doubt_since_ns=in_doubt_since_ns,
        n_stored=n_stored,
        n_quarantined=n_quarantined,
        n_gaps=n_gaps,
        synced_seq=synced_seq,
        is_silent=bool(is_silent),
        refused=Tail(**json.loads(refused)) if refused else None,
        refusal=Refusal(**json.loads(refusal)) if refusal else None,
        filtered=json.loads(filtered),
    )
