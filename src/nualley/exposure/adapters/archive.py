"""The archive's tables as exposure reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive import ConnectionRow, PvNotArchivedError, RowKind
from nualley.exposure.ports import PvFooting, TraceRows
from nualley.physics import FOREVER, LinkChange, PvRows, TraceSums
from nualley.pv import Metadata

_LINKS: Mapping[RowKind, Literal["disconnect", "reconnect", "pause", "gap"]] = {
    RowKind.DISCONNECT: "disconnect",
    RowKind.RECONNECT: "reconnect",
    RowKind.PAUSE: "pause",
    RowKind.GAP: "gap",
}


class Cells(Protocol):
    """Stretches of time with at least one sample each, as far as exposure needs them: arrays of one length."""

    @property
    def start_ns(self) -> NDArray[np.int64]:
        """Begin of each [ns since 1970 UTC]."""
        ...

    @property
    def n(self) -> NDArray[np.int64]:
        """Samples."""
        ...

    @property
    def n_good(self) -> NDArray[np.int64]:
        """Samples that are good."""
        ...

    @property
    def first_ns(self) -> NDArray[np.int64]:
        """Time of the first sample [ns since 1970 UTC]."""
        ...

    @property
    def last_ns(self) -> NDArray[np.int64]:
        """Time of the last sample [ns since 1970 UTC]."""
        ...

    @property
    def min(self) -> NDArray[np.float64]:
        """Smallest good value; NaN where none is good."""
        ...

    @property
    def max(self) -> NDArray[np.float64]:
        """Largest good value; NaN where none is good."""
        ...

    @property
    def severity(self) -> NDArray[np.int8]:
        """Worst alarm severity, 0 to 3."""
        ...


class Footing(Protocol):
    """The hours of a PV."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which its history stands."""
        ...

    @property
    def cells(self) -> Cells:
        """Of an hour each."""
        ...

    @property
    def recent_ns(self) -> int | None:
        """Time of the first sample that no cell tells of [ns since 1970 UTC]; None without one."""
        ...


class Traces(Protocol):
    """Averages of arrays over minutes."""

    def minutes(self, pv: str, start_ns: int, stop_ns: int) -> Sequence[TraceSums]:
        """Return the averages that are kept for good."""
        ...

    def count_minutes(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many there are."""
        ...


class Record(Protocol):
    """What is known of a PV."""

    @property
    def metadata(self) -> Metadata | None:
        """What its values mean; None until its IOC was heard."""
        ...


class Reader(Protocol):
    """The archive's reader, as far as exposure needs it."""

    def read(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        """Return a table of rows by time; the last sample at or before the start comes first."""
        ...

    def history(self, pv: str, start_ns: int, stop_ns: int) -> pa.Table:
        """Return the same, with the connection rows next to the interval."""
        ...

    def count_rows(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many rows there are."""
        ...

    @property
    def traces(self) -> Traces:
        """Averages of arrays over minutes."""
        ...

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        ...

    def complete_since_ns(self, pv: str) -> int | None:
        """Return the time of the first sample of which older ones are gone; None where all are there."""
        ...

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> Footing | None:
        """Return the hours of a stretch, and the last one before it; None where cells cannot tell."""
        ...

    def connections(self, pv: str, start_ns: int, stop_ns: int) -> Sequence[ConnectionRow]:
        """Return connection rows: inside, the last one before and the first one behind, by time."""
        ...

    def record(self, pv: str) -> Record:
        """Return what is known of a PV."""
        ...


class NoHistory:
    """The port `PvHistory` where nothing was ever archived: no PV has rows, none was ever alive."""

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:  # noqa: ARG002  # the port's
        """Return no rows."""
        return PvRows(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.int8))

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:  # noqa: ARG002  # the port's
        """Return no arrays."""
        empty = np.empty(0, dtype=np.int64)
        return TraceRows(empty, empty.astype(np.int8), np.zeros(1, dtype=np.int64), np.empty(0))

    def read_trace_minutes(self, pv: str, start_ns: int, stop_ns: int) -> Sequence[TraceSums]:  # noqa: ARG002  # the port's
        """Return no averages."""
        return ()

    def count_traces(self, pv: str, start_ns: int, stop_ns: int) -> int:  # noqa: ARG002  # the port's
        """Return 0."""
        return 0

    def alive_until_ns(self, pv: str) -> int:  # noqa: ARG002  # the port's
        """Return a time before all times."""
        return FOREVER.start_ns

    def labels(self, pv: str) -> tuple[str, ...]:  # noqa: ARG002  # the port's
        """Return no labels."""
        return ()

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> PvFooting:  # noqa: ARG002  # the port's
        """Return that there is not one sample."""
        whole, real = np.empty(0, dtype=np.int64), np.empty(0)
        columns = (whole, whole, whole, whole, whole, real, real, whole.astype(np.int8))
        return PvFooting((), *columns, links=(), alive_until_ns=FOREVER.start_ns, recent_ns=FOREVER.stop_ns)


_NOTHING = NoHistory()


class ArchiveHistory:
    """The port `PvHistory` over an archive. A PV that the archive does not know has no rows and was never alive.

    Parameters
    ----------
    reader : Reader
        The archive's reader.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        """Return samples and connection changes of a scalar PV."""
        try:
            rows = rows_from_table(self._reader.history(pv, start_ns, stop_ns))
            complete_ns = self._reader.complete_since_ns(pv)
            return rows if complete_ns is None or complete_ns <= start_ns else _thinned(rows, complete_ns)
        except PvNotArchivedError:
            return _NOTHING.read(pv, start_ns, stop_ns)

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:
        """Return the arrays that a PV posted in ``[start_ns, stop_ns)``."""
        try:
            return traces_from_table(self._reader.read(pv, start_ns, stop_ns), start_ns, stop_ns)
        except PvNotArchivedError:
            return _NOTHING.read_traces(pv, start_ns, stop_ns)

    def read_trace_minutes(self, pv: str, start_ns: int, stop_ns: int) -> Sequence[TraceSums]:
        """Return the averages over minutes that are kept for good of the arrays of a PV."""
        try:
            return self._reader.traces.minutes(pv, start_ns, stop_ns)
        except PvNotArchivedError:
            return ()

    def count_traces(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many arrays and kept averages there are in an interval; 0 where there are none."""
        try:
            n_minutes = self._reader.traces.count_minutes(pv, start_ns, stop_ns)
            return n_minutes + self._reader.count_rows(pv, start_ns, stop_ns)
        except PvNotArchivedError:
            return 0

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        try:
            return self._reader.alive_until_ns(pv)
        except PvNotArchivedError:
            return _NOTHING.alive_until_ns(pv)

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> PvFooting | None:
        """Return what the archive says of a PV without looking at its samples; None where that cannot be told."""
        try:
            found = self._reader.footing(pv, start_ns, stop_ns)
            links, alive_ns = self._reader.connections(pv, start_ns, stop_ns), self._reader.alive_until_ns(pv)
        except PvNotArchivedError:
            return _NOTHING.footing(pv, start_ns, stop_ns)
        if found is None:
            return None
        cells = found.cells
        return PvFooting(
            names=found.names,
            start_ns=cells.start_ns,
            n=cells.n,
            n_good=cells.n_good,
            first_ns=cells.first_ns,
            last_ns=cells.last_ns,
            lowest=cells.min,
            highest=cells.max,
            severity=cells.severity,
            links=tuple(LinkChange(row.time_ns, _LINKS[row.kind], row.last_heard_ns) for row in links),
            alive_until_ns=alive_ns,
            recent_ns=FOREVER.stop_ns if found.recent_ns is None else found.recent_ns,
        )

    def labels(self, pv: str) -> tuple[str, ...]:
        """Return the labels of an enum PV, empty where it is none."""
        try:
            metadata = self._reader.record(pv).metadata
        except PvNotArchivedError:
            return ()
        return metadata.labels if metadata else ()


def rows_from_table(table: pa.Table) -> PvRows:
    """Split an archive table of a scalar PV into samples and connection changes.

    Parameters
    ----------
    table : pyarrow.Table
        Columns time_ns, value, severity, kind and last_heard_ns, by time.

    Returns
    -------
    PvRows
        A null value and an array become NaN, a null severity INVALID.
    """
    is_sample = pc.equal(table["kind"], "sample")
    samples = table.filter(is_sample)
    return PvRows(
        time_ns=samples["time_ns"].to_numpy(),
        value=_values(samples["value"]),
        severity=_severity(samples["severity"]),
        links=tuple(
            LinkChange(row["time_ns"], row["kind"], row["last_heard_ns"])
            for row in table.filter(pc.invert(is_sample)).select(["time_ns", "kind", "last_heard_ns"]).to_pylist()
        ),
    )


def _thinned(rows: PvRows, complete_ns: int) -> PvRows:
    """Say that nothing is known while samples are gone: the last one that is left must not seem to hold."""
    links = (link for link in rows.links if link.time_ns > complete_ns)
    gone = LinkChange(FOREVER.start_ns, "gap"), LinkChange(complete_ns, "reconnect")
    return replace(rows, links=(*gone, *links))


def traces_from_table(table: pa.Table, start_ns: int, stop_ns: int) -> TraceRows:
    """Return the arrays of an archive table that were posted in an interval.

    Parameters
    ----------
    table : pyarrow.Table
        Columns time_ns, value (lists of numbers), severity and kind, by time.
    start_ns, stop_ns : int
        The interval [ns since 1970 UTC]; the array that stood at its start was posted before.

    Returns
    -------
    TraceRows
        A null array is empty; of a PV that holds no arrays of numbers there are none.
    """
    inside = pc.and_(pc.greater_equal(table["time_ns"], start_ns), pc.less(table["time_ns"], stop_ns))
    posted = table.filter(pc.and_(inside, pc.equal(table["kind"], "sample")))
    if not pa.types.is_list(posted["value"].type) or pa.types.is_string(posted["value"].type.value_type):
        return _NOTHING.read_traces("", start_ns, stop_ns)  # no array of numbers is no trace
    column = posted["value"].combine_chunks()
    lists = column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return TraceRows(
        time_ns=posted["time_ns"].to_numpy(),
        severity=_severity(posted["severity"]),
        offsets=np.append(0, np.cumsum(sizes)).astype(np.int64),
        samples=lists.flatten().to_numpy(zero_copy_only=False),
    )


def _values(column: pa.ChunkedArray) -> NDArray[np.float64] | NDArray[np.object_]:
    if pa.types.is_list(column.type):  # an array where a number is expected says nothing
        return np.full(len(column), np.nan)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(pc.fill_null(column, "").to_pylist(), dtype=object)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _severity(column: pa.ChunkedArray) -> NDArray[np.int8]:
    return np.asarray(pc.fill_null(column, 3).to_numpy(), dtype=np.int8)
