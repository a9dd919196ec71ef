"""One board of a COH-Ar-750 file: its datasets, how many events they hold, and reading them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nualley.daq.adapters.cohar750_file import DAMAGE
from nualley.daq.hits import HIT_B, hits_table
from nualley.daq.models import Chunk, Defect, DefectKind

FAIL_BIT = 16
"""Bit of the column ``flags`` that says that the board was in a fail state; the bits below are the DAQ's own."""
SUPPRESSED_BIT = 17
"""Bit of the column ``flags`` that says that zeros were suppressed, where the DAQ says so."""

BOARD = re.compile(r"board(\d{1,6})")
TIMES, WAVEFORMS, IDS = "timestamps", "waveforms", "triggerids"
FLAGS = {"flags": 0, "boardfail": FAIL_BIT, "zero_suppressed": SUPPRESSED_BIT}
_MAX_EVENT_B = 1 << 30


@dataclass(frozen=True, slots=True)
class Board:
    """One board while its file is open.

    Parameters
    ----------
    number : int
        Its id.
    data : mapping of str to h5py.Dataset
        Its datasets.
    n_events : int
        Rows that every dataset has and that were written.
    """

    number: int
    data: Mapping[str, Any]
    n_events: int

    @property
    def n_channels(self) -> int:
        """Waveforms per event."""
        return int(self.data[WAVEFORMS].shape[1])

    @property
    def record_length(self) -> int:
        """Samples per waveform."""
        return int(self.data[WAVEFORMS].shape[2])

    @property
    def kind(self) -> "np.dtype[Any]":
        """Type of a sample."""
        kind: np.dtype[Any] = self.data[WAVEFORMS].dtype
        return kind

    @property
    def is_checkable(self) -> bool:
        """Whether reading the waveforms shows damage: a filter (compression, checksum) stands between."""
        return bool(self.data[WAVEFORMS].id.get_create_plist().get_nfilters())

    @property
    def chunk_rows(self) -> int:
        """Events that HDF5 stores, and decompresses, together."""
        chunks = self.data[WAVEFORMS].chunks
        return int(chunks[0]) if chunks else 1

    def times(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return rows of the timestamps, without which it would be no board."""
        return _as_rows(self.data[TIMES][start:stop])[:, 0].astype(np.int64)

    def column(self, name: str, start: int, stop: int) -> NDArray[Any] | None:
        """Return rows of a dataset of one value per event, or None where there is no such dataset."""
        if name not in self.data:
            return None
        return _as_rows(self.data[name][start:stop])[:, 0]


def is_board(file: Any, name: str) -> bool:
    """Whether a file has a group of this name that may be a board."""
    return bool(BOARD.fullmatch(name)) and all(key in file[name] for key in (TIMES, WAVEFORMS))


def board_order(name: str) -> tuple[int, str]:
    """Return what sorts boards by number."""
    match = BOARD.fullmatch(name)
    return (int(match[1]) if match else -1), name


def wrong_layout(data: Mapping[str, Any]) -> str:
    """Return what keeps datasets from being a board's, or nothing."""
    missing = [key for key in (TIMES, WAVEFORMS) if key not in data]
    if missing:
        return f"has no {' and no '.join(missing)}, expected both {TIMES} and {WAVEFORMS}"
    other = [key for key, dataset in data.items() if not isinstance(dataset, h5py.Dataset) or not dataset.shape]
    if other:
        return f"{other[0]} is no array, expected one row per event"
    waveforms = data[WAVEFORMS]
    event_B = math.prod(waveforms.shape[1:]) * waveforms.dtype.itemsize
    if waveforms.ndim != 3 or waveforms.dtype.kind not in "ui" or not 0 < event_B <= _MAX_EVENT_B:
        return (
            f"{WAVEFORMS} is {waveforms.dtype} of shape {waveforms.shape}, "
            "expected whole numbers of shape (events, channels, samples)"
        )
    scalar = [key for key in data if key != WAVEFORMS and data[key].dtype.kind not in "uib"]
    return f"{scalar[0]} is {data[scalar[0]].dtype}, expected whole numbers" if scalar else ""


def n_stored(dataset: Any) -> int:
    """Return the row up to which a dataset has bytes in the file: HDF5 makes up what was never written."""
    if dataset.chunks is None:
        return int(dataset.shape[0]) if dataset.id.get_storage_size() else 0
    last = -1

    def take(chunk: Any) -> None:
        nonlocal last
        last = max(last, int(chunk.chunk_offset[0]))

    dataset.id.chunk_iter(take)
    return 0 if last < 0 else last + int(dataset.chunks[0])


def n_filled(data: Mapping[str, Any], n_rows: int) -> int:
    """Return the row up to which events were written: behind them times and samples are all zero.

    Parameters
    ----------
    data : mapping of str to h5py.Dataset
        A board's datasets.
    n_rows : int
        Rows to look at, from the last one back, one HDF5 chunk at a time.

    Returns
    -------
    int
        0 where nothing was written.
    """
    chunk_rows = data[WAVEFORMS].chunks[0] if data[WAVEFORMS].chunks else 1
    stop = n_rows
    while stop > 0:
        start = (stop - 1) // chunk_rows * chunk_rows
        timed = np.flatnonzero(_as_rows(data[TIMES][start:stop]).any(axis=1))
        first = start + int(timed[-1]) + 1 if len(timed) else start
        if first < stop:
            sampled = np.flatnonzero(_as_rows(data[WAVEFORMS][first:stop]).any(axis=1))
            if len(sampled):
                return first + int(sampled[-1]) + 1
        if len(timed):
            return first
        stop = start
    return 0


def _as_rows(values: Any) -> NDArray[Any]:
    return np.asarray(values).reshape(len(values), -1)


def plan(boards: Sequence[Board], row: int, max_bytes: int) -> int:
    """Return the row up to which to read next: within the bounds, whole HDF5 chunks where they fit."""
    event_B = sum(board.n_channels * board.record_length for board in boards) * _common_kind(boards).itemsize
    n_hits = sum(board.n_channels for board in boards)
    n_rows = max(1, min(max_bytes // event_B, max_bytes // (n_hits * HIT_B)))
    end = min(board.n_events for board in boards)
    stop = row + n_rows
    chunk_rows = max(board.chunk_rows for board in boards)
    aligned = stop // chunk_rows * chunk_rows
    return min(end, aligned if aligned > row else stop)


def _common_kind(boards: Sequence[Board]) -> "np.dtype[Any]":
    return np.dtype(np.result_type(*(board.kind for board in boards)))


def read_chunk(boards: Sequence[Board], start: int, stop: int, *, with_samples: bool) -> Chunk:
    """Read events of some boards, all of which have them."""
    kind = _common_kind(boards)
    widths = [board.n_channels * board.record_length for board in boards]
    samples = np.empty((stop - start, sum(widths)), kind) if with_samples else np.empty(0, kind)
    at = 0
    for board, width in zip(boards, widths, strict=True):
        if with_samples or board.is_checkable:
            read = board.data[WAVEFORMS][start:stop].reshape(stop - start, width)
            if with_samples:
                samples[:, at : at + width] = read
        at += width
    return Chunk(_hits(boards, start, stop), samples.reshape(-1), start, stop)


def _hits(boards: Sequence[Board], start: int, stop: int) -> pa.Table:
    n_rows = stop - start
    n_channels = [board.n_channels for board in boards]

    def per_event(values: Sequence[Any]) -> NDArray[Any]:
        """Repeat one value per board for its channels and for all events."""
        return np.tile(np.repeat(np.asarray(values), n_channels), n_rows)

    def per_row(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Repeat one column per board for its channels."""
        return np.ma.repeat(np.ma.stack(columns, axis=1), n_channels, axis=1).reshape(-1)

    unknown = np.ma.array(np.zeros(n_rows, np.int64), mask=True)
    ids = [board.column(IDS, start, stop) for board in boards]
    return hits_table(
        per_event([board.record_length for board in boards]),
        event=np.repeat(np.arange(start, stop), sum(n_channels)),
        event_id=per_row([unknown if column is None else column.astype(np.int64) for column in ids]),
        board=per_event([board.number for board in boards]),
        channel=np.tile(np.concatenate([np.arange(n) for n in n_channels]), n_rows),
        t_raw=per_row([board.times(start, stop) for board in boards]),
        flags=per_row([_flags(board, start, stop) for board in boards]),
    )


def _flags(board: Board, start: int, stop: int) -> NDArray[np.uint32]:
    flags = np.zeros(stop - start, np.uint32)
    for name, bit in FLAGS.items():
        column = board.column(name, start, stop)
        if column is not None:
            value = column.astype(np.uint16) if not bit else column.astype(np.bool_)
            flags |= value.astype(np.uint32) << np.uint32(bit)
    return flags


def undecodable(boards: Sequence[Board], row: int, error: BaseException) -> Defect:
    """Return the defect of the HDF5 chunk in which an event cannot be decoded; the same for all events in it."""
    for board in boards:
        waveforms = board.data[WAVEFORMS]
        try:
            waveforms[row : row + 1]
        except DAMAGE:
            first = row // board.chunk_rows * board.chunk_rows
            last = min(first + board.chunk_rows, board.n_events) - 1
            offset_B = waveforms.id.get_chunk_info_by_coord((first, 0, 0)).byte_offset or 0
            detail = f"board{board.number}: events {first} to {last} cannot be decoded: {error}"
            return Defect(DefectKind.GARBAGE, int(offset_B), detail)
    return Defect(DefectKind.GARBAGE, 0, f"event {row} cannot be decoded: {error}")
