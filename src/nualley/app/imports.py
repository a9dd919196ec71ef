"""Taking in files of other archives."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO, TypeAlias

from nualley.app.archive import open_importer
from nualley.archive.appliance.files import Damage, read_events
from nualley.archive.csv_rows import RefusedLines, ValueCounts, read_csv
from nualley.archive.importing import ImportCounts, ImportedRows
from nualley.archive.taking_in import Importer
from nualley.archive.waves import NO_RULES, Rules
from nualley.core import UsageError, escape_name, make_folders
from nualley.pv import ValueType

Progress: TypeAlias = Callable[[str, int, int], None]
"""Takes the name of what is done, bytes done and bytes in all [B]."""

NO_SAMPLE = "no-sample"
"""Why a line of a file is kept aside."""

_SUFFIXES = (".pb", ".csv")
_LINES = Path("quarantine") / "import-lines.jsonl"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of files.

    Parameters
    ----------
    n_files : int
        How many were read.
    counts : ImportCounts
        The account of their samples; lines that are no samples count as received and quarantined.
    n_lines : int
        How many lines are no samples.
    unreadable : tuple of str
        Places of the first lines that could not be read, and why.
    kept_at : Path or None
        Where the refused lines are kept.
    refused : tuple of Path
        Files of which nothing is stored, because all that is in them was refused.
    """

    n_files: int
    counts: ImportCounts
    n_lines: int
    unreadable: tuple[str, ...]
    kept_at: Path | None
    refused: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of an imported file that is no sample.

    Parameters
    ----------
    file : str
        Where it is from.
    line : int
        Its number.
    reason : str
        What is wrong with it.
    text : str
        What it says; what is no text, escaped.
    """

    file: str
    line: int
    reason: str
    text: str


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
    progress: Progress | None = None,
    *,
    rules: Rules = NO_RULES,
) -> Imported:
    """Take in the samples of files; what is stored or kept aside already is filtered, so that it may be done again.

    Files of CSV are gone through twice: what the values of a PV are is not known before the last line.

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
    values, nothing = _count_values(files, progress), []
    with open_importer(folder, rules=rules) as importer:
        for path in _told(files, "files", progress):
            n_lines, n_read, n_believed = len(damage.lines) + len(refused.lines), 0, 0
            for rows in _read(path, damage, refused, _types(importer, values)):
                n_read += len(rows)
                n_believed += importer.store(rows)
            if not n_believed and (n_read or len(damage.lines) + len(refused.lines) > n_lines):
                nothing.append(path)
    counts = importer.counts
    texts = [(*where, escape_name(text.encode(errors="surrogateescape"))) for *where, text in refused.lines]
    lines = [*texts, *((*where, escape_name(raw)) for *where, raw in damage.lines)]
    n_kept, kept_at = _keep(folder, lines)
    counts.received += len(lines)
    counts.quarantined += n_kept
    counts.by_reason.update({NO_SAMPLE: n_kept} if n_kept else {})
    counts.filtered += len(lines) - n_kept
    places = [f"{source}:{line}: {what}" for source, line, what, _ in refused.lines[:20]]
    return Imported(len(files), counts, len(lines), (*damage.places, *places), kept_at, tuple(nothing))


def refused_lines(folder: Path) -> list[RefusedLine]:
    """Return the lines of all imports that are no samples, in the order in which they were kept aside.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    """
    path = folder / _LINES
    if not path.is_file():
        return []
    found = []
    for number, entry in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(RefusedLine(**json.loads(entry)))
        except (ValueError, TypeError):
            # a kill or a full drive in the middle of it: the next import of that file keeps the line again
            found.append(RefusedLine(str(path), number, "what was kept of a line is cut short", entry))
    return found


def _told(files: Sequence[Path], name: str, progress: Progress | None) -> Iterator[Path]:
    """Yield files, and tell how far they are gone through."""
    all_B, done_B = sum(path.stat().st_size for path in files), 0
    for path in files:
        yield path
        done_B += path.stat().st_size
        if progress is not None:
            progress(name, done_B, all_B)


def _count_values(files: Sequence[Path], progress: Progress | None) -> ValueCounts:
    counts = ValueCounts()
    for path in _told([path for path in files if path.suffix == ".csv"], "kinds of values", progress):
        with _opened(path) as text:
            counts.count(text, str(path))
    return counts


def _types(importer: Importer, values: ValueCounts) -> Callable[[str], ValueType]:
    return lambda pv: values.value_type(pv, importer.known_type(pv))


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read(
    path: Path, damage: Damage, refused: RefusedLines, type_of: Callable[[str], ValueType]
) -> Iterator[ImportedRows]:
    if path.suffix == ".pb":
        with path.open("rb") as file:
            yield from read_events(file, str(path), damage)
    else:
        with _opened(path) as text:
            yield from read_csv(text, str(path), refused, type_of)


def _keep(folder: Path, lines: Sequence[tuple[object, ...]]) -> tuple[int, Path | None]:
    """Keep lines that are no samples beside the refused samples, with the reason of each; none of them twice.

    Returns how many are new, and where all are.
    """
    if not lines:
        return 0, None
    path = folder / _LINES
    make_folders(path.parent)
    new = dict.fromkeys(
        RefusedLine(str(Path(str(source)).resolve()), int(str(line)), str(reason), str(text))
        for source, line, reason, text in lines
    )
    for known in refused_lines(folder):
        # one file has many names, also in what an earlier version kept
        new.pop(replace(known, file=str(Path(known.file).resolve())), None)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.writelines(json.dumps(asdict(line)).encode() + b"\n" for line in new)
    return len(new), path
