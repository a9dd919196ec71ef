"""What was asked for: an operator with its parameters, as ``mean_600``, or with a PV, as ``mean_600(PV)``."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from nualley.archive.errors import OperatorError
from nualley.archive.operators.optimizing import Optimized
from nualley.archive.operators.picking import Count, DeadBand, Ends, Flyers, Nth
from nualley.archive.operators.statistics import STATISTICS, Statistic
from nualley.archive.operators.stretch import Stretch, samples_of
from nualley.core import nearest

DEFAULT_WIDTH_S = 900
"""Width of bins where none is given [s]."""

LONGEST = 100
"""An operator with its parameters has so many characters at most."""

_NOTHING = pa.table(
    {
        "time_ns": pa.array([], pa.int64()),
        "value": pa.array([], pa.float64()),
        "severity": pa.array([], pa.int8()),
        "status": pa.array([], pa.int16()),
    }
)
_CALL = re.compile(r"([A-Za-z]\w*(?:\.\w*)*(?:[+-]\w+)?)\((.*)\)", re.ASCII | re.DOTALL)


class Operator(Protocol):
    """Makes other samples of samples."""

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return tables of `nualley.archive.operators.stretch.COLUMNS`."""
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number behind an operator's name.

    Parameters
    ----------
    meaning : str
        For messages.
    default : float
        What it is where it is left out.
    least, most : float
        Its limits, both inside.
    is_whole : bool
        Whether it is a whole number.
    """

    meaning: str
    default: float
    least: float
    most: float
    is_whole: bool = True

    def read(self, text: str, where: str) -> float:
        """Return the number that a text stands for.

        Raises
        ------
        OperatorError
            Where it is none, or outside of the limits.
        """
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            value = math.nan
        if not self.least <= value <= self.most:
            kind = "a whole number" if self.is_whole else "a number"
            raise OperatorError(
                f"{text!r} as {self.meaning}", where=where, do=f"write {kind} from {self.least:g} to {self.most:g}"
            )
        return value


_WIDTH = Parameter("width of the bins in seconds", DEFAULT_WIDTH_S, 1, 1_000_000_000)
_POINTS = Parameter("number of points", 1000, 1, 1_000_000)
_EVERY = Parameter("number of samples", DEFAULT_WIDTH_S, 1, 1_000_000_000)
_BAND = Parameter("dead band", 1.0, 0, 1e300, is_whole=False)
_DEVIATIONS = Parameter("number of standard deviations", 3.0, 0, 1e300, is_whole=False)


@dataclass(frozen=True, slots=True)
class Known:
    """An operator that can be asked for.

    Parameters
    ----------
    make : callable
        Takes its parameters, and returns it.
    parameters : tuple of Parameter
        What they are.
    """

    make: Callable[..., Operator]
    parameters: tuple[Parameter, ...] = ()


def _all() -> dict[str, Known]:
    def statistic(name: str, *, is_filled: bool) -> Known:
        return Known(lambda width: Statistic(name, width, is_filled), (_WIDTH,))

    def optimized(*, has_last: bool, is_filled: bool) -> Known:
        return Known(lambda n: Optimized(n, is_filled, has_last), (_POINTS,))

    found: dict[str, Known] = {
        "firstSample": Known(lambda width: Ends("first", width, is_filled=False), (_WIDTH,)),
        "lastSample": Known(lambda width: Ends("last", width, is_filled=False), (_WIDTH,)),
        "firstFill": Known(lambda width: Ends("first", width, is_filled=True), (_WIDTH,)),
        "lastFill": Known(lambda width: Ends("last", width, is_filled=True), (_WIDTH,)),
        "ncount": Known(Count),
        "nth": Known(Nth, (_EVERY,)),
        "deadBand": Known(DeadBand, (_BAND,)),
        "ignoreflyers": Known(lambda width, n: Flyers(width, n, is_near=True), (_WIDTH, _DEVIATIONS)),
        "flyers": Known(lambda width, n: Flyers(width, n, is_near=False), (_WIDTH, _DEVIATIONS)),
    }
    # with "Sample" behind its name an operator leaves bins without samples out
    for ending, is_filled in (("", True), ("Sample", False)):
        for name in (*STATISTICS, "median", "linear"):
            found[name + ending] = statistic(name, is_filled=is_filled)
        found["optimized" + ending] = optimized(has_last=False, is_filled=is_filled)
        found["optimLastSample" + ending] = optimized(has_last=True, is_filled=is_filled)
    return found


OPERATORS: Mapping[str, Known] = _all()
"""Every operator by its name."""


def parse_operator(text: str) -> Operator:
    """Return the operator that a text such as ``mean_600`` asks for.

    Parameters
    ----------
    text : str
        A name, then its parameters with an underscore before each; those that are left out have their defaults.

    Raises
    ------
    OperatorError
        Where there is no such operator, or a parameter is wrong.
    """
    name, *words = text[: LONGEST + 1].split("_")
    known = OPERATORS.get(name)
    if known is None or len(text) > LONGEST:
        near = nearest(name[:LONGEST], OPERATORS)
        raise OperatorError(
            f"{text[:40]!r} is no operator",
            where="operator",
            do=f"did you mean {near!r}?" if near else f"one of {', '.join(OPERATORS)}",
        )
    if len(words) > len(known.parameters):
        shape = "".join(f", _{parameter.meaning}" for parameter in known.parameters)
        raise OperatorError(
            f"{text!r} has {len(words)} parameters, {name} takes {len(known.parameters)}",
            where="operator",
            do=f"write {name}{shape}",
        )
    values: list[Any] = [parameter.default for parameter in known.parameters]
    for at, word in enumerate(words):
        values[at] = known.parameters[at].read(word, text)
    return known.make(*values)


def parse_call(text: str) -> tuple[Operator | None, str]:
    """Return operator and PV of a text such as ``mean_600(PV)`` or ``mean(PV,600)``; None where it is a PV alone.

    Parameters
    ----------
    text : str
        As clients of the appliance send it.

    Raises
    ------
    OperatorError
        Where the operator is wrong; the PV's name is not looked at.

    Examples
    --------
    >>> parse_call("LAB:T")
    (None, 'LAB:T')
    >>> parse_call("mean_600(LAB:T)") == parse_call("mean(LAB:T,600)")
    True
    """
    match = _CALL.fullmatch(text)
    if match is None:
        return None, text
    # commas before the last brace are those of a channel filter
    before, brace, behind = match[2].rpartition("}")
    name, *words = behind.split(",")
    return parse_operator("_".join((match[1], *(word.strip() for word in words)))), before + brace + name


def operate(operator: Operator, pieces: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
    """Let an operator work on an archive's rows.

    Parameters
    ----------
    operator : Operator
        As `parse_operator` returns it.
    pieces : iterable of pyarrow.Table
        Rows of one PV by time, as `nualley.archive.reader.ArchiveReader.pieces` yields them.
    stretch : Stretch
        What was asked for.

    Returns
    -------
    iterator of pyarrow.Table
        time_ns, value, severity and status; at least one, and some may be empty.
    """
    return one_at_least(operator.run(samples_of(pieces), stretch))


def one_at_least(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables of an operator; an empty one where there is none."""
    table = None
    for table in tables:
        yield table
    if table is None:
        yield _NOTHING
