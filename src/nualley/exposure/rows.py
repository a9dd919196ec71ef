"""Rows: the integrals of the beam over whole minutes and hours, kept exactly, and how they add up to any stretch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nualley.core import HOUR_NS, MINUTE_NS
from nualley.exposure.integral import Segments, Sums, beam_weights, live_weights
from nualley.physics import exact_integral, exact_sums, float_parts

BEAM_TIMES = ("beam_on_ns", "unknown_ns", "rate_unknown_ns", "charge_unknown_ns")
LIVE_TIMES = ("live_unknown_ns",)
BEAM_SUMS = ("pot", "energy", "pulses", "pot_charge", "pot_beside_charge")
LIVE_SUMS = ("live", "pot_live", "pot_live_unknown")


def time_names(*, has_live: bool) -> tuple[str, ...]:
    """Return the times of a row by their names in `Sums`, those while a detector was live among them or not."""
    return (*BEAM_TIMES, *LIVE_TIMES) if has_live else BEAM_TIMES


def sum_names(*, has_live: bool) -> tuple[str, ...]:
    """Return the other integrals of a row by their names in `Sums`."""
    return (*BEAM_SUMS, *LIVE_SUMS) if has_live else BEAM_SUMS


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Exact numbers, each as float64 numbers that add up to it.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Number ``i`` is the sum of ``parts[offsets[i]:offsets[i + 1]]``.
    parts : ndarray of float64
        All of them, one after the other.
    """

    offsets: NDArray[np.int64]
    parts: NDArray[np.float64]

    @classmethod
    def of(cls, sums: Sequence[int], exponent: int) -> "Parts":
        """Return numbers in units of ``2**exponent``."""
        found = [float_parts(total, exponent) for total in sums]
        sizes = accumulate((len(parts) for parts in found), initial=0)
        flat = np.array([part for parts in found for part in parts], dtype=np.float64)
        return cls(np.fromiter(sizes, dtype=np.int64), flat)

    def total(self, first: int, stop: int) -> Fraction:
        """Return the sum of the numbers from ``first`` up to, not including, ``stop``."""
        parts = self.parts[self.offsets[first] : self.offsets[stop]]
        return exact_integral(parts, np.ones(parts.size, dtype=np.int64))

    def is_same_as(self, other: "Parts") -> bool:
        """Whether they are the same numbers, in whatever parts."""
        if np.array_equal(self.offsets, other.offsets) and np.array_equal(self.parts, other.parts):
            return True  # nearly always: exact sums take a hundred times as long
        n = self.offsets.size - 1
        return other.offsets.size - 1 == n and all(self.total(i, i + 1) == other.total(i, i + 1) for i in range(n))

    def grouped(self, n: int) -> "Parts":
        """Return the exact sums of each ``n`` numbers that follow each other."""
        totals = [self.total(first, first + n) for first in range(0, self.offsets.size - 1, n)]
        # what float64 numbers add up to is a whole number of some power of two
        exponent = max((total.denominator.bit_length() - 1 for total in totals), default=0)
        return Parts.of([int(total * 2**exponent) for total in totals], -exponent)

    def rounded(self) -> NDArray[np.float64]:
        """Return each number, correctly rounded: its first part is that."""
        is_zero = self.offsets[1:] == self.offsets[:-1]
        found = np.zeros(is_zero.size)
        found[~is_zero] = self.parts[self.offsets[:-1][~is_zero]]
        return found

    def take(self, rows: slice) -> "Parts":
        """Return some of the numbers, which follow each other."""
        first, stop, _ = rows.indices(self.offsets.size - 1)
        offsets = self.offsets[first : max(stop, first) + 1]
        return Parts(offsets - offsets[0], self.parts[offsets[0] : offsets[-1]])


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Integrals over whole minutes, or whole hours, that need not follow each other.

    Parameters
    ----------
    width_ns : int
        Width of each [ns].
    start_ns : ndarray of int64, shape (n,)
        Where each begins [ns since 1970 UTC]; rising, multiples of the width.
    footing : tuple of str
        What each rests on; see `nualley.exposure.footing`.
    times_ns : mapping of str to ndarray of int64, shape (n,)
        Times by their names in `Sums` [ns].
    sums : mapping of str to Parts
        The other integrals by their names in `Sums`.
    """

    width_ns: int
    start_ns: NDArray[np.int64]
    footing: tuple[str, ...]
    times_ns: Mapping[str, NDArray[np.int64]]
    sums: Mapping[str, Parts]

    def __len__(self) -> int:
        return len(self.start_ns)

    def is_same_as(self, other: "Rows") -> bool:
        """Whether they say the same of the same stretches, whatever they rest on."""
        return (
            (self.width_ns, self.times_ns.keys(), self.sums.keys())
            == (other.width_ns, other.times_ns.keys(), other.sums.keys())
            and np.array_equal(self.start_ns, other.start_ns)
            and all(np.array_equal(column, other.times_ns[name]) for name, column in self.times_ns.items())
            and all(column.is_same_as(other.sums[name]) for name, column in self.sums.items())
        )

    def between(self, start_ns: int, stop_ns: int) -> Sums | None:
        """Return the integrals over a stretch that rows cover as a whole.

        Parameters
        ----------
        start_ns, stop_ns : int
            The stretch [ns since 1970 UTC]; multiples of the width.

        Returns
        -------
        Sums or None
            As if nothing in it were a DAQ's pause; None where a row is missing.
        """
        first, stop = (int(at) for at in np.searchsorted(self.start_ns, [start_ns, stop_ns]))
        if (stop - first) * self.width_ns != stop_ns - start_ns:
            return None
        duration_ns = stop_ns - start_ns
        found: dict[str, Any] = {name: int(column[first:stop].sum()) for name, column in self.times_ns.items()}
        found |= {name: column.total(first, stop) for name, column in self.sums.items()}
        return Sums(duration_ns=duration_ns, counted_ns=duration_ns, **found)

    def take(self, rows: slice) -> "Rows":
        """Return some of the rows, which follow each other."""
        return Rows(
            self.width_ns,
            self.start_ns[rows],
            self.footing[rows],
            {name: column[rows] for name, column in self.times_ns.items()},
            {name: column.take(rows) for name, column in self.sums.items()},
        )

    def within(self, start_ns: int, stop_ns: int) -> "Rows":
        """Return the rows that begin in ``[start_ns, stop_ns)``."""
        first, stop = (int(at) for at in np.searchsorted(self.start_ns, [start_ns, stop_ns]))
        return self.take(slice(first, stop))


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Put rows of one width and of the same columns one after the other; at least one part."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Rows(
        first.width_ns,
        np.concatenate([part.start_ns for part in parts]),
        tuple(footing for part in parts for footing in part.footing),
        {name: np.concatenate([part.times_ns[name] for part in parts]) for name in first.times_ns},
        {name: _joined([part.sums[name] for part in parts]) for name in first.sums},
    )


def _joined(columns: Sequence[Parts]) -> Parts:
    sizes = np.concatenate([np.diff(column.offsets) for column in columns])
    return Parts(np.append(0, np.cumsum(sizes)), np.concatenate([column.parts for column in columns]))


def make_rows(steps: Segments, start_ns: int, stop_ns: int, footing: str) -> tuple[Rows, Rows]:
    """Integrate over each minute and each hour of a stretch.

    Parameters
    ----------
    steps : Segments
        What is integrated; must cover the stretch.
    start_ns, stop_ns : int
        The stretch [ns since 1970 UTC]; whole hours.
    footing : str
        What the rows rest on.

    Returns
    -------
    minutes, hours : Rows
        Exact: those of the minutes of an hour add up to that of the hour, and this to what `integrate` says.
    """
    starts_ns = np.arange(start_ns, stop_ns, MINUTE_NS, dtype=np.int64)
    edges_ns = np.union1d(steps.edges_ns, np.append(starts_ns, stop_ns))
    edges_ns = edges_ns[(edges_ns >= start_ns) & (edges_ns <= stop_ns)]
    step = np.searchsorted(steps.edges_ns, edges_ns[:-1], side="right") - 1
    duration_ns, firsts = np.diff(edges_ns), np.searchsorted(edges_ns, starts_ns)
    beam, live = beam_weights(steps), live_weights(steps)
    has_live = steps.live is not None
    # what is not archived has its columns all the same: files of several years of an experiment stay alike
    times_ns = dict.fromkeys(time_names(has_live=has_live), np.zeros(starts_ns.size, dtype=np.int64)) | {
        name: np.add.reduceat(np.where(is_in[step], duration_ns, 0), firsts)
        for name, is_in in {**beam.is_in, **live.is_in}.items()
    }
    sums = dict.fromkeys(sum_names(has_live=has_live), ([0] * starts_ns.size, 0)) | {
        name: exact_sums(rate[step], duration_ns, firsts) for name, rate in {**beam.rate, **live.rate}.items()
    }
    minutes = Rows(
        MINUTE_NS,
        starts_ns,
        (footing,) * starts_ns.size,
        times_ns,
        {name: Parts.of(*found) for name, found in sums.items()},
    )
    return minutes, hours_of(minutes)


def hours_of(minutes: Rows) -> Rows:
    """Return the rows of an hour that rows of a minute add up to, which must cover whole hours."""
    n = HOUR_NS // MINUTE_NS
    return Rows(
        HOUR_NS,
        minutes.start_ns[::n],
        minutes.footing[::n],
        {name: column.reshape(-1, n).sum(axis=1) for name, column in minutes.times_ns.items()},
        {name: column.grouped(n) for name, column in minutes.sums.items()},
    )
