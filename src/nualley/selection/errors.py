"""What can go wrong with selections."""

# ruff: noqa: N818
# an error is named by what happened: NotExpressible, ListUnreadable

from nualley.core import IntegrityError, NualleyError, UsageError


class ExpressionError(UsageError):
    """An expression that cannot be understood.

    Parameters
    ----------
    what : str
        What was found, and what was expected.
    where : str
        Position and what stands there.
    do : str
        The nearest word, or what to write.
    position : int
        Where in the text, counted from 0.
    """

    def __init__(self, what: str, *, where: str, do: str, position: int) -> None:
        super().__init__(what, where, do)
        self.position = position


class SelectionNotFound(UsageError, KeyError):
    """No such selection is defined."""


class SelectionInText(NualleyError):
    """The selection is defined by a file of the experiment repository, and changed there."""


class ListUnreadable(IntegrityError):
    """A list that does not say what its format promises."""


class NotExpressible(NualleyError):
    """The format cannot say what the selection says."""
