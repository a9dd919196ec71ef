"""Selections as the catalog keeps them: one revision after the other, the last one frozen or not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nualley.catalog.errors import SelectionFrozen
from nualley.catalog.models import Json
from nualley.core import UsageError, format_time

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def check_selection_name(name: str) -> str:
    """Return the name of a selection; UsageError where it could not be the name of a file."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a selection",
            where="NAME",
            do="use up to 100 letters, digits, dots, hyphens and underscores, a letter or a digit first",
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRevision:
    """What somebody said that a selection is. Revisions are never changed; after a frozen one there is none.

    Parameters
    ----------
    name : str
        The selection.
    number : int
        Counts the revisions of the selection, from 1; 0 until stored.
    expression : str or None
        What it selects; None where it is a list that was read from a file.
    imported : mapping or None
        The list as it was read; None where there is an expression.
    author : str
        Who defined or froze it.
    time_ns : int
        When [ns since 1970 UTC]; 0 until stored.
    content : str or None
        Canonical JSON of what was frozen; None for a draft.
    sha256 : str or None
        Its digest, 64 lower-case hex digits; None for a draft.

    Raises
    ------
    UsageError
        Where the name cannot be one, or there is neither an expression nor a list, or both.
    """

    name: str
    number: int = 0
    expression: str | None = None
    imported: Mapping[str, Json] | None = None
    author: str
    time_ns: int = 0
    content: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_selection_name(self.name)
        if (self.expression is None) == (self.imported is None):
            raise UsageError(
                f"selection {self.name} is neither an expression nor a list, or both", do="give either of them"
            )

    @property
    def is_frozen(self) -> bool:
        """Whether it is what it is for good."""
        return self.sha256 is not None


def check_not_frozen(last: SelectionRevision | None) -> None:
    """Raise SelectionFrozen where the last revision of a selection is: none can follow.

    Parameters
    ----------
    last : SelectionRevision or None
        None where there is none yet.
    """
    if last is not None and last.is_frozen:
        raise SelectionFrozen(
            f"selection {last.name} was frozen by {last.author} at {format_time(last.time_ns, digits=0)} and is never "
            f"changed (sha256 {last.sha256})",
            where=last.name,
            do="define a new one under another name, such as with a higher version at its end",
        )
