"""A folder of backups: SQLite files, each with a note beside it of what it holds; and when the last drill was."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nualley.catalog.adapters.backup import backup, restore
from nualley.catalog.adapters.contents import difference, read_content
from nualley.catalog.adapters.database import open_database
from nualley.catalog.errors import CatalogDamaged, CatalogMissing
from nualley.catalog.models import CatalogContent, Drill
from nualley.catalog.wire import parse_content
from nualley.core import escape_name, format_time, parse_time_ns, sync_folder
from nualley.storage import DurableFiles

_NAME = re.compile(r"catalog-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.sqlite")
_LAST_DRILL = "last-drill.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of a folder.

    Parameters
    ----------
    file : Path
        The SQLite file.
    time_ns : int
        When it was begun [ns since 1970 UTC], as its name says.
    """

    file: Path
    time_ns: int

    @property
    def note(self) -> Path:
        """The file that says what it holds."""
        return self.file.with_suffix(".json")


def list_backups(folder: Path) -> list[Backup]:
    """Return the backups of a folder, oldest first; other files are passed over."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match:
            year, month, day, hour, minute, second = match.groups()
            text = f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"
            found.append(Backup(path, parse_time_ns(text, 0)))
    return sorted(found, key=lambda each: each.time_ns)


def add_backup(
    location: Path | str, folder: Path, *, files: DurableFiles, now_ns: int, keep: int | None = None
) -> tuple[Backup, CatalogContent]:
    """Add a backup to a folder, and remove the oldest where more than ``keep`` are there then.

    Parameters
    ----------
    location : Path or str
        The catalog.
    folder : Path
        It has to be there: below the bare mount point of a drive that is away nothing is written.
    files : DurableFiles
        The file systems.
    now_ns : int
        The time now [ns since 1970 UTC].
    keep : int, optional
        How many stay; all by default. Only files of `list_backups` are ever removed, and only after the new one was
        read back.

    Returns
    -------
    tuple
        The backup, and what it holds.
    """
    stamp = format_time(now_ns, digits=0).replace(":", "").replace("-", "")
    added = Backup(folder / f"catalog-{stamp}.sqlite", now_ns)
    content = backup(location, added.file, files=files)
    _write_json(added.note, {"file": added.file.name, "time_ns": now_ns, **asdict(content)})
    for old in list_backups(folder)[:-keep] if keep else ():
        old.file.unlink()
        old.note.unlink(missing_ok=True)
    sync_folder(folder)
    return added, content


def drill(folder: Path, *, files: DurableFiles, now_ns: int, file: Path | None = None) -> Drill:
    """Restore a backup into a temporary place beside it, compare, and note the outcome.

    Parameters
    ----------
    folder : Path
        The folder of the backups.
    files : DurableFiles
        The file systems.
    now_ns : int
        The time now [ns since 1970 UTC].
    file : Path, optional
        Which backup; the newest of the folder by default.

    Returns
    -------
    Drill
        What was restored.

    Raises
    ------
    CatalogMissing
        Where there is no backup, or nothing says what it holds.
    CatalogDamaged
        Where what comes back is not what the backup says; noted as the last drill.
    """
    chosen = _chosen(folder, file)
    said = _said(chosen)
    try:
        content = _restored(chosen, files=files, now_ns=now_ns)
        _check_same(chosen, content, said)
    except CatalogDamaged as error:
        _note_drill(folder, Drill(str(chosen), now_ns, error.what, said))
        raise
    done = Drill(str(chosen), now_ns, "", content)
    _note_drill(folder, done)
    return done


def _check_same(file: Path, content: CatalogContent, said: CatalogContent) -> None:
    told = difference(content, said)
    if told:
        raise CatalogDamaged(
            f"what comes back is not what the backup says: {told}",
            where=escape_name(str(file)),
            do="take an older backup, make a new one now, and look at the drive",
        )


def last_drill(folder: Path) -> Mapping[str, Any] | None:
    """Return what was noted of the last drill, None where there was none."""
    try:
        found = json.loads((folder / _LAST_DRILL).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _chosen(folder: Path, file: Path | None) -> Path:
    if file is not None:
        return file
    found = list_backups(folder)
    if not found:
        raise CatalogMissing(
            f"there is no backup in {escape_name(str(folder))}",
            where="catalog.backup_folder",
            do="start 'nualley up', whose worker makes one, or name a backup: nualley catalog drill FILE",
        )
    return found[-1].file


def _said(file: Path) -> CatalogContent:
    note = Backup(file, 0).note
    try:
        found = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogMissing(
            f"nothing says what the backup holds: {type(error).__name__} at {escape_name(note.name)}",
            where=escape_name(str(file)),
            do="drill a backup that the worker made; a single file is looked through by restore itself",
        ) from error
    return parse_content(found)


def _restored(file: Path, *, files: DurableFiles, now_ns: int) -> CatalogContent:
    with tempfile.TemporaryDirectory(prefix=".drill-", dir=file.parent) as place:
        target = Path(place) / "catalog.sqlite"
        content = restore(file, target, files=files, now_ns=now_ns)
        with closing(open_database(target, create=False)) as catalog, catalog.reading() as connection:
            back = read_content(connection, catalog.where)
        # an older backup was brought up to date on its way: then what it held before that counts
        return back if back.version == content.version else content


def _note_drill(folder: Path, done: Drill) -> None:
    _write_json(folder / _LAST_DRILL, asdict(done))
    sync_folder(folder)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fdatasync(stream.fileno())
    part.replace(path)
