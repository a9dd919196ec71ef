"""The walk from header to header through a WaveDump file, and how it finds its way again behind damage.

No decision depends on how the reader came to a place, so that reading in pieces equals reading in one go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nualley.daq.models import Defect, DefectKind
from nualley.daq.ports import RandomAccess
from nualley.daq.wavedump_header import HEADER, HEADER_B, Family, Header, header_places

_BLOCK_B = 1 << 22
_FIRST_BLOCK_B = 1 << 16
# Below this size of event, reading whole blocks and picking the headers out is faster than one call per header.
_SMALL_EVENT_B = 1 << 13
# How far the first header is searched for in a file that does not begin with one.
_SEARCH_B = 1 << 26
_N_CERTAIN = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Headers of events that lie one directly behind the other.

    Parameters
    ----------
    start_B : int
        Where the first of them begins [B].
    headers : ndarray of HEADER, shape (n_event,)
        Possibly none.
    next_B : int
        Where to go on [B]: behind the last event and behind what was skipped.
    defect : Defect or None
        What stopped the batch.
    is_last : bool
        Whether nothing more can be read by now.
    """

    start_B: int
    headers: NDArray[np.void]
    next_B: int
    defect: Defect | None = None
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why no event can be read at a place: a defect, and where to go on (None: nowhere)."""

    defect: Defect | None
    next_B: int | None


def find_family(source: RandomAccess, sample_B: int) -> Family | None:
    """Return what the headers of a file have in common.

    Parameters
    ----------
    source : RandomAccess
        The file.
    sample_B : int
        Bytes per sample.

    Returns
    -------
    Family or None
        None where no header is found, or not yet.

    Notes
    -----
    The first header counts if another of its family follows it, or the end of the file. Else the first place counts
    from which eight headers follow each other, or two lead to the end. Last, the first header alone: the file cuts its
    event, or is damaged all over.
    """
    first = _family_at(source, 0, sample_B)
    if first and _is_place(source, first, first.event_B):
        return first
    for place_B in _places(source, 1, min(source.size_B, _SEARCH_B), sample_B):
        family = _family_at(source, place_B, sample_B)
        if family and _leads_on(source, family, place_B):
            return family
    return first


def count_consistent(source: RandomAccess, family: Family, limit: int) -> int:
    """Return how many headers of a family follow each other from the start of a file, at most ``limit``."""
    offset_B = 0
    for count in range(limit):
        raw = source.read(offset_B, HEADER_B)
        if len(raw) < HEADER_B or not family.has(header := Header.parse(raw)):
            return count
        offset_B += header.event_B
    return limit


class HeaderWalk:
    """A walk through one file.

    Parameters
    ----------
    source : RandomAccess
        The file.
    family : Family
        What its headers have in common.
    is_growing : bool
        Whether the DAQ still writes: what stands at the end is then no defect.
    """

    def __init__(self, source: RandomAccess, family: Family, *, is_growing: bool) -> None:
        self._source = source
        self._family = family
        self._is_growing = is_growing

    def batch(self, start_B: int, *, max_payload_B: int, max_events: int, stop_B: int) -> Batch:
        """Return the next events.

        Parameters
        ----------
        start_B : int
            Where an event is expected [B].
        max_payload_B : int
            Samples of the batch take at most so much [B], unless one event alone takes more.
        max_events : int
            At most so many events, >= 1.
        stop_B : int
            No event is begun at or behind this place [B].

        Returns
        -------
        Batch
            May be empty where it only skips.
        """
        pieces: list[NDArray[np.void]] = []
        offset_B, room_B, n_left, stride = start_B, max_payload_B, max_events, 1
        stop: _Stop | None = None
        while offset_B < stop_B and n_left > 0:
            piece = self._usual(
                offset_B, min(self._n_usual(offset_B, room_B, stop_B, is_first=not pieces), n_left, stride)
            )
            stride *= 8
            if not len(piece):
                stride = 1
                looked = self._look(offset_B)
                if isinstance(looked, _Stop):
                    stop = looked
                    break
                piece = looked
            payload_B = int(piece["event_B"].sum(dtype=np.int64)) - HEADER_B * len(piece)
            if pieces and payload_B > room_B:
                break
            pieces.append(piece)
            offset_B += payload_B + HEADER_B * len(piece)
            room_B -= payload_B
            n_left -= len(piece)
        headers = np.concatenate(pieces) if pieces else np.empty(0, HEADER)
        if stop is None:
            return Batch(start_B, headers, offset_B, is_last=offset_B >= self._source.size_B)
        next_B = offset_B if stop.next_B is None else stop.next_B
        return Batch(start_B, headers, next_B, stop.defect, is_last=stop.next_B is None)

    def _n_usual(self, offset_B: int, room_B: int, stop_B: int, *, is_first: bool) -> int:
        """How many events of the usual size fit into what is asked for and into the file."""
        in_room = max(room_B // (self._family.event_B - HEADER_B), int(is_first))
        in_file = (self._source.size_B - offset_B) // self._family.event_B
        before_stop = -((offset_B - stop_B) // self._family.event_B)
        return int(min(in_room, in_file, before_stop))

    def _usual(self, offset_B: int, n_events: int) -> NDArray[np.void]:
        """Return headers of up to ``n_events`` events of the usual size, as far as they are what they should be."""
        event_B = self._family.event_B
        if n_events <= 0:
            return np.empty(0, HEADER)
        if event_B <= _SMALL_EVENT_B:
            n_events = min(n_events, max(1, _BLOCK_B // event_B))
            block = np.frombuffer(self._source.read(offset_B, n_events * event_B), np.uint8).reshape(-1, event_B)
            headers = np.ascontiguousarray(block[:, :HEADER_B]).view(HEADER).reshape(-1)
        else:
            read = self._source.read
            stop_B = offset_B + n_events * event_B
            headers = np.frombuffer(b"".join([read(at, HEADER_B) for at in range(offset_B, stop_B, event_B)]), HEADER)
        return headers[: self._family.n_leading(headers)]

    def _look(self, offset_B: int) -> NDArray[np.void] | _Stop:
        """Decide what stands where no whole event of the usual size does."""
        raw = self._source.read(offset_B, HEADER_B)
        if len(raw) < HEADER_B:
            return self._end(offset_B, raw)
        header = Header.parse(raw)
        if not self._family.has(header):
            return self._resynchronise(offset_B, header)
        end_B = offset_B + header.event_B
        if end_B <= self._source.size_B and _is_place(self._source, self._family, end_B):
            return np.frombuffer(raw, HEADER)
        # Is its size wrong, or is what follows damaged or cut? A good header inside the event it claims tells.
        if header.event_B != self._family.event_B:
            inside_B = self._next_place(offset_B + HEADER_B, min(end_B, self._source.size_B))
            if inside_B is not None:
                return _Stop(self._bad_header(offset_B, header, inside_B), inside_B)
        return np.frombuffer(raw, HEADER) if end_B <= self._source.size_B else self._end(offset_B, raw)

    def _resynchronise(self, offset_B: int, header: Header) -> _Stop:
        next_B = self._next_place(offset_B + 1, self._source.size_B)
        if next_B is not None:
            return _Stop(self._bad_header(offset_B, header, next_B), next_B)
        if self._is_growing:
            return _Stop(None, None)
        rest_B = self._source.size_B - offset_B
        if rest_B == self._family.event_B or self._family.n_matching(header) >= 2:
            return _Stop(self._bad_header(offset_B, header, None), None)
        detail = f"{rest_B} B up to the end hold no event: {self._family.describe(header)}"
        return _Stop(Defect(DefectKind.GARBAGE, offset_B, detail), None)

    def _bad_header(self, offset_B: int, header: Header, next_B: int | None) -> Defect:
        if next_B is None:
            skipped = f"{self._source.size_B - offset_B} B skipped as garbage up to the end of the file"
        else:
            skipped = f"{next_B - offset_B} B skipped as garbage up to the next header at {next_B} B"
        return Defect(DefectKind.BAD_HEADER, offset_B, f"{self._family.describe(header)}; {skipped}")

    def _end(self, offset_B: int, raw: bytes) -> _Stop:
        if self._is_growing:
            return _Stop(None, None)
        rest_B = self._source.size_B - offset_B
        if len(raw) == HEADER_B:
            detail = f"the file ends after {rest_B} B of an event of {Header.parse(raw).event_B} B"
            return _Stop(Defect(DefectKind.TRUNCATED_EVENT, offset_B, detail), None)
        if self._family.may_begin(raw):
            detail = f"the file ends after {rest_B} B of a header of {HEADER_B} B"
            return _Stop(Defect(DefectKind.TRUNCATED_EVENT, offset_B, detail), None)
        detail = f"{rest_B} B at the end begin no header: {raw.hex(' ')}, expected {self._family.event_B} B, "
        return _Stop(Defect(DefectKind.GARBAGE, offset_B, f"{detail}board {self._family.board}"), None)

    def _next_place(self, start_B: int, stop_B: int) -> int | None:
        """Return the first place that holds a header of the family from which the walk goes on."""
        first_B = self._first_place(start_B, stop_B, must_rise=False)
        if first_B is None or self._leads_on(first_B, must_rise=True):
            return first_B
        # Suppressed zeros around a lone sample can look like a header, but not with a counter that rises. Yet a place
        # near the end, or written by a DAQ that does not count, has nothing better.
        better_B = self._first_place(first_B + 1, min(stop_B, first_B + 4 * self._family.event_B), must_rise=True)
        return first_B if better_B is None else better_B

    def _first_place(self, start_B: int, stop_B: int, *, must_rise: bool) -> int | None:
        for place_B in _places(self._source, start_B, stop_B, self._family.sample_B, self._family):
            if self._leads_on(place_B, must_rise=must_rise):
                return place_B
        return None

    def _leads_on(self, place_B: int, *, must_rise: bool) -> bool:
        """Whether from the header at a place one comes to another (with a higher counter), or to the end."""
        header = Header.parse(self._source.read(place_B, HEADER_B))
        reached_B = [place_B + header.event_B]
        if header.event_B == self._family.event_B:
            # two damaged headers with a good one between: from that, the usual stride leads past the second
            reached_B.append(place_B + 2 * header.event_B)
        if not must_rise:
            return any(_is_place(self._source, self._family, next_B) for next_B in reached_B)
        for next_B in reached_B:
            raw = self._source.read(next_B, HEADER_B)
            if (
                len(raw) == HEADER_B
                and self._family.has(found := Header.parse(raw))
                and found.event_id > header.event_id
            ):
                return True
        return False


def _family_at(source: RandomAccess, place_B: int, sample_B: int) -> Family | None:
    raw = source.read(place_B, HEADER_B)
    if len(raw) < HEADER_B:
        return None
    header = Header.parse(raw)
    if not header.is_plausible(sample_B):
        return None
    return Family(header.board, header.channel, header.event_B, sample_B)


def _is_place(source: RandomAccess, family: Family, place_B: int) -> bool:
    """Whether an event of the family may begin here: a header, the beginning of one, or the end of the file."""
    if place_B > source.size_B:
        return False
    raw = source.read(place_B, HEADER_B)
    return family.has(Header.parse(raw)) if len(raw) == HEADER_B else family.may_begin(raw)


def _leads_on(source: RandomAccess, family: Family, place_B: int) -> bool:
    """Whether eight headers with rising counters follow each other, or two that lead exactly to the end.

    So many, because tables in files of other formats (programs, HDF5) look like a few headers with small numbers.
    """
    last_id = -1
    for n_headers in range(_N_CERTAIN):
        raw = source.read(place_B, HEADER_B)
        if len(raw) < HEADER_B:
            return n_headers >= 2 and place_B == source.size_B
        header = Header.parse(raw)
        if not family.has(header) or header.event_id <= last_id:
            return False
        last_id = header.event_id
        place_B += header.event_B
    return True


def _places(
    source: RandomAccess, start_B: int, stop_B: int, sample_B: int, family: Family | None = None
) -> Iterator[int]:
    """Yield where headers may begin in ``[start_B, stop_B)``; the next one is mostly near, so blocks begin small."""
    block_B = _FIRST_BLOCK_B
    while start_B < stop_B:
        n_B = min(block_B, stop_B - start_B)
        for place in header_places(source.read(start_B, n_B + HEADER_B - 1), sample_B, family):
            yield start_B + place
        start_B += n_B
        block_B = min(2 * block_B, _BLOCK_B)
