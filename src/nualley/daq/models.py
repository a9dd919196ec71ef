"""Values of raw data: chunks of hits with their samples, defects, and what a file holds in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy and pyarrow are heavy, and names of formats are wanted by commands that read no file
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Settings = Mapping[str, Any]
"""What a file, or a text beside it, says of the DAQ's configuration: JSON-able, keys as the DAQ writes them."""


class DefectKind(StrEnum):
    """What is wrong with a piece of a raw file."""

    TRUNCATED_EVENT = "truncated-event"
    BAD_HEADER = "bad-header"
    GARBAGE = "garbage"
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown-format"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong inside a raw file.

    Parameters
    ----------
    kind : DefectKind
        What it is.
    offset_B : int
        Where it begins [B from the start of the file], >= 0; 0 where it concerns the file as a whole.
    detail : str
        The value found and the value expected.
    """

    kind: DefectKind
    offset_B: int
    detail: str

    def to_json(self) -> dict[str, str | int]:
        """Return it as commands print it and the catalog keeps it."""
        return {"kind": self.kind.value, "offset_B": self.offset_B, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some whole events in a row: a table of hits and the samples of all of them.

    Parameters
    ----------
    hits : pyarrow.Table
        One row per waveform, columns as in `nualley.daq.hits`: event, event_id, board, channel, t_raw, t_ns,
        flags, wf_offset, n_samples.
    samples : ndarray of uint8, uint16 or int16, shape (n_sample,)
        ADC values of all hits one after another; empty where the reader was asked for hits alone.
    start_offset, stop_offset : int
        What `Reader.iter_chunks` would begin with to read this chunk again, and to go on behind it. Opaque: bytes
        in one format, events in another.
    """

    hits: pa.Table
    samples: NDArray[np.integer[Any]]
    start_offset: int
    stop_offset: int

    def waveform(self, row: int) -> NDArray[np.integer[Any]]:
        """Return the samples of one hit, a view [ADC counts]."""
        start = self.hits["wf_offset"][row].as_py()
        return self.samples[start : start + self.hits["n_samples"][row].as_py()]


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What a raw file holds.

    Parameters
    ----------
    format : str
        Name of the format; ``unknown`` where no reader knows it.
    n_events : int
        Whole events.
    channels : tuple of int
        Channels that occur, ascending.
    record_length : int or None
        Samples per waveform; None where it varies or there is none.
    defects : tuple of Defect
        In the order of the file.
    settings : mapping
        What the file says of the DAQ's configuration.
    """

    format: str
    n_events: int
    channels: tuple[int, ...]
    record_length: int | None
    defects: tuple[Defect, ...]
    settings: Settings = field(default_factory=dict)
