"""Names of things: detectors, runs, and file names that no text encoding can hold."""

import os
import re
from typing import NewType

from nualley.core.errors import UsageError

DetectorId = NewType("DetectorId", str)
RunId = NewType("RunId", str)

_RUN_ID = re.compile(r"([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)-(\d+)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def make_run_id(detector: str, number: int) -> RunId:
    """Return ``<detector>-<number>``.

    Examples
    --------
    >>> make_run_id("cenns-10", 42)
    'cenns-10-42'
    """
    return RunId(f"{detector}-{number}")


def split_run_id(run_id: str) -> tuple[DetectorId, int]:
    """Split a run id at its last hyphen.

    Parameters
    ----------
    run_id : str
        ``<detector>-<number>``.

    Returns
    -------
    tuple of DetectorId and int
        The detector and the run's number.

    Raises
    ------
    UsageError
        Where it has no such form.
    """
    match = _RUN_ID.fullmatch(run_id)
    if match is None:
        raise UsageError(
            f"{run_id!r} is not a run", do="write <detector>-<number>, or a number together with --detector"
        )
    return DetectorId(match[1]), int(match[2])


def escape_name(name: str | bytes) -> str:
    r"""Return a file name as text that any encoding, database or terminal can hold.

    Parameters
    ----------
    name : str or bytes
        A name as the file system gave it (text may hold surrogate escapes).

    Returns
    -------
    str
        The name with control characters, backslashes and bytes that are not UTF-8 written as ``\xNN``.

    Examples
    --------
    >>> escape_name(b"run\n1\xff.dat")
    'run\\x0a1\\xff.dat'
    """
    raw = os.fsencode(name) if isinstance(name, str) else name
    text = raw.decode("utf-8", errors="surrogateescape")
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character == "\\" or not character.isprintable():
        # also what turns the direction of text, or shows as nothing
        return "".join(f"\\x{byte:02x}" for byte in character.encode())
    return character


def unescape_name(text: str) -> str:
    r"""Return the file-system name that `escape_name` wrote.

    Examples
    --------
    >>> unescape_name("run\\x0a1.dat")
    'run\n1.dat'
    """
    pieces = _ESCAPE.split(text)
    raw = b"".join(
        bytes([int(piece, 16)]) if index % 2 else piece.encode("utf-8") for index, piece in enumerate(pieces)
    )
    return os.fsdecode(raw)
