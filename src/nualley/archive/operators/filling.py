"""Bins without samples: they have what the bin before had, or are left out."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.errors import OperatorError
from nualley.archive.operators.stretch import COLUMNS, Stretch
from nualley.core import SECOND_NS

MOST_BINS = 10_000_000
"""An answer has so many bins at most."""

_BLOCK = 50_000
HAS_SAMPLES = "has_samples"
"""Column beside those of samples: whether a bin has samples of its own, or what the one before it had."""

Empty = Callable[[pa.Array, NDArray[np.bool_]], pa.Array]
"""Takes the values that bins would inherit, and which have their own; returns what they have instead."""


def bin_table(number: NDArray[np.int64], value: pa.Array, severity: NDArray[np.int8]) -> pa.Table:
    """Return bins as a table.

    Parameters
    ----------
    number : ndarray of int64, shape (k,)
        Numbers of the bins, rising.
    value : pyarrow.Array
        What is said of each.
    severity : ndarray of int8, shape (k,)
        The worst alarm severity in each.
    """
    status = pa.array(np.zeros(number.size, dtype=np.int16))
    return pa.table({"bin": number, "value": value, "severity": pa.array(severity), "status": status})


def filled(
    bins: Iterable[pa.Table],
    width_s: int,
    stretch: Stretch,
    *,
    is_filled: bool,
    is_half_second: bool = True,
    empty: Empty | None = None,
) -> Iterator[pa.Table]:
    """Give bins the times of their middles, and fill those that are missing up to the end of the stretch.

    What is filled says what held at a bin's middle, so none is filled whose middle is behind the end.

    Parameters
    ----------
    bins : iterable of pyarrow.Table
        Columns bin, value, severity, status; bins rising over all of them.
    width_s : int
        Width of the bins [s].
    stretch : Stretch
        What was asked for.
    is_filled : bool
        Whether missing bins are filled.
    is_half_second : bool
        Whether the middle of a bin of an odd number of seconds is at half a second, or at the full one before.
    empty : callable, optional
        What a filled bin has instead of the value before it; its severity is then 0.

    Yields
    ------
    pyarrow.Table
        `COLUMNS` and `HAS_SAMPLES`.

    Raises
    ------
    OperatorError
        Where there would be more than `MOST_BINS` bins.
    """
    middle_ns = width_s * SECOND_NS // 2 if is_half_second else width_s // 2 * SECOND_NS

    first_bin, _ = stretch.bins(width_s)

    def timed(table: pa.Table, number: NDArray[np.int64], is_own: NDArray[np.bool_]) -> pa.Table:
        times = pa.array(number * (width_s * SECOND_NS) + middle_ns)
        # the bin before the first has the sample from before the start, which may be old
        has_samples = pa.array(is_own & (number >= first_bin))
        return pa.table([times, *(table[name] for name in COLUMNS[1:]), has_samples], names=[*COLUMNS, HAS_SAMPLES])

    if not is_filled:
        for table in bins:
            yield timed(table, table["bin"].to_numpy(), np.ones(len(table), dtype=np.bool_))
        return
    held: pa.Table | None = None
    last_bin = (stretch.stop_ns - 1 - middle_ns) // (width_s * SECOND_NS)
    for table in bins:
        if not len(table):
            continue
        known = table if held is None else pa.concat_tables([held, table])
        if held is None:
            _check(last_bin - table["bin"][0].as_py() + 1, width_s)
        for number, taken, is_own in _blocks(known, known["bin"][-1].as_py(), empty):
            yield timed(taken, number, is_own)
        held = known.slice(len(known) - 1)
    if held is not None:
        for number, taken, is_own in _blocks(held, max(last_bin, held["bin"][0].as_py()) + 1, empty):
            yield timed(taken, number, is_own)


def _check(n_bins: int, width_s: int) -> None:
    if n_bins > MOST_BINS:
        raise OperatorError(
            f"{n_bins} bins of {width_s} s", where="operator", do=f"take longer bins: {MOST_BINS} at most are answered"
        )


def _blocks(
    known: pa.Table, stop_bin: int, empty: Empty | None
) -> Iterator[tuple[NDArray[np.int64], pa.Table, NDArray[np.bool_]]]:
    own = known["bin"].to_numpy()
    for begin in range(int(own[0]), stop_bin, _BLOCK):
        number = np.arange(begin, min(begin + _BLOCK, stop_bin), dtype=np.int64)
        at = np.searchsorted(own, number, side="right") - 1
        taken = known.take(pa.array(at))
        is_own = own[at] == number
        if empty is not None and not is_own.all():
            value = empty(taken["value"].combine_chunks(), is_own)
            severity = pa.array(np.where(is_own, taken["severity"].to_numpy(), 0).astype(np.int8))
            taken = pa.table({"value": value, "severity": severity, "status": taken["status"]})
        yield number, taken, is_own
