"""Patterns of directories: globs that take words out of a path.

``*`` stands for any text in one folder's name and ``?`` for one character; ``**`` as a whole name for any number of
folders. ``{detector}`` takes the id of a detector that the experiment has, ``{run}`` a number, ``{stage}`` and
``{owner}`` any text in one folder's name; ``{stage:hit|evt|sim*}`` only these words, which are globs themselves. All
else stands for itself. A pattern holds for a directory and for all that is in it.
"""

import re
from collections.abc import Collection

from nualley.core import UsageError, nearest

KEYS = ("detector", "stage", "run", "owner")

_EXAMPLE = "{detector}/raw/{run}"
_TOKEN = re.compile(
    r"\{(?P<key>[^{}:]*)(?::(?P<words>[^{}]*))?\}|(?P<many>\*+)|(?P<one>\?)|(?P<text>[^{}*?]+)|(?P<odd>.)"
)


def check_pattern(pattern: str) -> str:
    """Return a pattern as it is.

    Parameters
    ----------
    pattern : str
        What somebody wrote.

    Raises
    ------
    UsageError
        Where it can match nothing, or not what is meant.
    """
    parts = pattern.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"{pattern!r} has an empty, '.' or '..' part", do="write it below the drive's root, without '/' at its ends"
        )
    keys = [key for part in parts for key in _check_part(pattern, part)]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"{pattern!r} takes {{{key}}} twice", do="take it once, and write * for the other")
    return pattern


def keys_of(pattern: str) -> tuple[str, ...]:
    """Return what a pattern takes out of a path.

    Examples
    --------
    >>> keys_of("{detector}/{stage:hit|evt}/**/run{run}")
    ('detector', 'stage', 'run')
    """
    return tuple(token["key"] for token in _TOKEN.finditer(pattern) if token["key"] is not None)


def words_of(pattern: str, key: str) -> tuple[str, ...]:
    """Return the words among which a key of a pattern chooses; empty where it takes any.

    Examples
    --------
    >>> words_of("{detector}/{stage:hit|evt}", "stage")
    ('hit', 'evt')
    """
    chosen = (token["words"] for token in _TOKEN.finditer(pattern) if token["key"] == key and token["words"])
    return tuple(word for words in chosen for word in words.split("|"))


def to_regex(pattern: str, prefix: str, detectors: Collection[str]) -> str:
    r"""Return a regular expression that matches, from its start, the path of a directory.

    Parameters
    ----------
    pattern : str
        A checked pattern.
    prefix : str
        Put before the names of its groups, so that several patterns can stand in one expression.
    detectors : collection of str
        Ids of the experiment's detectors.

    Examples
    --------
    >>> to_regex("{detector}/raw/{run}", "r0_", ["cenns-10"])
    '(?P<r0_detector>cenns\\-10)/raw/(?P<r0_run>[0-9]+)(?:/|\\Z)'
    """
    parts = pattern.split("/")
    while parts and parts[-1] == "**":
        parts.pop()
    inner = [_part_regex(part, prefix, detectors) for part in parts]
    return "".join(inner).removesuffix("/") + r"(?:/|\Z)" if parts else ""


def _check_part(pattern: str, part: str) -> list[str]:
    keys = []
    for token in _TOKEN.finditer(part):
        if token["odd"]:
            raise UsageError(f"{pattern!r} has a lone {token['odd']!r}", do=f'write keys as in "{_EXAMPLE}"')
        if token["many"] and len(token["many"]) > 1 and part != "**":
            raise UsageError(f"{pattern!r} has ** inside of a name", do="write * there, or ** as a name of its own")
        if token["key"] is not None:
            keys.append(_check_key(token["key"], token["words"]))
    return keys


def _check_key(key: str, words: str | None) -> str:
    if key not in KEYS:
        near = nearest(key, KEYS)
        hint = f"did you mean {{{near}}}? " if near else ""
        raise UsageError(f"{{{key}}} is not a key of a path", do=f"{hint}keys: {', '.join(KEYS)}")
    if words is not None and (key == "run" or not all(words.split("|"))):
        raise UsageError(f"{{{key}:{words}}} has words that cannot be", do=f"write {{{key}}}, or {{stage:hit|evt}}")
    return key


def _part_regex(part: str, prefix: str, detectors: Collection[str]) -> str:
    if part == "**":
        return "(?:[^/]+/)*"
    regex = "".join(_token_regex(token, prefix, detectors) for token in _TOKEN.finditer(part))
    # a name has at least one character: without this, * would match the drive's root too
    return f"{'(?=[^/])' if re.fullmatch(regex, '') else ''}{regex}/"


def _token_regex(token: re.Match[str], prefix: str, detectors: Collection[str]) -> str:
    if token["key"] is None:
        return _glob(token[0])
    return f"(?P<{prefix}{token['key']}>{_taken(token['key'], token['words'], detectors)})"


def _taken(key: str, words: str | None, detectors: Collection[str]) -> str:
    if words:
        return "|".join(map(_glob, words.split("|")))
    if key == "detector":
        # the longest first: one id may be the beginning of another; without any, nothing matches
        return "|".join(map(re.escape, sorted(detectors, key=len, reverse=True))) or "(?!)"
    return "[0-9]+" if key == "run" else "[^/]+"


def _glob(text: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter) for letter in text)
