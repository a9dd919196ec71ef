"""Names of PVs that match a pattern which somebody sent."""

from collections.abc import Iterable

import re2

from nualley.core import UsageError

LONGEST = 1000
"""A pattern has so many characters at most."""

_MOST_MEMORY_B = 2**20


def matching(names: Iterable[str], pattern: str, *, is_glob: bool, most: int | None = None) -> list[str]:
    """Return the names that a pattern matches as a whole, in their order.

    Parameters
    ----------
    names : iterable of str
        What is searched.
    pattern : str
        A regular expression, or words with ``*`` and ``?``.
    is_glob : bool
        Which of the two.
    most : int, optional
        So many names at most.

    Raises
    ------
    UsageError
        Where the pattern is too long, or none that RE2 knows.

    Notes
    -----
    RE2 takes a time in proportion to the name for any pattern; Python's own expressions can take for ever.
    """
    if len(pattern) > LONGEST:
        raise UsageError(
            f"a pattern of {len(pattern)} characters", where="regex, pv", do=f"use {LONGEST} characters at most"
        )
    options = re2.Options()
    options.max_mem = _MOST_MEMORY_B
    options.log_errors = False
    text = re2.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") if is_glob else pattern
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise UsageError(
            f"{pattern[:60]!r} is no regular expression: {why}",
            where="regex",
            do="write one without look-around and references back: https://github.com/google/re2/wiki/Syntax",
        ) from None
    found: list[str] = []
    for name in names:
        if most is not None and len(found) >= most:
            break
        if compiled.fullmatch(name):
            found.append(name)
    return found
