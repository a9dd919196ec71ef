"""Operators that pick samples: the first or last of a bin, every n-th, those that changed, those that stand out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.operators.filling import filled
from nualley.archive.operators.moments import moments
from nualley.archive.operators.statistics import deviation
from nualley.archive.operators.stretch import COLUMNS, Stretch, after_gap, numbers, severities, whole_bins

_Picked: TypeAlias = tuple[float, int, bool]


@dataclass(frozen=True, slots=True)
class Ends:
    """The first or the last sample of each bin.

    Parameters
    ----------
    which : {"first", "last"}
        Of the samples of a bin.
    width_s : int
        Width of the bins [s].
    is_filled : bool
        Whether it stands at the middle of the bin and in the empty bins that follow, or at its own time.
    """

    which: Literal["first", "last"]
    width_s: int
    is_filled: bool

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the samples of a stretch; the one from before it counts as a bin."""
        found = self._picked(samples, stretch)
        if not self.is_filled:
            return (table.select(COLUMNS) for table in found)
        return filled(found, self.width_s, stretch, is_filled=True, is_half_second=False)

    def _picked(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        held: pa.Table | None = None
        for piece in samples:
            if not len(piece):
                continue
            table = piece.append_column("bin", pa.array(stretch.bin_numbers(piece, self.width_s)))
            # one row of the bin that may go on stands for all before it: of "first" it is the first of them
            table = table if held is None else pa.concat_tables([held, table])
            number = table["bin"].to_numpy()
            is_edge = number[1:] != number[:-1]
            is_end = np.append(True, is_edge) if self.which == "first" else np.append(is_edge, True)
            ends = table.take(pa.array(np.flatnonzero(is_end)))
            if len(ends) > 1:
                yield ends.slice(0, len(ends) - 1)
            held = ends.slice(len(ends) - 1)
        if held is not None:
            yield held


@dataclass(frozen=True, slots=True)
class Nth:
    """Every n-th sample of the stretch, beginning with its first.

    Parameters
    ----------
    n : int
        1 or more.
    """

    n: int

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the samples."""
        n_seen = 0
        for piece in samples:
            inside = _inside(piece, stretch)
            yield inside.take(pa.array(np.arange(-n_seen % self.n, len(inside), self.n)))
            n_seen += len(inside)


class Count:
    """How many samples a stretch has, as one sample at its start."""

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return a table of one row."""
        n = sum(len(_inside(piece, stretch)) for piece in samples)
        yield pa.table(
            {
                "time_ns": [stretch.start_ns],
                "value": [n],
                "severity": pa.array([0], pa.int8()),
                "status": pa.array([0], pa.int16()),
            }
        )


def _inside(samples: pa.Table, stretch: Stretch) -> pa.Table:
    return samples.select(COLUMNS).filter(pc.greater_equal(samples["time_ns"], stretch.start_ns))


@dataclass(frozen=True, slots=True)
class DeadBand:
    """Samples that differ from the last one picked by more than a dead band, as EPICS' ADEL lets them through.

    Picked are as well: the first one, what is no finite number and the sample behind it, changes of severity, the first
    sample after the connection was lost and the one behind it.

    Parameters
    ----------
    band : float
        0 or more, in the PV's unit.
    """

    band: float

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:  # noqa: ARG002  # as the others
        """Return the samples, the one from before the stretch among them."""
        last: _Picked | None = None
        for piece in samples:
            at, last = self._picked(piece, last)
            yield piece.select(COLUMNS).take(pa.array(at, pa.int64()))

    def _picked(self, piece: pa.Table, last: _Picked | None) -> tuple[list[int], _Picked | None]:
        # each choice rests on the one before: a plain loop over plain numbers is the quickest
        rows = zip(numbers(piece).tolist(), severities(piece).tolist(), after_gap(piece).tolist(), strict=True)
        band, picked = self.band, []
        for row, (value, severity, is_after_gap) in enumerate(rows):
            # not <=: NaN, and what differs from an infinite value by an infinite amount or by NaN, is picked
            if last is None or (severity, is_after_gap) != last[1:] or not abs(value - last[0]) <= band:
                picked.append(row)
                last = value, severity, is_after_gap
        return picked, last


@dataclass(frozen=True, slots=True)
class Flyers:
    """Samples of each bin that are near its mean, or those that are not.

    Parameters
    ----------
    width_s : int
        Width of the bins [s].
    n_deviations : float
        How many standard deviations are near.
    is_near : bool
        Whether those are picked that are near, or those that are not; NaN is neither.
    """

    width_s: int
    n_deviations: float
    is_near: bool

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the samples."""
        for piece in whole_bins(samples, self.width_s, stretch):
            value, number = numbers(piece), stretch.bin_numbers(piece, self.width_s)
            found = moments(number, value, severities(piece))
            at = np.searchsorted(found.number, number)
            with np.errstate(invalid="ignore"):
                apart: NDArray[np.float64] = np.abs(value - found.mean[at])
                limit = self.n_deviations * deviation(found)[at]
                is_picked = apart <= limit if self.is_near else apart > limit
            yield piece.select(COLUMNS).take(pa.array(np.flatnonzero(is_picked)))
