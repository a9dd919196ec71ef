"""WaveDump files in which a header stands before each waveform."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nualley.daq.adapters.wavedump_reader import WaveDumpReader, sample_type
from nualley.daq.hits import HIT_B, hits_table
from nualley.daq.models import Chunk, Defect, DefectKind
from nualley.daq.ports import RandomAccess
from nualley.daq.raw_file import RawFile
from nualley.daq.settings import DaqSettings
from nualley.daq.wavedump_config import find_integer
from nualley.daq.wavedump_header import HEADER_B, Family, may_begin_header
from nualley.daq.wavedump_walk import Batch, HeaderWalk, find_family

_COUNT_B = 1 << 24


class HeadedReader(WaveDumpReader):
    """A file in which a header stands before each waveform.

    Parameters
    ----------
    path : Path
        The file.
    settings : DaqSettings
        Bits per sample; the rest comes from the headers.
    config : dict
        WaveDumpConfig.txt beside it.
    is_growing : bool
        Whether WaveDump still writes.
    """

    def __init__(self, path: Path, settings: DaqSettings, config: dict[str, Any], *, is_growing: bool) -> None:
        super().__init__(path, config, is_growing=is_growing)
        self._daq = settings
        self._family: Family | None = None
        self._counted: tuple[int, int, int | None] | None = None
        with RawFile(path) as file:
            self._learn(file)

    @property
    def header(self) -> Mapping[str, Any]:
        """Board, channel, usual size of an event and bits per sample; empty where no header is found."""
        family = self._family
        if family is None:
            return {}
        found: dict[str, Any] = {
            "board": family.board,
            "channel": family.channel,
            "event_B": family.event_B,
            "sample_bits": 8 * family.sample_B,
        }
        expected = self._daq.record_length or find_integer(self._config, "RECORD_LENGTH")
        if expected and family.sample_B == 2 and _stored_B(family, expected) == 1:
            found["note"] = (
                f"events hold {family.event_B - HEADER_B} B for a record length of {expected}: 8 bits a sample?"
            )
        return found

    @property
    def channels(self) -> tuple[int, ...]:
        """The one channel, whatever the file's name says."""
        return (self._family.channel,) if self._family else ()

    @property
    def record_length(self) -> int | None:
        """Samples per waveform; None where it varies."""
        return self._count()[2]

    @property
    def n_events(self) -> int:
        """Whole events; walks over all headers once."""
        return self._count()[1]

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
            family = None if self.is_empty(file.size_B) else self._learn(file)
            if family is None:
                return
            index = self._events_before(file, family, start_offset)
            self.hand_out(start_offset, index)
            for batch in self._batches(file, family, start_offset, max_bytes=max_bytes):
                self.log.add(batch.defect)
                n_events = len(batch.headers)
                self.hand_out(batch.next_B, index + n_events)
                if n_events:
                    yield self._chunk(file, family, batch, index=index, with_samples=samples)
                index += n_events

    def _batches(
        self, file: RandomAccess, family: Family, start_B: int, *, max_bytes: int, stop_B: int | None = None
    ) -> Iterator[Batch]:
        walk = HeaderWalk(file, family, is_growing=self._is_growing)
        stop_B = file.size_B if stop_B is None else stop_B
        max_events = max(1, max_bytes // HIT_B)
        while start_B < stop_B:
            batch = walk.batch(start_B, max_payload_B=max_bytes, max_events=max_events, stop_B=stop_B)
            yield batch
            start_B = batch.next_B
            if batch.is_last:
                return

    def _chunk(self, file: RandomAccess, family: Family, batch: Batch, *, index: int, with_samples: bool) -> Chunk:
        headers = batch.headers
        payload_B = headers["event_B"].astype(np.int64) - HEADER_B
        hits = hits_table(
            payload_B // family.sample_B,
            event=np.arange(index, index + len(headers)),
            event_id=headers["event_id"],
            board=headers["board"],
            channel=headers["channel"],
            t_raw=headers["t_raw"],
            flags=headers["pattern"],
        )
        kind = sample_type(family.sample_B)
        found = _samples(file, batch.start_B, payload_B, kind) if with_samples else np.empty(0, kind)
        return Chunk(hits, found, batch.start_B, batch.next_B)

    def _events_before(self, file: RandomAccess, family: Family, start_B: int) -> int:
        """Return the index of the event at ``start_B``: known from last time, else all headers before are walked."""
        if start_B == self._resume_offset:
            return self._index_at_resume
        index, offset_B = 0, 0
        for batch in self._batches(file, family, 0, max_bytes=_COUNT_B, stop_B=start_B):
            index += len(batch.headers)
            offset_B = batch.next_B
        if offset_B != start_B:
            raise self.not_a_boundary(start_B)
        return index

    def _learn(self, file: RandomAccess) -> Family | None:
        """Find out what the headers have in common, as soon as there is one; None before."""
        if self._family is None:
            self._family = self._find_family(file)
            if self._family is None and file.size_B and not self._is_growing:
                self.log.add(self._no_family(file))
        return self._family

    def _no_family(self, file: RandomAccess) -> Defect:
        raw = file.read(0, HEADER_B)
        if len(raw) < HEADER_B and may_begin_header(raw, (self._daq.sample_bits or 8) // 8):
            detail = f"the file ends after {len(raw)} B of a header of {HEADER_B} B"
            return Defect(DefectKind.TRUNCATED_EVENT, 0, detail)
        bits = f" of {self._daq.sample_bits}-bit samples" if self._daq.sample_bits else ""
        detail = f"no wavedump header{bits} found, the file begins with {raw.hex(' ')}"
        return Defect(DefectKind.UNKNOWN_FORMAT, 0, detail)

    def _find_family(self, file: RandomAccess) -> Family | None:
        if self._daq.sample_bits:
            return find_family(file, self._daq.sample_bits // 8)
        family = find_family(file, 1)
        if family is None:
            return None
        expected = self._daq.record_length or find_integer(self._config, "RECORD_LENGTH")
        sample_B = _stored_B(family, expected)
        return Family(family.board, family.channel, family.event_B, sample_B)

    def _count(self) -> tuple[int, int, int | None]:
        """Return size of the file when it was counted [B], events, and their length where it is one."""
        with RawFile(self._path) as file:
            if self._counted is None or self._counted[0] != file.size_B:
                self._counted = self._count_anew(file)
        return self._counted

    def _count_anew(self, file: RandomAccess) -> tuple[int, int, int | None]:
        n_events = 0
        sizes: set[int] = set()
        family = self._learn(file) if file.size_B else None
        if family is not None:
            for batch in self._batches(file, family, 0, max_bytes=_COUNT_B):
                self.log.add(batch.defect)
                n_events += len(batch.headers)
                if len(sizes) < 2:
                    sizes.update(np.unique(batch.headers["event_B"]).tolist())
        one = (sizes.pop() - HEADER_B) // family.sample_B if family and len(sizes) == 1 else None
        return file.size_B, n_events, one


def _samples(
    file: RandomAccess, start_B: int, payload_B: NDArray[np.int64], kind: "np.dtype[np.unsignedinteger[Any]]"
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the samples of events that lie one behind the other, without the headers between."""
    raw = np.frombuffer(file.read(start_B, int(payload_B.sum()) + HEADER_B * len(payload_B)), np.uint8)
    if (payload_B == payload_B[0]).all():
        rows = raw.reshape(len(payload_B), -1)[:, HEADER_B:]
        return np.ascontiguousarray(rows).reshape(-1).view(kind)
    stops_B = np.cumsum(payload_B + HEADER_B)
    pieces = [raw[stop_B - n_B : stop_B] for stop_B, n_B in zip(stops_B.tolist(), payload_B.tolist(), strict=True)]
    return np.concatenate(pieces).view(kind)


def _stored_B(family: Family, record_length: int | None) -> int:
    """Return the bytes per sample that an event's size implies: 1 or 2."""
    payload_B = family.event_B - HEADER_B
    # the files are known to hold somewhat more or fewer samples than the configuration asked for
    return 1 if payload_B % 2 or (record_length and payload_B < 1.5 * record_length) else 2
