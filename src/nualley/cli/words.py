"""The words of a command line before they are parsed."""

from collections.abc import Callable, Container, Sequence

from nualley.core import UsageError

_ANYWHERE = ("--experiment", "--json", "--format")


def in_order(words: Sequence[str], groups: Container[str]) -> list[str]:
    """Move options that stand before the command, or before its verb, behind both.

    Parameters
    ----------
    words : sequence of str
        The command line.
    groups : container of str
        Commands that have verbs.

    Returns
    -------
    list of str
        The same words, the command first.

    Examples
    --------
    >>> in_order(["--experiment", "coherent", "runs", "--json", "list"], {"runs"})
    ['runs', 'list', '--experiment', 'coherent', '--json']
    """
    options, rest = _leading_options(words)
    if rest and rest[0] in groups:
        further, verb = _leading_options(rest[1:])
        return [rest[0], *verb, *options, *further]
    return [*rest, *options]


def _leading_options(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    n_moved = 0
    while n_moved < len(words) and words[n_moved].split("=")[0] in _ANYWHERE:
        n_moved += 1 if "=" in words[n_moved] or words[n_moved] == "--json" else 2
    return words[:n_moved], words[n_moved:]


def check_not_empty(words: Sequence[str], name_of: Callable[[int], str] = lambda _: "") -> None:
    """Refuse empty words: as a path one would mean the working directory, as anything else nothing.

    Parameters
    ----------
    words : sequence of str
        The command line.
    name_of : callable
        Takes the position of a word; returns what help calls it, empty where nobody knows.

    Raises
    ------
    UsageError
        Where there is one, by its name and the word before it.
    """
    for position, (before, word) in enumerate(zip(["nualley", *words], words, strict=False)):
        name, is_option, value = word.partition("=")
        if word and not (name.startswith("--") and is_option and not value):
            continue
        place = f"the value of {name}" if word else f"the word after {before}"
        called = "" if word or before.startswith("-") else name_of(position)
        raise UsageError(
            f"{called}, {place}, is empty, expected some text" if called else f"{place} is empty, expected some text",
            where=name or before,
            do="write it, or leave it out",
        )
