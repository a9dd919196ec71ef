"""WaveDump files of samples alone."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nualley.daq.adapters.wavedump_reader import WaveDumpReader, sample_type
from nualley.daq.errors import MissingSettingError
from nualley.daq.hits import HIT_B, hits_table
from nualley.daq.models import Chunk, Defect, DefectKind
from nualley.daq.ports import RandomAccess
from nualley.daq.raw_file import RawFile
from nualley.daq.settings import DaqSettings
from nualley.daq.wavedump_config import CONFIG_NAME, find_integer

_CHANNEL_IN_NAME = re.compile(r"wave_?(\d{1,4})(?=\D|$)")


class PlainReader(WaveDumpReader):
    """A file of samples alone: all it lacks comes from the settings.

    Parameters
    ----------
    path : Path
        The file.
    settings : DaqSettings
        ``record_length`` must be there; the channel may come from the file's name.
    config : dict
        WaveDumpConfig.txt beside it.
    is_growing : bool
        Whether WaveDump still writes.

    Raises
    ------
    MissingSettingError
        Where there is no ``record_length``.
    """

    def __init__(self, path: Path, settings: DaqSettings, config: dict[str, Any], *, is_growing: bool) -> None:
        super().__init__(path, config, is_growing=is_growing)
        if settings.record_length is None:
            said = find_integer(config, "RECORD_LENGTH")
            hint = f" ({CONFIG_NAME} says {said}, files are known to differ)" if said else ""
            raise MissingSettingError(
                "daq.record_length is not set, expected the samples per waveform: the file has no headers",
                where=str(path),
                do=f"set record_length in the detector's [daq] table{hint}",
            )
        self._record_length = settings.record_length
        self._sample_B = (settings.sample_bits or 16) // 8
        self._event_B = self._record_length * self._sample_B
        named = _CHANNEL_IN_NAME.search(path.name)
        self._channel = settings.channel if settings.channel is not None else int(named[1]) if named else None

    @property
    def header(self) -> Mapping[str, Any]:
        """What the settings say: the file says nothing."""
        return {"channel": self._channel, "event_B": self._event_B, "sample_bits": 8 * self._sample_B}

    @property
    def channels(self) -> tuple[int, ...]:
        """The one channel, where it is known."""
        return () if self._channel is None else (self._channel,)

    @property
    def record_length(self) -> int | None:
        """Samples per waveform."""
        return self._record_length

    @property
    def n_events(self) -> int:
        """Whole events."""
        with RawFile(self._path) as file:
            return file.size_B // self._event_B

    def iter_chunks(self, max_bytes: int, start_offset: int = 0, *, samples: bool = True) -> Iterator[Chunk]:
        """Read the file from ``start_offset`` [B] on; see `nualley.daq.Reader`.

        Parameters
        ----------
        max_bytes : int
            Bound of a chunk's samples, and of its hits [B].
        start_offset : int
            0 or a resume offset [B].
        samples : bool
            Whether samples are wanted.

        Yields
        ------
        Chunk
            Whole events.
        """
        with RawFile(self._path) as file:
            self.check_start(start_offset, file.size_B)
            if self.is_empty(file.size_B):
                return
            index, rest_B = divmod(start_offset, self._event_B)
            if rest_B:
                raise self.not_a_boundary(start_offset)
            self.hand_out(start_offset, index)
            n_all = file.size_B // self._event_B
            step = max(1, min(max_bytes // self._event_B, max_bytes // HIT_B))
            self._look_at_end(file.size_B)
            while index < n_all:
                n_events = min(step, n_all - index)
                self.hand_out((index + n_events) * self._event_B, index + n_events)
                yield self._chunk(file, index, n_events, with_samples=samples)
                index += n_events

    def _chunk(self, file: RandomAccess, index: int, n_events: int, *, with_samples: bool) -> Chunk:
        start_B, stop_B = index * self._event_B, (index + n_events) * self._event_B
        kind = sample_type(self._sample_B)
        found = np.frombuffer(file.read(start_B, stop_B - start_B) if with_samples else b"", kind)
        return Chunk(self._hits(index, n_events), found, start_B, stop_B)

    def _hits(self, index: int, n_events: int) -> pa.Table:
        return hits_table(
            np.full(n_events, self._record_length),
            event=np.arange(index, index + n_events),
            channel=None if self._channel is None else np.full(n_events, self._channel),
            flags=np.zeros(n_events, np.uint32),
        )

    def _look_at_end(self, size_B: int) -> None:
        rest_B = size_B % self._event_B
        if rest_B and not self._is_growing:
            detail = f"the file ends after {rest_B} B of an event of {self._event_B} B"
            self.log.add(Defect(DefectKind.TRUNCATED_EVENT, size_B - rest_B, detail))
