"""Operators for pictures: the samples where they are few, else statistics of about as many bins as were asked for."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.operators.filling import bin_table, filled
from nualley.archive.operators.moments import Moments, moments_by_bin
from nualley.archive.operators.statistics import deviation
from nualley.archive.operators.stretch import COLUMNS, Stretch
from nualley.core import SECOND_NS


@dataclass(frozen=True, slots=True)
class Optimized:
    """The samples where they are not more than so many, else mean, deviation, minimum, maximum and count of bins.

    Samples that are no numbers (text, words of an enum, arrays) come as they are, however many: clients that asked for
    statistics then show the samples.

    Parameters
    ----------
    n_points : int
        How many are wanted.
    is_filled : bool
        Whether bins without samples are filled.
    has_last : bool
        Whether each bin also has its last value, which then stands in the bins without samples.
    """

    n_points: int
    is_filled: bool
    has_last: bool

    def run(self, samples: Iterable[pa.Table], stretch: Stretch) -> Iterator[pa.Table]:
        """Return samples with numbers, or bins with lists of five or six numbers."""
        source = iter(samples)
        begin: list[pa.Table] = []
        for piece in source:
            begin.append(piece)
            is_few = sum(map(len, begin)) <= self.n_points
            if not is_few or not _are_numbers(piece):
                break
        else:
            return iter([table.select(COLUMNS) for table in begin])
        rest = itertools.chain(begin, source)
        if not _are_numbers(begin[0]):
            return (table.select(COLUMNS) for table in rest)
        return self.of_moments(moments_by_bin(rest, self.width_s(stretch), stretch), stretch)

    def width_s(self, stretch: Stretch) -> int:
        """Return the width of the bins [s]: whole minutes from two minutes on, whole hours from two hours on."""
        seconds = (stretch.stop_ns - 1) // SECOND_NS - stretch.start_ns // SECOND_NS
        width_s = max(1, seconds // self.n_points)
        unit_s = 3600 if width_s >= 7200 else 60 if width_s >= 120 else 1
        return -(-width_s // unit_s) * unit_s

    def of_moments(self, found: Iterable[Moments], stretch: Stretch) -> Iterator[pa.Table]:
        """Return the bins, given the moments of bins of `width_s`."""
        tables = (self._table(part) for part in found)
        empty = _hold_last if self.has_last else None
        return filled(tables, self.width_s(stretch), stretch, is_filled=self.is_filled, empty=empty)

    def _table(self, found: Moments) -> pa.Table:
        columns = [found.mean, deviation(found), found.min, found.max, found.n_numbers.astype(np.float64)]
        if self.has_last:
            columns.append(found.last)
        return bin_table(found.number, _lists(np.stack(columns, axis=1)), found.severity)


def _are_numbers(samples: pa.Table) -> bool:
    # an enum is the one thing that is kept as int32
    kind = samples["value"].type
    return bool(pa.types.is_floating(kind) or pa.types.is_int64(kind))


def _lists(rows: NDArray[np.float64]) -> pa.Array:
    offsets = np.arange(rows.shape[0] + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def _hold_last(values: pa.Array, is_own: NDArray[np.bool_]) -> pa.Array:
    rows = values.flatten().to_numpy().reshape(len(values), -1).copy()
    last = rows[~is_own, -1]
    rows[~is_own] = np.stack([last, np.zeros_like(last), last, last, np.zeros_like(last), last], axis=1)
    return _lists(rows)
