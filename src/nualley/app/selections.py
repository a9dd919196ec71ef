"""Selections of an experiment, put together; and files of them: read, written, checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nualley.catalog import Flag
from nualley.config import ConfigurationErrors, Mistake, check_files, repository_of
from nualley.core import NualleyError, UsageError, escape_name, reason, replacing
from nualley.selection import ListFormat, canonical_json, parse_expression
from nualley.selection.frozen import FORMAT, FrozenSelection, read_frozen
from nualley.selection.lists import read_list
from nualley.selection.models import Definition, Difference, Piece, Resolution
from nualley.selection.service import Selections

if TYPE_CHECKING:
    from nualley.app.site import Site

LARGEST_B = 64 * 2**20
"""Size of a list of runs at most [B]."""

MIRROR = "selections/record"
"""Where the git mirror is written, below the experiment repository."""

_FLAGS = "flags.json"
_DRAFT = "nualley-draft-1"
_FORMATS: dict[str, ListFormat] = {".yaml": "legend-yaml", ".yml": "legend-yaml", ".csv": "csv"}


def document_schemas() -> dict[str, dict[str, object]]:
    """Return the JSON Schema of the documents that are written, by file pattern."""
    schema = FrozenSelection.model_json_schema()
    pattern = f"{MIRROR}/*.json"
    return {pattern: {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": pattern}}


def read_text(path: Path) -> str:
    """Return the text of a list of runs.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        What it holds.

    Raises
    ------
    UsageError
        Where there is no such file, or it cannot be one.
    NualleyError
        Where it cannot be read as text in UTF-8.
    """
    where = escape_name(str(path))
    try:
        if not path.is_file():
            what = f"{where} is a folder, no file" if path.is_dir() else f"there is no file {where}"
            raise UsageError(what, where=where, do="name a file that is there")
        if path.stat().st_size > LARGEST_B:
            raise UsageError(f"{where} is larger than {LARGEST_B} B", where=where, do="is it a list of runs?")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NualleyError(f"the file is no text in UTF-8: {error.reason}", where=where, do="convert it") from error
    except OSError as error:
        raise NualleyError(f"the file cannot be read: {reason(error)}", where=where, do="look at its rights") from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; what was there is replaced.

    Parameters
    ----------
    path : Path
        The file; its folder has to be there.
    text : str
        What it is to hold.

    Raises
    ------
    NualleyError
        Where it cannot be written.
    """
    try:
        with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise NualleyError(
            f"the file cannot be written: {reason(error)}", where=escape_name(str(path)), do="name another file"
        ) from error


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a mirror holds now.

    Parameters
    ----------
    folder : Path
        Where.
    written : tuple of str
        Files that are new or changed.
    kept : tuple of str
        Files that were right already.
    """

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def mirror(site: "Site", folder: Path | None = None) -> Mirrored:
    """Write flags and selections of the catalog as text: a file each, which git can follow.

    Parameters
    ----------
    site : Site
        The experiment.
    folder : Path, optional
        Where; `MIRROR` in the experiment repository by default.

    Returns
    -------
    Mirrored
        What changed. Files of others in the folder stay.
    """
    where = folder or site.configuration.directory / MIRROR
    texts = {_FLAGS: _flags_text(site.catalog().run_lists.flags())}
    for found in site.selections().definitions():
        if found.source == "catalog":  # what is text already needs no other
            texts[f"{found.name}.json"] = found.content or _draft_text(found)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NualleyError(
            f"the folder cannot be made: {reason(error)}", where=escape_name(str(where)), do="name another folder"
        ) from error
    written = []
    for name, text in texts.items():
        path = where / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
            written.append(name)
    return Mirrored(where, tuple(written), tuple(sorted(set(texts) - set(written))))


def _flags_text(flags: Sequence[Flag]) -> str:
    # a line each: a difference in git is a flag
    lines = [canonical_json(_exact(flag)) for flag in flags]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def _exact(flag: Flag) -> dict[str, object]:
    # nanoseconds are more than a number in JSON holds exactly
    return {
        key: str(value) if key.endswith("_ns") and value is not None else value for key, value in flag.to_json().items()
    }


def _draft_text(found: Definition) -> str:
    head = {"format": _DRAFT, "name": found.name, "author": found.author, "revision": found.revision}
    listed = None if found.imported is None else canonical_json(found.imported)
    return canonical_json({**head, "expression": found.expression, "list": listed}) + "\n"


def check_documents(paths: Sequence[Path]) -> list[Mistake]:
    """Find the mistakes of files of selections, flags and lists of runs.

    Parameters
    ----------
    paths : sequence of Path
        ``.toml``: a selection, or the words of flags; where an experiment repository reads it, what loading finds is
        found, also what selections miss that the file no longer has. ``.json``: a frozen selection or a golden JSON,
        or what `mirror` wrote; ``.yaml`` and ``.csv``: lists.

    Returns
    -------
    list of Mistake
        In the order of the files; empty where all are well.
    """
    of_text = iter(check_files([path for path in paths if _is_text(path)]))
    found = [mistake for path in paths for mistake in (next(of_text) if _is_text(path) else _check(path))]
    return list(dict.fromkeys(found))


def _is_text(path: Path) -> bool:
    return path.suffix == ".toml" and path.is_file()


def lone_documents(paths: Sequence[Path]) -> list[Path]:
    """Return the files in ``.toml`` that no repository reads: what they name can be compared with nothing."""
    return [path for path in paths if _is_text(path) and repository_of(path) is None]


def _check(path: Path) -> list[Mistake]:
    if not path.is_file():
        found = "a folder, no file" if path.is_dir() else "no such file"
        return [Mistake(str(path), None, "", found, "a file that is there")]
    try:
        text = read_text(path)
        if path.suffix == ".json":
            _check_json(path, text)
        elif path.suffix in _FORMATS:
            read_list(text, _FORMATS[path.suffix])
        else:
            expected = "a file in .toml, .json, .yaml or .csv"
            return [Mistake(str(path), None, "", f"the ending {path.suffix!r}", expected)]
    except ConfigurationErrors:
        raise
    except NualleyError as error:
        return [Mistake(str(path), None, error.where, error.what, error.do)]
    return []


def _check_json(path: Path, text: str) -> None:
    if path.name == _FLAGS:
        _check_flags(text)
    elif f'"{_DRAFT}"' in text:
        _check_draft(text)
    elif f'"{FORMAT}"' in text:
        found = read_frozen(text)
        if found.name != path.stem:
            raise NualleyError(
                f"the document of selection {found.name} lies under the name {path.name}",
                where=escape_name(str(path)),
                do=f"call it {found.name}.json",
            )
    else:
        read_list(text, "cms-golden")


def _check_flags(text: str) -> None:
    for number, entry in enumerate(_parsed(text, list), 1):
        try:
            first_run, last_run = entry.pop("runs") or (None, None)
            first_block, last_block = entry.pop("blocks") or (None, None)
            times = {
                key: int(entry.pop(key)) for key in ("start_ns", "stop_ns", "time_ns") if entry.get(key) is not None
            }
            ends = {"first_run": first_run, "last_run": last_run, "first_block": first_block, "last_block": last_block}
            Flag(**(entry | times | ends))
        except UsageError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise NualleyError(
                f"entry {number} is no flag: {error}", where=_FLAGS, do="write the mirror anew"
            ) from error


def _check_draft(text: str) -> None:
    found = _parsed(text, dict)
    if isinstance(found.get("expression"), str):
        parse_expression(found["expression"])


def _parsed(text: str, kind: type) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NualleyError(f"the file is no JSON: {error}", where="json", do="write the mirror anew") from error
    if not isinstance(found, kind):
        raise NualleyError(f"the file is a {type(found).__name__}", where="json", do=f"a {kind.__name__} is expected")
    return found


__all__ = [
    "MIRROR",
    "Definition",
    "Difference",
    "Mirrored",
    "Piece",
    "Resolution",
    "Selections",
    "check_documents",
    "document_schemas",
    "lone_documents",
    "mirror",
    "read_text",
    "write_text",
]
