"""Sums of value times duration without any rounding, so that parts of an interval add up to the whole."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Products of 27-bit and 21-bit pieces have 48 bits: 2**15 of them fit into int64 with their sign.
_LOW_BITS = 27
_DURATION_BITS = 21
_N_AT_ONCE = 1 << 15
_MANTISSA_BITS = 53


def exact_integral(value: NDArray[np.float64], duration_ns: NDArray[np.int64]) -> Fraction:
    """Return the sum of ``value * duration_ns``, exactly.

    Parameters
    ----------
    value : ndarray of float64, shape (n,)
        Height of each step; finite.
    duration_ns : ndarray of int64, shape (n,)
        Length of each step [ns], >= 0.

    Returns
    -------
    Fraction
        The sum, in the unit of ``value`` times ns. ``float()`` of it is the correctly rounded sum.

    Raises
    ------
    ValueError
        Where a value is NaN or infinite: what is not known must be left out and counted, not summed.

    Notes
    -----
    Every float64 is an integer times a power of two, and every duration is an integer, so the sum is a rational
    number with a power of two below the line. It is summed in integers, one exponent at a time. Cutting a step in
    two, or summing in another order, changes nothing: exposure of [a, b) plus [b, c) is that of [a, c) to the bit.

    Examples
    --------
    >>> import numpy as np
    >>> exact_integral(np.array([0.1, 1e20, -1e20]), np.array([10, 1, 1])) == 10 * Fraction(0.1)
    True
    """
    if not np.isfinite(value).all():
        raise ValueError(f"{int((~np.isfinite(value)).sum())} of {value.size} values are not finite numbers")
    is_needed = (value != 0) & (duration_ns != 0)
    fraction, exponent = np.frexp(value[is_needed])
    mantissa = np.ldexp(fraction, _MANTISSA_BITS).astype(np.int64)
    duration = duration_ns[is_needed].astype(np.int64, copy=False)
    total = Fraction(0)
    if mantissa.size:
        lowest = int(exponent.min())
        for above in np.flatnonzero(np.bincount(exponent - lowest)).tolist():
            is_power = exponent == lowest + above
            scale = Fraction(2) ** (lowest + above - _MANTISSA_BITS)
            total += scale * _dot(mantissa[is_power], duration[is_power])
    return total


def exact_sums(
    value: NDArray[np.float64], duration_ns: NDArray[np.int64], firsts: NDArray[np.intp]
) -> tuple[list[int], int]:
    """Return the sums of ``value * duration_ns`` over consecutive groups of steps, exactly.

    Parameters
    ----------
    value : ndarray of float64, shape (n,)
        Height of each step; finite.
    duration_ns : ndarray of int64, shape (n,)
        Length of each step [ns], >= 0.
    firsts : ndarray of int, shape (n_group,)
        First step of each group, rising from 0; none is empty.

    Returns
    -------
    sums : list of int
        One for each group, in units of ``2**exponent``.
    exponent : int
        The power of two.

    Raises
    ------
    ValueError
        Where a value is NaN or infinite.

    Notes
    -----
    Summed as `exact_integral` does, all groups at a time.

    Examples
    --------
    >>> sums, exponent = exact_sums(np.array([0.5, 0.25, 3.0]), np.array([2, 4, 1]), np.array([0, 2]))
    >>> [total * 2.0**exponent for total in sums]
    [2.0, 3.0]
    """
    if not np.isfinite(value).all():
        raise ValueError(f"{int((~np.isfinite(value)).sum())} of {value.size} values are not finite numbers")
    totals = [0] * firsts.size
    is_needed = (value != 0) & (duration_ns != 0)
    if not is_needed.any():
        return totals, 0
    fraction, exponents = np.frexp(value)
    mantissa = np.ldexp(fraction, _MANTISSA_BITS).astype(np.int64)
    lowest = int(exponents[is_needed].min())
    # no more steps at once than int64 holds the sums of
    starts = np.union1d(firsts, np.arange(0, value.size, _N_AT_ONCE))
    groups = (np.searchsorted(firsts, starts, side="right") - 1).tolist()
    for above in np.flatnonzero(np.bincount(exponents[is_needed] - lowest)).tolist():
        of_power = np.where(is_needed & (exponents == lowest + above), mantissa, 0)
        for shift, sums in _dots(of_power, duration_ns, starts):
            for group, found in zip(groups, sums.tolist(), strict=True):
                totals[group] += found << (shift + above)
    return totals, lowest - _MANTISSA_BITS


def _dots(
    mantissa: NDArray[np.int64], duration_ns: NDArray[np.int64], starts: NDArray[np.intp]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    pieces = ((mantissa & ((1 << _LOW_BITS) - 1), 0), (mantissa >> _LOW_BITS, _LOW_BITS))
    for shift in range(0, 63, _DURATION_BITS):
        part = (duration_ns >> shift) & ((1 << _DURATION_BITS) - 1)
        if part.any():
            for piece, low in pieces:
                yield low + shift, np.add.reduceat(piece * part, starts)


def float_parts(total: int, exponent: int) -> list[float]:
    """Write ``total * 2**exponent`` as float64 numbers that add up to it exactly.

    Parameters
    ----------
    total, exponent : int
        As from `exact_sums`.

    Returns
    -------
    list of float
        The correctly rounded number first, then what it lacks; none for zero. Two or three are enough for the beam of
        an hour.

    Examples
    --------
    >>> float_parts(2**60 + 1, 0)
    [1.152921504606847e+18, 1.0]
    """
    parts = []
    while total:
        part = float(total)
        parts.append(math.ldexp(part, exponent))
        total -= int(part)
    return parts


def _dot(mantissa: NDArray[np.int64], duration: NDArray[np.int64]) -> int:
    total = 0
    for first in range(0, mantissa.size, _N_AT_ONCE):
        total += _dot_of_few(mantissa[first : first + _N_AT_ONCE], duration[first : first + _N_AT_ONCE])
    return total


def _dot_of_few(mantissa: NDArray[np.int64], duration: NDArray[np.int64]) -> int:
    # an arithmetic shift leaves the sign in the high piece: the low one is never negative
    pieces = ((mantissa & ((1 << _LOW_BITS) - 1), 0), (mantissa >> _LOW_BITS, _LOW_BITS))
    total = 0
    for shift in range(0, 63, _DURATION_BITS):
        part = (duration >> shift) & ((1 << _DURATION_BITS) - 1)
        if part.any():
            total += sum(int(np.dot(piece, part)) << (low + shift) for piece, low in pieces)
    return total
