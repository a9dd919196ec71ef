"""Taking in what others recorded: judged, freed of what is stored already, and told apart from what was heard live.

Where nothing was heard live, an imported value holds to the next sample or imported disconnect. That is said by two
connection rows: a reconnect with the first imported row of such a stretch, and a gap behind its last one. A later
import that goes on in the same stretch takes these rows away again: imports of a PV are one recording, in whatever
pieces and order they come, and the time between two of them is told as bridged. Between an import and what was heard
live nobody vouches for the value: the gap stays, from behind the last imported row to the reconnect.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.archive.decide import EARLIEST_NS, EPICS_EPOCH_NS, Reason
from nualley.archive.models import ConnectionRow, RowKind
from nualley.pv import PvProtocol, ValueType

LinkKind: TypeAlias = Literal["disconnect", "reconnect"]

BRACKET_SEQ = -1
"""Receipt number of the rows that say where an imported stretch begins and ends."""


@dataclass(frozen=True, slots=True, eq=False)
class ImportedRows:
    """Samples of one PV from elsewhere.

    Parameters
    ----------
    pv : str
        Its name.
    value_type : ValueType
        What its values are.
    time_ns : ndarray of int64, shape (n,)
        Times, in any order [ns since 1970 UTC].
    value : pyarrow.Array
        Values, of the type in `nualley.archive.columns.VALUE_TYPES`.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severity, 0 to 3.
    status : ndarray of int16, shape (n,)
        Alarm status as the source has it.
    links : tuple of (int, str)
        Times at which the source lost or regained the PV: "disconnect" or "reconnect".
    unit : str
        Engineering unit; empty where the source does not say.
    precision : int or None
        Digits after the point.
    source : str
        Where they are from, for messages.
    """

    pv: str
    value_type: ValueType
    time_ns: NDArray[np.int64]
    value: pa.Array
    severity: NDArray[np.int8]
    status: NDArray[np.int16]
    links: tuple[tuple[int, LinkKind], ...] = ()
    unit: str = ""
    precision: int | None = None
    source: str = ""

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, rows: NDArray[np.intp]) -> "ImportedRows":
        """Return some of them, in the order asked for."""
        return ImportedRows(
            self.pv,
            self.value_type,
            self.time_ns[rows],
            self.value.take(pa.array(rows)),
            self.severity[rows],
            self.status[rows],
            self.links,
            self.unit,
            self.precision,
            self.source,
        )


@dataclass(frozen=True, slots=True)
class Bridged:
    """Time between an earlier import and this one that counts as known from now on: the value before it holds.

    Parameters
    ----------
    pv : str
        Name of the PV.
    start_ns, stop_ns : int
        From behind the last row of the one to the first row of the other [ns since 1970 UTC].
    """

    pv: str
    start_ns: int
    stop_ns: int


@dataclass(slots=True)
class ImportCounts:
    """The account of an import: ``received = stored + quarantined + filtered``.

    Parameters
    ----------
    received, stored, quarantined, filtered : int
        Samples; those filtered are stored, or kept aside, already.
    pvs : set of str
        PVs that something was received of.
    by_reason : collections.Counter
        Samples that were quarantined, by their reason.
    bridged : list of Bridged
        Where it went on from earlier imports.
    """

    received: int = 0
    stored: int = 0
    quarantined: int = 0
    filtered: int = 0
    pvs: set[str] = field(default_factory=set)
    by_reason: Counter[str] = field(default_factory=Counter)
    bridged: list[Bridged] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """What becomes of imported samples.

    Parameters
    ----------
    stored : ImportedRows
        By time.
    refused : ImportedRows
        Those that no archive should believe, by time.
    reasons : tuple of str
        Why, each of them.
    n_filtered : int
        Those that are stored or kept aside already, or twice in the source.
    """

    stored: ImportedRows
    refused: ImportedRows
    reasons: tuple[str, ...]
    n_filtered: int


def sift(rows: ImportedRows, known: pa.Table | None, future_limit_ns: int, aside: pa.Table | None = None) -> Sifted:
    """Judge imported samples.

    Parameters
    ----------
    rows : ImportedRows
        As they were read.
    known : pyarrow.Table or None
        Samples of the PV that are stored over the same time: columns time_ns, value, severity.
    future_limit_ns : int
        Stamps behind it are refused [ns since 1970 UTC].
    aside : pyarrow.Table or None
        Samples of the PV that were refused before: columns as ``known``.
    """
    reasons = refusals(rows.time_ns, future_limit_ns)
    is_refused = reasons != ""
    good, bad = (
        part[np.argsort(rows.time_ns[part], kind="stable")]
        for part in (np.flatnonzero(~is_refused), np.flatnonzero(is_refused))
    )
    good_new = good[_is_new(rows.take(good), known)]
    bad_new = bad[_is_new(rows.take(bad), aside)]
    return Sifted(
        stored=rows.take(good_new),
        refused=rows.take(bad_new),
        reasons=tuple(str(reason) for reason in reasons[bad_new]),
        n_filtered=len(rows) - len(good_new) - len(bad_new),
    )


def refusals(time_ns: NDArray[np.int64], future_limit_ns: int) -> NDArray[np.object_]:
    """Return why no archive should believe stamps; empty where one can.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        The stamps [ns since 1970 UTC].
    future_limit_ns : int
        Those behind it are refused [ns since 1970 UTC].
    """
    reasons = np.full(len(time_ns), "", dtype=object)
    reasons[time_ns < EARLIEST_NS] = Reason.BEFORE_1991
    reasons[time_ns == EPICS_EPOCH_NS] = Reason.UNDEFINED_TIME
    reasons[time_ns > future_limit_ns] = Reason.FUTURE
    return reasons


def _is_new(rows: ImportedRows, known: pa.Table | None) -> NDArray[np.bool_]:
    is_new = np.ones(len(rows), dtype=bool)
    times_ns = rows.time_ns
    stored_ns = known["time_ns"].to_numpy() if known is not None else np.zeros(0, dtype=np.int64)
    is_twin = np.zeros(len(rows), dtype=bool)
    is_twin[1:] = times_ns[1:] == times_ns[:-1]
    doubtful = np.flatnonzero(is_twin | np.isin(times_ns, stored_ns) | np.append(is_twin[1:], False))
    if not doubtful.size:
        return is_new
    seen: set[tuple[int, str, int]] = set()
    if known is not None:
        matching = known.filter(pa.array(np.isin(stored_ns, times_ns[doubtful])))
        columns = (matching[name].to_pylist() for name in ("time_ns", "value", "severity"))
        seen = {(time_ns, repr(value), severity) for time_ns, value, severity in zip(*columns, strict=True)}
    values = rows.value.take(pa.array(doubtful)).to_pylist()
    for at, value in zip(doubtful.tolist(), values, strict=True):
        key = int(times_ns[at]), repr(value), int(rows.severity[at])
        is_new[at] = key not in seen
        seen.add(key)
    return is_new


def brackets(
    pv: str, links: Sequence[ConnectionRow], time_ns: NDArray[np.int64]
) -> tuple[list[ConnectionRow], list[ConnectionRow]]:
    """Say where imported rows make a PV known that was not heard then.

    Parameters
    ----------
    pv : str
        Its name.
    links : sequence of ConnectionRow
        All connection rows that are known of it, by time.
    time_ns : ndarray of int64, shape (n,)
        Times of the imported rows, rising [ns since 1970 UTC].

    Returns
    -------
    added, forgotten : list of ConnectionRow
        Rows that say so, and those of earlier imports that count no longer.
    """
    added: list[ConnectionRow] = []
    forgotten: list[ConnectionRow] = []
    for opener, closer, (start_ns, stop_ns) in _dark_stretches(links):
        inside = time_ns[(time_ns >= start_ns) & (time_ns < stop_ns)]
        if not inside.size:
            continue
        if opener is not None and is_bracket(opener):
            forgotten.append(opener)
        else:
            added.append(_bracket(pv, int(inside[0]), RowKind.RECONNECT))
        if closer is not None and is_bracket(closer):
            forgotten.append(closer)
        else:
            added.append(_bracket(pv, int(inside[-1]) + 1, RowKind.GAP))
    return added, forgotten


def _dark_stretches(
    links: Sequence[ConnectionRow],
) -> list[tuple[ConnectionRow | None, ConnectionRow | None, tuple[int, int]]]:
    found: list[tuple[ConnectionRow | None, ConnectionRow | None, tuple[int, int]]] = []
    opener: ConnectionRow | None = None
    since_ns: int | None = -(2**62) if not links or links[0].kind is RowKind.RECONNECT else None
    for link in links:
        if link.kind is RowKind.RECONNECT:
            if since_ns is not None and link.time_ns > since_ns:
                found.append((opener, link, (since_ns, link.time_ns)))
            opener, since_ns = None, None
        elif since_ns is None:
            begins_ns = link.time_ns if link.kind is RowKind.PAUSE else min(link.time_ns, link.last_heard_ns)
            opener, since_ns = link, begins_ns
    if since_ns is not None:
        found.append((opener, None, (since_ns, 2**62)))
    return found


def is_bracket(row: ConnectionRow) -> bool:
    """Say whether a row is one of `brackets`: no source said it."""
    return row.seq == BRACKET_SEQ and row.protocol == PvProtocol.IMPORT


def _bracket(pv: str, time_ns: int, kind: RowKind) -> ConnectionRow:
    return ConnectionRow(pv, time_ns, kind, time_ns, BRACKET_SEQ, PvProtocol.IMPORT)
