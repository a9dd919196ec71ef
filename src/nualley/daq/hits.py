"""The table of hits: one row per waveform, the same columns for every format."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HIT_B = 64
"""What a row takes in memory [B], rounded up to what chunks are planned with."""

HITS = pa.schema(
    [
        # index of the event within the file; hits of one event stand together
        pa.field("event", pa.int64(), nullable=False),
        # the DAQ's own counter; null where the format has none
        pa.field("event_id", pa.int64()),
        pa.field("board", pa.int32()),
        pa.field("channel", pa.int32()),
        # the DAQ's clock as it was written: ticks or ns since the start, rolling over or not, as the format has it
        pa.field("t_raw", pa.int64()),
        # time of day [ns since 1970 UTC]; null where the format knows none
        pa.field("t_ns", pa.int64()),
        # trigger pattern and error bits as the format defines them
        pa.field("flags", pa.uint32()),
        # index of the first sample in Chunk.samples
        pa.field("wf_offset", pa.int64(), nullable=False),
        pa.field("n_samples", pa.int32(), nullable=False),
    ]
)


def hits_table(n_samples: NDArray[np.integer[Any]], **columns: NDArray[np.integer[Any]] | None) -> pa.Table:
    """Return a table of hits whose samples lie one behind the other.

    Parameters
    ----------
    n_samples : ndarray of int, shape (n_hit,)
        Samples of each hit, in order.
    **columns : ndarray of int, shape (n_hit,), or None
        The other columns of `HITS` but ``wf_offset``; None or left out means null, and so does a masked element.

    Returns
    -------
    pyarrow.Table
        With schema `HITS`.
    """
    offsets = np.zeros(len(n_samples), dtype=np.int64)
    np.cumsum(n_samples[:-1], out=offsets[1:])
    known = {**columns, "wf_offset": offsets, "n_samples": n_samples}
    return pa.table([_column(field, known.get(field.name), len(n_samples)) for field in HITS], schema=HITS)


def _column(field: pa.Field, values: NDArray[np.integer[Any]] | None, n_rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(n_rows, field.type)
    # astype wraps a clock of 64 unsigned bits into int64, which loses nothing; pyarrow would refuse
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    return pa.array(np.asarray(values).astype(field.type.to_pandas_dtype(), copy=False), mask=mask)
