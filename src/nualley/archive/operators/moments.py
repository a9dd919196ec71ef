"""Statistics of bins in one pass over pieces: counts, extremes and central moments that can be joined."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.operators.stretch import Stretch, numbers, severities

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What is known of the samples of each bin; NaN is no number and counts in ``n`` alone.

    Parameters
    ----------
    number : ndarray of int64, shape (k,)
        The bins, rising.
    n, n_numbers : ndarray of int64, shape (k,)
        Samples, and those that are numbers.
    mean, m2, m3, m4 : ndarray of float64, shape (k,)
        Mean, and sums of the powers of what the values differ from it.
    min, max, last : ndarray of float64, shape (k,)
        Extremes and last number; NaN where there is none.
    severity : ndarray of int8, shape (k,)
        The worst.
    """

    number: NDArray[np.int64]
    n: NDArray[np.int64]
    n_numbers: NDArray[np.int64]
    mean: Floats
    m2: Floats
    m3: Floats
    m4: Floats
    min: Floats
    max: Floats
    last: Floats
    severity: NDArray[np.int8]

    def cut(self, begin: int | None, end: int | None) -> "Moments":
        """Return some of the bins."""
        return self.only(slice(begin, end))

    def only(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> "Moments":
        """Return some of the bins, in the order asked for."""
        return Moments(*(getattr(self, field.name)[which] for field in fields(self)))


def moments(number: NDArray[np.int64], value: Floats, severity: NDArray[np.int8]) -> Moments:
    """Return the moments of samples.

    Parameters
    ----------
    number : ndarray of int64, shape (n,)
        Bin of each sample, rising; n > 0.
    value : ndarray of float64, shape (n,)
        Values; NaN is no number.
    severity : ndarray of int8, shape (n,)
        Alarm severities.

    Notes
    -----
    Two passes: the mean first, as a difference to a value of the bin so that a large offset costs no digits, then the
    powers of the differences to it.
    """
    first = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    counts = np.diff(first, append=number.size)
    is_number = ~np.isnan(value)
    n_numbers = np.add.reduceat(is_number.astype(np.int64), first)
    has_numbers = n_numbers > 0
    low = np.minimum.reduceat(np.where(is_number, value, np.inf), first)
    high = np.maximum.reduceat(np.where(is_number, value, -np.inf), first)
    at = np.maximum.accumulate(np.where(is_number, np.arange(number.size), 0))[first + counts - 1]

    def total(column: Floats) -> Floats:
        found: Floats = np.add.reduceat(np.where(is_number, column, 0.0), first)
        return found

    def spread(column: Floats) -> Floats:
        return np.repeat(column, counts)

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = low + total(value - spread(low)) / n_numbers
        mean = np.where(np.isfinite(mean), mean, total(value) / n_numbers)
        apart = value - spread(mean)
        squares = apart * apart
        m2, m3, m4 = total(squares), total(squares * apart), total(squares * squares)
    none = np.nan
    return Moments(
        number=number[first],
        n=counts.astype(np.int64),
        n_numbers=n_numbers,
        mean=np.where(has_numbers, mean, none),
        m2=m2,
        m3=m3,
        m4=m4,
        min=np.where(has_numbers, low, none),
        max=np.where(has_numbers, high, none),
        last=np.where(has_numbers, value[at], none),
        severity=np.maximum.reduceat(severity, first),
    )


def join(before: Moments, behind: Moments) -> Moments:
    """Put the bins of two pieces behind each other; one that both have is joined.

    Notes
    -----
    The central moments of a union follow from those of its parts. Source: P. Pébay, Sandia report SAND2008-6212,
    equations 2.1 to 2.3 in the form for two sets.
    """
    if before.number[-1] != behind.number[0]:
        return concatenated([before, behind])
    a, b = before.cut(-1, None), behind.cut(None, 1)
    return concatenated([before.cut(None, -1), _merged(a, b), behind.cut(1, None)])


def _merged(a: Moments, b: Moments) -> Moments:
    if not b.n_numbers[0] or not a.n_numbers[0]:
        one = a if a.n_numbers[0] else b
        return Moments(
            **{
                **{field.name: getattr(one, field.name) for field in fields(one)},
                "n": a.n + b.n,
                "severity": np.maximum(a.severity, b.severity),
            }
        )
    p, q = a.n_numbers.astype(np.float64), b.n_numbers.astype(np.float64)
    n = p + q
    with np.errstate(invalid="ignore", over="ignore"):
        d = b.mean - a.mean
        e = d / n
        return Moments(
            number=a.number,
            n=a.n + b.n,
            n_numbers=a.n_numbers + b.n_numbers,
            mean=np.where(np.isfinite(d), a.mean + q * e, a.mean + b.mean),
            m2=a.m2 + b.m2 + p * q * d * e,
            m3=a.m3 + b.m3 + p * q * (p - q) * d * e * e + 3 * e * (p * b.m2 - q * a.m2),
            m4=a.m4
            + b.m4
            + p * q * (p * p - p * q + q * q) * d * e**3
            + 6 * e * e * (p * p * b.m2 + q * q * a.m2)
            + 4 * e * (p * b.m3 - q * a.m3),
            min=np.minimum(a.min, b.min),
            max=np.maximum(a.max, b.max),
            last=b.last,
            severity=np.maximum(a.severity, b.severity),
        )


def concatenated(parts: Sequence[Moments]) -> Moments:
    """Put bins behind each other as they are."""
    return Moments(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Moments)))


def moments_by_bin(samples: Iterable[pa.Table], width_s: int, stretch: Stretch) -> Iterator[Moments]:
    """Return the moments of bins, each of which is whole.

    Parameters
    ----------
    samples : iterable of pyarrow.Table
        As `nualley.archive.operators.stretch.samples_of` yields them.
    width_s : int
        Width of the bins [s].
    stretch : Stretch
        What was asked for.
    """
    held: Moments | None = None
    for piece in samples:
        value = numbers(piece)
        if not value.size:
            continue
        found = moments(stretch.bin_numbers(piece, width_s), value, severities(piece))
        if held is not None:
            found = join(held, found)
        if found.number.size > 1:
            yield found.cut(None, -1)
        held = found.cut(-1, None)
    if held is not None:
        yield held
