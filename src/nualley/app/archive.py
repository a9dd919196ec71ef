"""Opening an archive: settings and folders become a recorder or a reader."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nualley.archive.adapters.changes_file import ChangesFile, KeptNames
from nualley.archive.adapters.column_files import ParquetFolder
from nualley.archive.adapters.damage_notes import DamageNotes
from nualley.archive.adapters.index_digest import copy_path, restore_copy
from nualley.archive.adapters.log_files import LogFileWriter, LogFolder, hold_shard
from nualley.archive.adapters.manifest import ManifestFile
from nualley.archive.adapters.reserve import give_to_start
from nualley.archive.adapters.sql import SqliteIndex
from nualley.archive.compaction import Compactor
from nualley.archive.directory import DirectoryCache
from nualley.archive.errors import RESTORE_INDEX, ArchiveMissingError, IndexDamagedError
from nualley.archive.reader import ArchiveReader
from nualley.archive.sealing import Sealer
from nualley.archive.service import Recorder
from nualley.archive.settings import ArchiveSettings
from nualley.archive.taking_in import SHARD as IMPORT_SHARD
from nualley.archive.taking_in import Importer
from nualley.archive.verifying import Verified, verify
from nualley.archive.waves import NO_RULES, Rules
from nualley.core import Clock, SystemClock, UsageError

SHARD = "0"
_INDEX = "index.sqlite"


@dataclass(frozen=True, slots=True)
class ArchiveWriter:
    """What the one process that writes an archive holds.

    Parameters
    ----------
    recorder : Recorder
        Takes events in.
    log : LogFileWriter
        Where commits become durable.
    sealer : Sealer
        Turns closed segments into Parquet.
    """

    recorder: Recorder
    log: LogFileWriter
    sealer: Sealer

    def seal(self) -> None:
        """Make all durable, begin a new segment and seal the one before."""
        self.recorder.commit()
        segment = self.recorder.rotate()
        self.sealer.seal(segment)

    def close(self) -> None:
        """Make all durable and close the log; the open segment is sealed by the next start."""
        self.recorder.commit()
        self.log.close()


def open_archive_writer(
    folder: Path, settings: ArchiveSettings | None = None, clock: Clock | None = None, *, rules: Rules = NO_RULES
) -> ArchiveWriter:
    """Open an archive for the one process that writes it; an earlier process's log is repaired and sealed.

    Parameters
    ----------
    folder : Path
        ``store/archive``; made where it is missing. The caller holds the store's lock for the role ``archive``.
    settings : ArchiveSettings, optional
        Limits and intervals.
    clock : Clock, optional
        Where the time comes from; the machine's by default.
    rules : mapping of str to TraceRule, optional
        How arrays of some PVs are averaged for good.

    Returns
    -------
    ArchiveWriter
        With every gap since the last proof of life already waiting for the first commit.

    Raises
    ------
    IndexDamagedError
        Where the index is missing or damaged.
    ShardTakenError
        Where another process writes it.
    """
    log_folder = folder / "wal" / SHARD
    _check_index_not_lost(folder)
    clock = clock or SystemClock()
    with contextlib.ExitStack() as failing:
        hold = hold_shard(log_folder)
        failing.callback(os.close, hold)
        give_to_start(log_folder)
        index = SqliteIndex(folder / _INDEX, SHARD, is_writer=True)
        sealer = _sealer(folder, index, clock, rules)
        registry = sealer.recover()
        settings = settings or ArchiveSettings()
        log = LogFileWriter(log_folder, index.last_sealed() + 1, registry.account, hold, reserve_B=settings.reserve_B)
        failing.pop_all()
    index.note_log()
    recorder = Recorder(registry, log, settings, clock)
    return ArchiveWriter(recorder, log, sealer)


def open_sealer(folder: Path, clock: Clock | None = None, *, rules: Rules = NO_RULES) -> Sealer:
    """Open an archive for sealing closed segments, beside the one process that writes its log.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    clock : Clock, optional
        Where the time comes from; the machine's by default.
    rules : mapping of str to TraceRule, optional
        How arrays of some PVs are averaged for good.
    """
    _check_index_not_lost(folder)
    return _sealer(folder, SqliteIndex(folder / _INDEX, SHARD, is_writer=True), clock or SystemClock(), rules)


def _sealer(folder: Path, index: SqliteIndex, clock: Clock, rules: Rules) -> Sealer:
    log, manifest = LogFolder(folder / "wal" / SHARD), ManifestFile(folder, clock)
    return Sealer(log, ParquetFolder(folder), index, manifest, shard=SHARD, clock=clock, rules=rules)


def open_archive_reader(folder: Path, clock: Clock | None = None) -> ArchiveReader:
    """Open an archive for reading, beside a running writer or without one.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    clock : Clock, optional
        Where the age of values is counted from; the machine's by default.

    Raises
    ------
    ArchiveMissingError
        Where nothing was ever archived.
    IndexDamagedError
        Where the index is missing or damaged.
    """
    path = folder / _INDEX
    _check_index_not_lost(folder)
    if not path.is_file():
        raise _nothing_archived(folder)
    index = SqliteIndex(path, SHARD)
    log, files, names = LogFolder(folder / "wal" / SHARD), ParquetFolder(folder), KeptNames(ChangesFile(folder))
    return ArchiveReader(index, log, files, clock or SystemClock(), names)


@contextlib.contextmanager
def open_importer(folder: Path, clock: Clock | None = None, *, rules: Rules = NO_RULES) -> Iterator[Importer]:
    """Open an archive for taking in what others recorded, beside a running archive or without one.

    Parameters
    ----------
    folder : Path
        ``store/archive``; made where it is missing.
    clock : Clock, optional
        Says when samples are received; the machine's by default.
    rules : mapping of str to TraceRule, optional
        How arrays of some PVs are averaged for good.

    Yields
    ------
    Importer
        What it was given is stored when the context ends without an error.

    Raises
    ------
    ShardTakenError
        Where another import runs.
    """
    _check_index_not_lost(folder)
    clock = clock or SystemClock()
    hold = hold_shard(folder / "wal" / IMPORT_SHARD)
    try:
        index = SqliteIndex(folder / _INDEX, SHARD, is_writer=True)
        reader = open_archive_reader(folder, clock)
        manifest = ManifestFile(folder, clock)
        importer = Importer(ParquetFolder(folder), index, manifest, reader, clock=clock, rules=rules)
        yield importer
        importer.flush()
    finally:
        os.close(hold)


def open_compactor(
    folder: Path,
    clock: Clock | None = None,
    kept_ns: Mapping[str, int] | None = None,
    *,
    rules: Rules = NO_RULES,
) -> Compactor:
    """Open an archive for merging its sealed files, beside a running archive or without one.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    clock : Clock, optional
        Says which periods are over; the machine's by default.
    kept_ns : mapping of str to int, optional
        How long rows of some PVs are kept [ns].
    rules : mapping of str to TraceRule, optional
        How arrays of some PVs are averaged for good.

    Raises
    ------
    ArchiveMissingError
        Where nothing was ever archived.
    """
    _check_index_not_lost(folder)
    clock = clock or SystemClock()
    if not (folder / _INDEX).is_file():
        raise _nothing_archived(folder)
    index = SqliteIndex(folder / _INDEX, SHARD, is_writer=True)
    manifest = ManifestFile(folder, clock)
    compactor = Compactor(ParquetFolder(folder), index, manifest, clock, kept_ns, rules)
    compactor.remove_replaced(manifest.replaced())
    return compactor


def verify_archive(folder: Path, progress: Callable[[int, int], None] | None = None) -> Verified:
    """Read every sealed file of an archive, compare it with what was written, and note what was found.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    progress : callable, optional
        Takes bytes done and bytes in all.
    """
    reader = open_archive_reader(folder)
    manifest = ManifestFile(folder, SystemClock())
    found = verify(
        reader.snapshot().files,
        manifest.sha256_by_path(),
        ParquetFolder(folder),
        progress,
        again=lambda: reader.snapshot().files,
    )
    DamageNotes(folder).note_verified(found)
    return found


@dataclass(frozen=True, slots=True)
class RestoredIndex:
    """What stands after an index was restored.

    Parameters
    ----------
    kept : Path or None
        Where the damaged one is; None where it was gone.
    n_files : int
        Sealed files that the restored one knows.
    unindexed : tuple of str
        Sealed files that it does not know: they came after the copy, and are not read.
    """

    kept: Path | None
    n_files: int
    unindexed: tuple[str, ...]


def restore_index(folder: Path) -> RestoredIndex:
    """Put the copy of a damaged or missing index in its place.

    Parameters
    ----------
    folder : Path
        ``store/archive``.

    Raises
    ------
    UsageError
        Where the index is as it was written.
    IndexDamagedError
        Where the copy is damaged, too.
    ShardTakenError
        Where the archive runs, or an import.
    """
    path = folder / _INDEX
    if not copy_path(path).exists() and not path.exists():
        raise _nothing_archived(folder)
    with contextlib.ExitStack() as holding:
        for shard in (SHARD, IMPORT_SHARD):
            holding.callback(os.close, hold_shard(folder / "wal" / shard))
        if _is_intact(path):
            raise UsageError(
                "the archive's index is as it was written: there is nothing to restore",
                where=str(path),
                do="nualley archive verify looks at the files that it lists",
            )
        kept = restore_copy(path)
        files = {file.path for file in SqliteIndex(path, SHARD).snapshot(DirectoryCache()).files}
    return RestoredIndex(kept, len(files), tuple(sorted(ParquetFolder(folder).paths() - files)))


def _is_intact(path: Path) -> bool:
    try:
        SqliteIndex(path, SHARD).load()
    except (IndexDamagedError, FileNotFoundError):
        return False
    return True


def _nothing_archived(folder: Path) -> ArchiveMissingError:
    return ArchiveMissingError(
        "nothing was archived yet", where=str(folder), do="start the archive: nualley up archive"
    )


def _check_index_not_lost(folder: Path) -> None:
    # the index is made first: where anything stands without it, a new one would hide all that is sealed
    if (folder / _INDEX).is_file():
        return
    found = [path for path in (folder / "wal" / SHARD, folder / "day") if path.is_dir() and any(path.iterdir())]
    if found:
        raise IndexDamagedError(
            f"the archive's index is missing, and {found[0]} is not empty",
            where=str(folder / _INDEX),
            do=RESTORE_INDEX,
        )
