"""Bins: a stretch of a PV's history in a chosen number of pieces, each exact for the edges that are returned."""

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.cells import Cells, distinct, merge, no_cells
from nualley.archive.errors import NoNumbersError
from nualley.archive.layouts import NUMBERS
from nualley.archive.pv_record import PvRecord
from nualley.archive.sealed import TIERS, Level
from nualley.core import SECOND_NS, IntervalSet
from nualley.pv import ValueType

LARGEST_RAW_ROWS = 200_000
"""Up to so many samples the samples themselves are taken."""

MOST_BINS = 100_000
_ROWS_PER_BIN = 2


def check_stretch(pv: str, start_ns: int, stop_ns: int, n_bins: int) -> None:
    """Refuse a stretch of a PV that has no bins, or a number of them that cannot be.

    Raises
    ------
    NoNumbersError
        Where they cannot be.
    """
    if not 1 <= n_bins <= MOST_BINS:
        raise NoNumbersError(f"{n_bins} bins", where=pv, do=f"ask for 1 to {MOST_BINS}")
    if stop_ns <= start_ns:
        raise NoNumbersError(
            f"the stretch ends at {stop_ns} and begins at {start_ns}", where=pv, do="put its end behind its begin"
        )


def check_numbers(record: PvRecord, found: Collection[ValueType]) -> None:
    """Refuse bins of a PV whose samples are of these types, where none is a number.

    Raises
    ------
    NoNumbersError
        Where none is.
    """
    if NUMBERS.isdisjoint(found):
        raise NoNumbersError(
            f"{record.name} holds {record.value_type}, bins are made of numbers",
            where=record.name,
            do="read its samples: leave --bins out",
        )


def choose_level(start_ns: int, stop_ns: int, n_bins: int, n_rows: int) -> Level:
    """Say what bins are made of: the coarsest tier with two rows a bin, or the samples where they are few.

    Parameters
    ----------
    start_ns, stop_ns : int
        Stretch [ns since 1970 UTC].
    n_bins : int
        How many are wanted.
    n_rows : int
        About how many samples are in the stretch.
    """
    if n_rows > LARGEST_RAW_ROWS:
        for level, width_ns in sorted(TIERS.items(), key=lambda entry: -entry[1]):
            if stop_ns - start_ns >= _ROWS_PER_BIN * width_ns * n_bins:
                return level
    return Level.RAW


def bin_edges(start_ns: int, stop_ns: int, n_bins: int, snap_ns: int = 1) -> NDArray[np.int64]:
    """Return the edges of bins.

    Parameters
    ----------
    start_ns, stop_ns : int
        Stretch [ns since 1970 UTC].
    n_bins : int
        How many.
    snap_ns : int
        What the edges are multiples of [ns]: the nearest one each.

    Returns
    -------
    ndarray of int64, shape (n_bins + 1,) or fewer
        Rising.
    """
    span_ns = stop_ns - start_ns
    # span * number // n in two parts: ns times bins overflow 64 bits for a year
    whole_ns, rest_ns = divmod(span_ns, n_bins)
    number = np.arange(n_bins + 1, dtype=np.int64)
    edges = start_ns + whole_ns * number + rest_ns * number // n_bins
    snapped = (edges + snap_ns // 2) // snap_ns * snap_ns if snap_ns > 1 else edges
    if snapped[0] == snapped[-1] and span_ns > 0:  # shorter than a row: all rows that it lies in
        snapped = np.array([start_ns // snap_ns * snap_ns, -(-stop_ns // snap_ns) * snap_ns], dtype=np.int64)
    return distinct([snapped])


def whole_edges(edges_ns: NDArray[np.int64], uncut: Collection[tuple[int, int]]) -> NDArray[np.int64]:
    """Move edges out of stretches that cannot be cut, to the nearest end of each.

    Parameters
    ----------
    edges_ns : ndarray of int64, shape (n,)
        Edges of bins, rising [ns since 1970 UTC].
    uncut : collection of tuple of int
        Start and stop of the stretches [ns since 1970 UTC].

    Returns
    -------
    ndarray of int64, shape (n,)
        Not falling: some may be the same now. Where all would be, the first and the last move apart.
    """
    down, up = edges_ns.copy(), edges_ns.copy()
    for start_ns, stop_ns in uncut:
        is_inside = (edges_ns > start_ns) & (edges_ns < stop_ns)
        down[is_inside], up[is_inside] = start_ns, stop_ns
    moved: NDArray[np.int64] = np.where(edges_ns - down < up - edges_ns, down, up)
    if moved[0] == moved[-1] and edges_ns[0] < edges_ns[-1]:
        moved[0], moved[1:] = down[0], up[-1]
    return moved


_MOVED = b"nualley.moved_edges"


def with_moved(table: pa.Table, asked_ns: NDArray[np.int64], given_ns: NDArray[np.int64]) -> pa.Table:
    """Return bins that tell which of their edges are not those asked for; see `moved_edges`."""
    is_moved = asked_ns != given_ns
    pairs = list(zip(asked_ns[is_moved].tolist(), given_ns[is_moved].tolist(), strict=True))
    return table.replace_schema_metadata({_MOVED: json.dumps(pairs)})


def moved_edges(table: pa.Table) -> list[tuple[int, int]]:
    """Return the edges of bins that had to move: the samples that would complete a cell they cut are not there.

    Parameters
    ----------
    table : pyarrow.Table
        Bins, as `nualley.archive.reader.ArchiveReader.bins` returns them.

    Returns
    -------
    list of tuple of int
        Each as it was asked for, and as it is [ns since 1970 UTC]; none by default.
    """
    told = (table.schema.metadata or {}).get(_MOVED, b"[]")
    return [(asked_ns, given_ns) for asked_ns, given_ns in json.loads(told)]


def assemble(parts: Cells, edges_ns: NDArray[np.int64], before: Cells, dark: IntervalSet) -> pa.Table:
    """Make bins of cells.

    Parameters
    ----------
    parts : Cells
        Of one PV, by time; none reaches over an edge of a bin or of the dark, or into another.
    edges_ns : ndarray of int64, shape (n + 1,)
        Edges of the bins, rising [ns since 1970 UTC].
    before : Cells
        The last cell before the first edge, or none.
    dark : IntervalSet
        When the value is not known.

    Returns
    -------
    pyarrow.Table
        `nualley.archive.BIN_COLUMNS`, and sum, sumsq, min_ns, max_ns, integral (value times seconds) and known_s [s]; a
        value is null where there is none. ``mean`` is over samples, ``time_mean`` weighs each by how long it held.
    """
    n_bins = edges_ns.size - 1
    number = np.searchsorted(edges_ns, parts.first_ns, side="right") - 1
    firsts = np.flatnonzero(np.append(True, number[1:] != number[:-1])) if len(parts) else np.zeros(0, dtype=np.intp)
    filled = number[firsts]
    joined = merge(parts, firsts, (edges_ns[filled], edges_ns[filled + 1])) if len(parts) else no_cells()
    integral, known_s = _held(parts, edges_ns, before, dark)
    is_lit = ~_is_dark(parts.first_ns, dark)
    integral += np.bincount(number[is_lit], weights=parts.integral[is_lit], minlength=n_bins)
    known_s += np.bincount(number[is_lit], weights=parts.good_s[is_lit], minlength=n_bins)

    def spread(column: NDArray[Any], missing: float = np.nan) -> NDArray[Any]:
        found = np.full(n_bins, missing, dtype=column.dtype)
        found[filled] = column
        return found

    n, n_good = spread(joined.n, 0), spread(joined.n_good, 0)
    total = spread(joined.sum, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n_good > 0, total / n_good, np.nan)
        time_mean = np.where(known_s > 0, integral / known_s, np.nan)
    floats = {
        "min": spread(joined.min),
        "mean": mean,
        "max": spread(joined.max),
        "first": spread(joined.first),
        "last": spread(joined.last),
        "time_mean": time_mean,
    }
    has_good = n_good > 0
    return pa.table(
        {
            "start_ns": pa.array(edges_ns[:-1]),
            "stop_ns": pa.array(edges_ns[1:]),
            "n": pa.array(n),
            "n_good": pa.array(n_good),
            **{name: pa.array(column, mask=np.isnan(column)) for name, column in floats.items()},
            "severity": pa.array(spread(joined.severity, 0), mask=n == 0),
            "sum": pa.array(total),
            "sumsq": pa.array(spread(joined.sumsq, 0.0)),
            "min_ns": pa.array(spread(joined.min_ns, 0), mask=~has_good),
            "max_ns": pa.array(spread(joined.max_ns, 0), mask=~has_good),
            "integral": pa.array(integral),
            "known_s": pa.array(known_s),
        }
    )


def _held(
    parts: Cells, edges_ns: NDArray[np.int64], before: Cells, dark: IntervalSet
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what values held between the parts add to each bin: integral, and seconds."""
    start_ns, stop_ns = int(edges_ns[0]), int(edges_ns[-1])
    dark_ns = _edges(dark)
    cuts = distinct([edges_ns, parts.first_ns, parts.stop_ns, dark_ns])
    cuts = cuts[(cuts >= start_ns) & (cuts <= stop_ns)]
    begin, end = cuts[:-1], cuts[1:]
    at = np.searchsorted(parts.first_ns, begin, side="right") - 1
    has_before = bool(len(before) and before.holds[-1])
    value = np.full(begin.size, before.last[-1] if has_before else np.nan)
    is_behind = at >= 0
    value[is_behind] = np.where(parts.holds[at[is_behind]], parts.last[at[is_behind]], np.nan)
    is_inside = np.zeros(begin.size, dtype=bool)
    is_inside[is_behind] = begin[is_behind] < parts.stop_ns[at[is_behind]]
    counts = ~is_inside & ~np.isnan(value) & ~_is_dark(begin, dark)
    seconds = (end - begin)[counts] / SECOND_NS
    number = np.searchsorted(edges_ns, begin[counts], side="right") - 1
    n_bins = edges_ns.size - 1
    integral = np.bincount(number, weights=value[counts] * seconds, minlength=n_bins)
    known_s = np.bincount(number, weights=seconds, minlength=n_bins)
    return integral.astype(np.float64), known_s.astype(np.float64)


def _edges(dark: IntervalSet) -> NDArray[np.int64]:
    return np.array([edge for part in dark for edge in (part.start_ns, part.stop_ns)], dtype=np.int64)


def _is_dark(time_ns: NDArray[np.int64], dark: IntervalSet) -> NDArray[np.bool_]:
    is_dark: NDArray[np.bool_] = np.searchsorted(_edges(dark), time_ns, side="right") % 2 == 1
    return is_dark
