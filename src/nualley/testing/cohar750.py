"""A writer of COH-Ar-750's HDF5 files, as its DAQ lays them out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike

from nualley.core import UsageError

_COLUMNS = {"timestamps": "u8", "triggerids": "u4", "flags": "u2", "boardfail": "?"}


class Cohar750Writer:
    """Writes events of one or several boards.

    Parameters
    ----------
    path : Path
        The file; what is there is overwritten.
    boards : sequence of int
        Board ids.
    channels : int
        Channels per board; the digitizer has 64.
    record_length : int
        Samples per waveform.
    swmr : bool
        Whether other processes shall read while we write (single writer, multiple readers).
    preallocate : int, optional
        Create datasets of so many events at once, as the DAQ does, instead of growing ones.
    compression : mapping, optional
        What h5py's ``create_dataset`` takes, such as ``{"compression": "gzip"}``.
    chunk_events : int
        Events that HDF5 stores together.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.h5"
    >>> with Cohar750Writer(path, channels=2, record_length=3) as writer:
    ...     writer.append(np.zeros((5, 2, 3), "u2"), timestamps=range(5))
    >>> writer.n_events(0)
    5
    """

    def __init__(
        self,
        path: Path,
        *,
        record_length: int,
        boards: Sequence[int] = (0,),
        channels: int = 64,
        swmr: bool = False,
        preallocate: int | None = None,
        compression: Mapping[str, Any] | None = None,
        chunk_events: int = 16,
    ) -> None:
        self._file = h5py.File(path, "w", libver="latest" if swmr else "earliest")
        self._written = dict.fromkeys(boards, 0)
        self._is_fixed = preallocate is not None
        self._is_swmr = swmr
        n_rows = preallocate or 0
        chunk_rows = min(chunk_events, preallocate or chunk_events)
        shapes: dict[str, tuple[tuple[int, ...], str]] = {"waveforms": ((channels, record_length), "u2")}
        # the DAQ writes its columns as tables of one column when it creates them at full length
        shapes |= {name: ((1,) if self._is_fixed else (), kind) for name, kind in _COLUMNS.items()}
        for board in boards:
            group = self._file.create_group(f"board{board}")
            for name, (tail, kind) in shapes.items():
                group.create_dataset(
                    name,
                    shape=(n_rows, *tail),
                    maxshape=(n_rows if self._is_fixed else None, *tail),
                    chunks=(chunk_rows, *tail),
                    dtype=kind,
                    **(compression or {}),
                )
        if not swmr:
            self._file.attrs["saved_events"] = 0
        if swmr:
            self._file.swmr_mode = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def n_events(self, board: int) -> int:
        """Return the events of a board that were appended."""
        return self._written[board]

    def append(
        self,
        waveforms: ArrayLike,
        timestamps: ArrayLike,
        *,
        board: int | None = None,
        trigger_ids: ArrayLike | None = None,
        flags: ArrayLike = 0,
        board_fail: ArrayLike = False,
    ) -> None:
        """Append events.

        Parameters
        ----------
        waveforms : array-like of uint16, shape (n_event, n_channel, n_sample)
            Samples [ADC counts].
        timestamps : array-like of uint64, shape (n_event,)
            Time since the start of the run [ns].
        board : int, optional
            The board; without it all boards get the same events.
        trigger_ids : array-like of uint32, shape (n_event,), optional
            Trigger ids; without them events are counted from 0.
        flags : array-like of uint16, shape (n_event,) or one value
            Error flags of the board.
        board_fail : array-like of bool, shape (n_event,) or one value
            Whether the board was in a fail state.

        Raises
        ------
        UsageError
            Where the shape is not the file's, or a preallocated file is full.
        """
        samples = np.asarray(waveforms)
        for number in self._written if board is None else (board,):
            group = self._file[f"board{number}"]
            start = self._written[number]
            stop = start + len(samples)
            self._check(group["waveforms"].shape, samples.shape, stop)
            ids = np.arange(start, stop) if trigger_ids is None else np.asarray(trigger_ids)
            columns = {"triggerids": ids, "flags": flags, "boardfail": board_fail, "timestamps": timestamps}
            for name, values in {"waveforms": samples, **columns}.items():
                _put(group[name], start, stop, np.asarray(values))
            self._written[number] = stop

    def flush(self) -> None:
        """Hand all that was appended to the operating system, times last: who sees them sees the samples too."""
        if not self._is_swmr:
            self._file.attrs["saved_events"] = sum(self._written.values())
            self._file.flush()
            return
        for number in self._written:
            group = self._file[f"board{number}"]
            for name in ("waveforms", "triggerids", "flags", "boardfail", "timestamps"):
                group[name].flush()

    def close(self) -> None:
        """Flush and close the file."""
        if self._file:
            self.flush()
            self._file.close()

    def _check(self, have: tuple[int, ...], found: tuple[int, ...], stop: int) -> None:
        if len(found) != 3 or found[1:] != have[1:]:
            raise UsageError(
                f"waveforms of shape {found}, expected (events, {have[1]}, {have[2]})", where="Cohar750Writer.append"
            )
        if self._is_fixed and stop > have[0]:
            raise UsageError(
                f"{stop} events do not fit into the {have[0]} that the file was created for",
                where="Cohar750Writer.append",
                do="create it with a larger preallocate",
            )


def _put(dataset: Any, start: int, stop: int, values: Any) -> None:
    if dataset.shape[0] < stop:
        dataset.resize(stop, axis=0)
    tail = dataset.shape[1:]
    rows = values.reshape(-1, *tail) if values.ndim and tail == (1,) else values
    dataset[start:stop] = np.broadcast_to(rows, (stop - start, *tail))
