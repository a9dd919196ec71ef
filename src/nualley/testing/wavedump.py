"""A writer of CAEN WaveDump binary files and of the configuration beside them."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nualley.core import UsageError

_WORDS = struct.Struct("<6I")
_HEADER_B = _WORDS.size

ConfigMapping = Mapping[str, Mapping[str, object]]


class WaveDumpWriter:
    """Writes one channel as WaveDump does: one event behind the other.

    Parameters
    ----------
    path : Path
        The file; what is there is overwritten unless ``append``.
    header : bool
        Whether each event gets its header of 24 bytes.
    sample_bits : {8, 16}
        Bits in which a sample is stored.
    board : int
        Board in the header, 0 to 31.
    channel : int
        Channel in the header, 0 to 63.
    append : bool
        Whether to go on with a file that is there; its events are not counted.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "wave0.dat"
    >>> with WaveDumpWriter(path, channel=0) as writer:
    ...     writer.write([[100, 101], [102, 103]], [5, 9])
    >>> path.stat().st_size
    56
    """

    def __init__(
        self,
        path: Path,
        *,
        header: bool = True,
        sample_bits: Literal[8, 16] = 16,
        board: int = 0,
        channel: int = 0,
        append: bool = False,
    ) -> None:
        self._has_header = header
        self._kind = np.dtype(f"<u{sample_bits // 8}")
        self._board = board
        self._channel = channel
        self._n_events = 0
        self._file = path.open("ab" if append else "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def n_events(self) -> int:
        """Events written by this object."""
        return self._n_events

    def write(
        self,
        events: ArrayLike | Sequence[ArrayLike],
        trigger_time_tags: ArrayLike | None = None,
        *,
        patterns: ArrayLike = 0,
        event_ids: ArrayLike | None = None,
    ) -> None:
        """Write events.

        Parameters
        ----------
        events : array-like of int, shape (n_event, n_sample), or a sequence of arrays of different lengths
            Samples [ADC counts].
        trigger_time_tags : array-like of int, shape (n_event,), optional
            Clock of the board [ticks], 0 to 2**32 - 1; without it the number of the event.
        patterns : array-like of int, shape (n_event,) or one value
            Trigger pattern.
        event_ids : array-like of int, shape (n_event,), optional
            Event counter; without it events are counted from 0.

        Raises
        ------
        UsageError
            Where a sample does not fit into its bits.
        """
        waveforms = [_as_samples(samples, self._kind) for samples in events]  # type: ignore[union-attr]
        n_events = len(waveforms)
        numbers = np.arange(self._n_events, self._n_events + n_events)
        ids = np.broadcast_to(numbers if event_ids is None else np.asarray(event_ids), n_events)
        times = np.broadcast_to(numbers if trigger_time_tags is None else np.asarray(trigger_time_tags), n_events)
        marks = np.broadcast_to(np.asarray(patterns), n_events)
        for samples, event_id, time, mark in zip(waveforms, ids, times, marks, strict=True):
            if self._has_header:
                event_B = _HEADER_B + samples.nbytes
                words = (event_B, self._board, int(mark), self._channel, int(event_id), int(time))
                self._file.write(_WORDS.pack(*words))
            self._file.write(samples.data)
        self._n_events += n_events

    def write_raw(self, raw: bytes) -> None:
        """Write any bytes: part of an event, or garbage."""
        self._file.write(raw)

    def flush(self) -> None:
        """Hand all that was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def write_config(folder: Path, sections: ConfigMapping) -> Path:
    """Write WaveDumpConfig.txt.

    Parameters
    ----------
    folder : Path
        Where the data lie.
    sections : mapping of str to mapping
        ``COMMON`` and one per channel; a value that is a list is written once per element.

    Returns
    -------
    Path
        The file.
    """
    lines = ["# written by nualley.testing"]
    for name, keys in sections.items():
        lines.append(f"\n[{name}]")
        for key, value in keys.items():
            lines += [f"{key} {item}" for item in (value if isinstance(value, list | tuple) else [value])]
    path = folder / "WaveDumpConfig.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _as_samples(samples: ArrayLike, kind: "np.dtype[Any]") -> NDArray[Any]:
    array = np.asarray(samples)
    highest = np.iinfo(kind).max
    if array.size and (int(array.min()) < 0 or int(array.max()) > highest):
        raise UsageError(
            f"samples from {array.min()} to {array.max()}, expected 0 to {highest} ADC counts",
            where="WaveDumpWriter.write",
            do="digitise them first, or choose sample_bits=16",
        )
    return np.ascontiguousarray(array, dtype=kind)
