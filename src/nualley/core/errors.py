"""Errors that say what happened, where, and what to do next."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of every command (conventions, section 6 of the design)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    NOT_INTACT = 5
    ALARMS = 6
    STOPPED = 130


class NualleyError(Exception):
    """The root of every error that a user may see.

    Parameters
    ----------
    what : str
        What happened, with the value found and the value expected.
    where : str, optional
        PV, path, run or key that it happened at.
    do : str, optional
        The next command or key to try.

    Notes
    -----
    A subclass also derives from the builtin that a caller expects (``KeyError``, ``TimeoutError``) and may set
    ``exit_code``.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, what: str, where: str = "", do: str = "") -> None:
        super().__init__(what, where, do)
        self.what = what
        self.where = where
        self.do = do

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.do:
            lines.append(f"  do:    {self.do}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, str | int]:
        """Return the one object that a command prints under ``--json``."""
        return {"what": self.what, "where": self.where, "do": self.do, "code": int(self.exit_code)}


class UsageError(NualleyError, ValueError):
    """An argument that cannot be understood or does not fit the others."""

    exit_code = ExitCode.USAGE


class ConfigurationError(NualleyError, ValueError):
    """The experiment repository or the environment says something that cannot be used."""

    exit_code = ExitCode.CONFIGURATION


class UnreachableError(NualleyError, TimeoutError):
    """An IOC, a process, a database or a host does not answer."""

    exit_code = ExitCode.UNREACHABLE


class IntegrityError(NualleyError, ValueError):
    """Bytes are not what they should be."""

    exit_code = ExitCode.NOT_INTACT


def first_few(words: Sequence[str], most: int = 5) -> str:
    """Return the first of many words, and how many more there are.

    Parameters
    ----------
    words : sequence of str
        All of them.
    most : int
        So many are named.

    Examples
    --------
    >>> first_few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return f"{', '.join(words[:most])}{more}"


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the closest of ``words``, for "did you mean".

    Parameters
    ----------
    word : str
        What was found.
    words : iterable of str
        What would have been valid.

    Returns
    -------
    str
        The closest valid word, or an empty string where nothing comes near.

    Examples
    --------
    >>> nearest("wavdump", ["wavedump", "cohar750-hdf5"])
    'wavedump'
    >>> nearest("zzz", ["wavedump"])
    ''
    """
    by_lower = {candidate.lower(): candidate for candidate in words}
    found = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def reason(error: OSError) -> str:
    """Return why the machine refused, in its words.

    Parameters
    ----------
    error : OSError
        What it raised; made by a library, it may lack ``strerror``.

    Returns
    -------
    str
        Never empty and never "None".

    Examples
    --------
    >>> reason(FileNotFoundError(2, "No such file or directory", "/data"))
    'No such file or directory'
    >>> reason(OSError("the host is gone"))
    'the host is gone'
    """
    said = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return said or type(error).__name__


def refused_value(found: Mapping[str, Any], do: str) -> tuple[str, str]:
    """Return what pydantic refused of a command's options, and what to do: in our own words where the rule is ours.

    Parameters
    ----------
    found : mapping
        One of the errors of a `pydantic.ValidationError`.
    do : str
        What to do where the rule is not ours.

    Returns
    -------
    tuple of str and str
        What is wrong, and what to do.
    """
    option = f"--{'.'.join(map(str, found['loc'])).replace('_', '-')}" if found["loc"] else ""
    # a rule of a whole model was given the model
    given = f"{found['input']!s:.60}" if isinstance(found["input"], str | int | float | list | tuple) else ""
    said = " ".join(part for part in (option, given) if part)
    what = found["msg"].removeprefix("Value error, ")
    ours = found.get("ctx", {}).get("error")
    if isinstance(ours, NualleyError):
        what, do = ours.what, ours.do or do
    return f"{said}: {what}" if said else what, do
