"""Taking in files of other archives."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.app.archive import open_importer
from nualley.archive.appliance.files import Damage, read_events
from nualley.archive.csv_rows import RefusedLines, read_csv
from nualley.archive.importing import ImportCounts, ImportedRows
from nualley.archive.waves import NO_RULES, Rules
from nualley.core import UsageError, escape_name, make_folders

_SUFFIXES = (".pb", ".csv")


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of files.

    Parameters
    ----------
    n_files : int
        How many were read.
    counts : ImportCounts
        The account of their samples; lines that are no samples count as received and quarantined.
    unreadable : tuple of str
        Places of the first lines that could not be read, and why.
    kept_at : Path or None
        Where the refused lines are kept.
    """

    n_files: int
    counts: ImportCounts
    unreadable: tuple[str, ...]
    kept_at: Path | None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are named, and those below the folders that are.

    Raises
    ------
    UsageError
        Where a path is not there, or a file is of no known kind.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(part for part in path.rglob("*") if part.suffix in _SUFFIXES and part.is_file())
        elif not path.is_file():
            raise UsageError("there is no such file", where=str(path), do="name files or folders that are there")
        elif path.suffix not in _SUFFIXES:
            raise UsageError(
                f"{path.suffix or 'a file without suffix'} is not a kind that can be imported",
                where=str(path),
                do=f"give files that end in {' or '.join(_SUFFIXES)}, or a folder of them",
            )
        else:
            found.append(path)
    return found


def import_files(
    folder: Path,
    paths: Sequence[Path],
    progress: Callable[[str, int, int], None] | None = None,
    *,
    rules: Rules = NO_RULES,
) -> Imported:
    """Take in the samples of files; what is stored already is filtered, so that it may be done again.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    paths : sequence of Path
        Files, or folders of them: ``.pb`` of an Archiver Appliance, ``.csv`` with columns pv, time, value, severity.
    progress : callable, optional
        Takes the name of what is done, bytes done and bytes in all.
    rules : mapping of str to TraceRule, optional
        How arrays of some PVs are averaged for good.
    """
    files = find_files(paths)
    damage, refused = Damage(), RefusedLines()
    all_B, done_B = sum(path.stat().st_size for path in files), 0
    with open_importer(folder, rules=rules) as importer:
        for path in files:
            for rows in _read(path, damage, refused):
                importer.store(rows)
            done_B += path.stat().st_size
            if progress is not None:
                progress("files", done_B, all_B)
    counts = importer.counts
    texts = [(*where, escape_name(text.encode(errors="surrogateescape"))) for *where, text in refused.lines]
    kept = [*texts, *((*where, escape_name(raw)) for *where, raw in damage.lines)]
    kept_at = _keep(folder, kept)
    counts.received += len(kept)
    counts.quarantined += len(kept)
    places = [f"{source}:{line}: {what}" for source, line, what, _ in refused.lines[:20]]
    return Imported(len(files), counts, (*damage.places, *places), kept_at)


def _read(path: Path, damage: Damage, refused: RefusedLines) -> Iterator[ImportedRows]:
    if path.suffix == ".pb":
        with path.open("rb") as file:
            yield from read_events(file, str(path), damage)
    else:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield from read_csv(text, str(path), refused)


def _keep(folder: Path, lines: Sequence[tuple[object, ...]]) -> Path | None:
    """Keep lines that are no samples beside the refused samples, with the reason of each."""
    if not lines:
        return None
    path = folder / "quarantine" / "import-lines.jsonl"
    make_folders(path.parent)
    with path.open("a", encoding="utf-8") as file:
        for fields in lines:
            file.write(json.dumps(dict(zip(("file", "line", "reason", "text"), fields, strict=True))) + "\n")
    return path
