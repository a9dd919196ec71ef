"""Which samples that were kept aside stand among the stored ones by now, and under which stamp."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.decide import EARLIEST_NS
from nualley.archive.reader import ArchiveReader
from nualley.core import DAY_NS
from nualley.pv import PvProtocol

_STAMPS = ("time_ns", "received_ns")
"""A release stores a sample under its own stamp, or under the time of its receipt."""


def released_as_ns(reader: ArchiveReader, table: pa.Table) -> list[int | None]:
    """Return under which stamp each quarantined sample was released; None where it was not.

    Parameters
    ----------
    reader : ArchiveReader
        Tells what is stored.
    table : pyarrow.Table
        Quarantined rows, of any PVs; see `nualley.archive.refused_reader.RefusedReader.pieces`.

    Returns
    -------
    list of int or None
        In the order of the rows [ns since 1970 UTC]. What is stored says it, so that a release that was killed between
        storing and telling is known all the same.
    """
    found: list[int | None] = [None] * table.num_rows
    names = table["pv"].cast(pa.string())
    for name in names.unique().to_pylist():
        at = np.flatnonzero(pc.equal(names, name).to_numpy())
        rows = table.take(pa.array(at)).select(["time_ns", "received_ns", "value", "severity"])
        for column in _STAMPS:
            times_ns = rows[column].to_numpy()
            for place in _stored(reader, name, rows, times_ns):
                if found[at[place]] is None:
                    found[at[place]] = int(times_ns[place])
    return found


def _stored(reader: ArchiveReader, pv: str, rows: pa.Table, times_ns: NDArray[np.int64]) -> Iterator[int]:
    """Yield the places of those rows that were taken in under some times."""
    for start_ns, stop_ns in _stretches(times_ns):
        if not reader.has_rows(pv, start_ns, stop_ns):
            continue
        inside = np.flatnonzero((times_ns >= start_ns) & (times_ns < stop_ns))
        part = rows.take(pa.array(inside))
        for piece in reader.pieces(pv, start_ns, stop_ns):
            is_taken_in = pc.and_(
                pc.and_(
                    pc.equal(piece["kind"].cast(pa.string()), "sample"),
                    pc.equal(piece["protocol"].cast(pa.string()), str(PvProtocol.IMPORT)),
                ),
                pc.is_in(piece["time_ns"], pa.array(times_ns[inside])),
            )
            stored = piece.filter(is_taken_in)
            if not stored.num_rows:
                continue
            type_ = stored["value"].type
            seen = set(_keys(stored["time_ns"].to_numpy(), stored, type_))
            keys = _keys(times_ns[inside], part, type_)
            yield from (int(place) for place, key in zip(inside, keys, strict=True) if key in seen)


def _stretches(times_ns: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the stretches that some times are in: stamps of two centuries have one of all samples between them."""
    sorted_ns = np.unique(times_ns[(times_ns >= EARLIEST_NS) & (times_ns < 2**62)])
    if sorted_ns.size:
        for part in np.split(sorted_ns, np.flatnonzero(np.diff(sorted_ns) > DAY_NS) + 1):
            yield int(part[0]) - 1, int(part[-1]) + 1  # of several samples at its start, reading gives the last one


def _keys(times_ns: NDArray[np.int64], rows: pa.Table, shown: pa.DataType) -> list[tuple[int, str, int]]:
    """Return what tells samples apart; their values as a PV is shown that was numbers and text, or arrays."""
    values = rows["value"]
    if values.type != shown and pa.types.is_string(shown) and not pa.types.is_list(values.type):
        values = values.cast(shown)
    texts = [repr(float(value) if isinstance(value, int) else value) for value in values.to_pylist()]
    return list(zip(times_ns.tolist(), texts, rows["severity"].to_pylist(), strict=True))
