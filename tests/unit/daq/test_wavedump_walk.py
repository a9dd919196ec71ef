"""The walk over headers: damage, its extent, and where the walk goes on."""

import numpy as np
import pytest

from nualley.daq.models import DefectKind
from nualley.daq.wavedump_header import HEADER_B, Family
from nualley.daq.wavedump_walk import Batch, HeaderWalk, find_family

BOARD, CHANNEL = 31, 3
RNG = np.random.default_rng(2)


class Memory:
    """Bytes in memory that count how often and how much of them is read."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.n_read_B = 0

    @property
    def size_B(self) -> int:
        return len(self.raw)

    def read(self, offset_B: int, n_B: int) -> bytes:
        found = self.raw[offset_B : offset_B + n_B]
        self.n_read_B += len(found)
        return found


def event(number: int, n_samples: int = 50, **other: int) -> bytes:
    words = {
        "event_B": HEADER_B + 2 * n_samples,
        "board": BOARD,
        "pattern": 0,
        "channel": CHANNEL,
        "id": number,
        "t": 9,
    }
    samples = RNG.integers(200, 16384, n_samples, dtype=np.uint16)
    return np.array(list((words | other).values()), "<u4").tobytes() + samples.tobytes()


def walk(raw: bytes, *, is_growing: bool = False, max_payload_B: int = 1 << 20) -> list[Batch]:
    source = Memory(raw)
    family = find_family(source, 2)
    assert family is not None
    batches = []
    offset_B = 0
    while offset_B < len(raw):
        batch = HeaderWalk(source, family, is_growing=is_growing).batch(
            offset_B, max_payload_B=max_payload_B, max_events=1000, stop_B=len(raw)
        )
        batches.append(batch)
        offset_B = batch.next_B
        if batch.is_last:
            break
    return batches


def ids(batches: list[Batch]) -> list[int]:
    return [int(number) for batch in batches for number in batch.headers["event_id"]]


def defects(batches: list[Batch]) -> list[tuple[DefectKind, int]]:
    return [(batch.defect.kind, batch.defect.offset_B) for batch in batches if batch.defect]


EVENTS = [event(number) for number in range(20)]
EVENT_B = len(EVENTS[0])


def test_a_good_file_is_one_batch() -> None:
    batches = walk(b"".join(EVENTS))
    assert len(batches) == 1
    assert ids(batches) == list(range(20))
    assert batches[0].next_B == 20 * EVENT_B
    assert batches[0].is_last


def test_samples_are_not_read_where_events_are_large() -> None:
    large = [event(number, 10_000) for number in range(5)]
    source = Memory(b"".join(large))
    family = find_family(source, 2)
    assert family is not None
    batch = HeaderWalk(source, family, is_growing=False).batch(
        0, max_payload_B=1 << 20, max_events=10, stop_B=source.size_B
    )
    assert ids([batch]) == list(range(5))
    assert source.n_read_B < 20 * HEADER_B


@pytest.mark.parametrize("max_payload_B", [1, 100, 101, 250, 1000])
def test_a_batch_keeps_to_its_bound_unless_one_event_alone_is_larger(max_payload_B: int) -> None:
    batches = walk(b"".join(EVENTS), max_payload_B=max_payload_B)
    assert ids(batches) == list(range(20))
    assert max(100 * len(batch.headers) for batch in batches) <= max(100, max_payload_B)


@pytest.mark.parametrize("where", range(1, 19))
@pytest.mark.parametrize(
    "word", [{"event_B": 0xFFFFFFFF}, {"event_B": 130}, {"board": 1}, {"channel": 60}, {"pattern": 1 << 30}]
)
def test_a_damaged_header_costs_one_event(where: int, word: dict[str, int]) -> None:
    raw = b"".join([*EVENTS[:where], event(where, **word), *EVENTS[where + 1 :]])
    batches = walk(raw)
    assert ids(batches) == [number for number in range(20) if number != where]
    assert defects(batches) == [(DefectKind.BAD_HEADER, where * EVENT_B)]
    detail = next(batch.defect.detail for batch in batches if batch.defect)
    assert "124 B skipped as garbage" in detail
    assert f"expected {EVENT_B} B, board {BOARD}, channel {CHANNEL}" in detail


def test_the_first_header_may_be_damaged_too() -> None:
    batches = walk(b"".join([event(0, event_B=5), *EVENTS[1:]]))
    assert ids(batches) == list(range(1, 20))
    assert defects(batches) == [(DefectKind.BAD_HEADER, 0)]


def test_two_damaged_headers_with_a_good_one_between_cost_two_events() -> None:
    raw = b"".join([*EVENTS[:4], event(4, board=9), EVENTS[5], event(6, board=9), *EVENTS[7:]])
    batches = walk(raw)
    assert ids(batches) == [number for number in range(20) if number not in {4, 6}]
    assert defects(batches) == [(DefectKind.BAD_HEADER, 4 * EVENT_B), (DefectKind.BAD_HEADER, 6 * EVENT_B)]


@pytest.mark.parametrize("n_B", [1, 7, 24, 124, 5000])
def test_garbage_between_events_costs_none(n_B: int) -> None:
    raw = b"".join([*EVENTS[:7], b"\xee" * n_B, *EVENTS[7:]])
    batches = walk(raw)
    assert ids(batches) == list(range(20))
    assert defects(batches) == [(DefectKind.BAD_HEADER, 7 * EVENT_B)]
    assert f"{n_B} B skipped as garbage up to the next header at {7 * EVENT_B + n_B} B" in str(batches[0].defect)


@pytest.mark.parametrize("n_B", [4, 24, 400])
def test_garbage_at_the_end_is_garbage(n_B: int) -> None:
    batches = walk(b"".join(EVENTS) + b"\xee" * n_B)
    assert ids(batches) == list(range(20))
    assert defects(batches) == [(DefectKind.GARBAGE, 20 * EVENT_B)]
    assert f"{n_B} B" in str(batches[-1].defect)


def test_a_last_event_of_a_wrong_size_cannot_be_told_from_a_cut_one() -> None:
    batches = walk(b"".join([*EVENTS[:-1], event(19, event_B=130)]))
    assert defects(batches) == [(DefectKind.TRUNCATED_EVENT, 19 * EVENT_B)]
    assert "124 B of an event of 130 B" in str(batches[-1].defect)


def test_a_daq_that_does_not_count_is_followed_past_damage_too() -> None:
    raw = b"".join([event(0)] * 4 + [event(0, board=9)] + [event(0)] * 5)
    assert ids(walk(raw)) == [0] * 9


def test_zeros_behind_the_last_event_are_garbage() -> None:
    # what a file system leaves where the machine died
    batches = walk(b"".join(EVENTS) + bytes(4096))
    assert defects(batches) == [(DefectKind.GARBAGE, 20 * EVENT_B)]


def test_a_damaged_last_header_is_a_bad_header() -> None:
    batches = walk(b"".join([*EVENTS[:-1], event(19, event_B=0xFFFFFFFF)]))
    assert ids(batches) == list(range(19))
    assert defects(batches) == [(DefectKind.BAD_HEADER, 19 * EVENT_B)]
    assert "124 B skipped as garbage up to the end" in str(batches[-1].defect)


@pytest.mark.parametrize("cut_B", [1, 3, 4, 23, 24, 25, 123])
def test_a_cut_event_is_truncated(cut_B: int) -> None:
    raw = b"".join(EVENTS[:3])[: 2 * EVENT_B + cut_B]
    batches = walk(raw)
    assert ids(batches) == [0, 1]
    assert defects(batches) == [(DefectKind.TRUNCATED_EVENT, 2 * EVENT_B)]
    assert f"{cut_B} B of a" in str(batches[-1].defect)
    assert batches[-1].next_B == 2 * EVENT_B


@pytest.mark.parametrize("tail", [b"".join(EVENTS[3:4])[:50], b"\xee" * 100, bytes(200)])
def test_what_stands_at_the_end_of_a_growing_file_is_no_defect(tail: bytes) -> None:
    batches = walk(b"".join(EVENTS[:3]) + tail, is_growing=True)
    assert ids(batches) == [0, 1, 2]
    assert defects(batches) == []
    assert batches[-1].next_B == 3 * EVENT_B


def test_events_of_any_length_are_followed() -> None:
    lengths = [50, 50, 1, 999, 50, 7, 7, 50]
    batches = walk(b"".join(event(number, n) for number, n in enumerate(lengths)))
    assert ids(batches) == list(range(8))
    assert [int(size) for batch in batches for size in batch.headers["event_B"]] == [24 + 2 * n for n in lengths]
    assert defects(batches) == []


def test_a_damaged_header_behind_an_unusual_length_does_not_take_that_event_with_it() -> None:
    raw = b"".join([*EVENTS[:3], event(3, 80), event(4, board=9), *EVENTS[5:]])
    batches = walk(raw)
    assert ids(batches) == [number for number in range(20) if number != 4]
    assert defects(batches) == [(DefectKind.BAD_HEADER, 3 * EVENT_B + 184)]


def test_a_size_that_reaches_over_good_headers_is_wrong() -> None:
    raw = b"".join([*EVENTS[:3], event(3, event_B=24 + 2 * 300), *EVENTS[4:]])
    batches = walk(raw)
    assert ids(batches) == [number for number in range(20) if number != 3]
    assert defects(batches) == [(DefectKind.BAD_HEADER, 3 * EVENT_B)]


def test_a_size_that_reaches_over_the_end_is_wrong_where_headers_follow() -> None:
    raw = b"".join([*EVENTS[:3], event(3, event_B=1 << 20), *EVENTS[4:]])
    assert ids(walk(raw)) == [number for number in range(20) if number != 3]


def test_zero_suppressed_samples_are_not_taken_for_headers() -> None:
    # board 0, channel 0 and a lone sample whose value is the size of an event: three words of a header
    def suppressed(number: int, board: int) -> bytes:
        samples = np.zeros(500, "<u2")
        samples[100] = HEADER_B + 1000
        return np.array([HEADER_B + 1000, board, 0, 0, number, 9], "<u4").tobytes() + samples.tobytes()

    raw = b"".join(suppressed(number, board=20 if number == 2 else 0) for number in range(5))
    batches = walk(raw)
    assert ids(batches) == [0, 1, 3, 4]
    assert "1024 B skipped" in str(batches[0].defect)


def test_no_family_is_found_in_noise_zeros_and_tables_of_small_numbers() -> None:
    still = np.tile(np.array([48, 0, 0, 0, 0, 0], "<u4"), 500)
    rising = still.copy()
    rising[4:40:6] = range(6)  # a few rows whose fifth number rises, as in the tables of a program
    for raw in (bytes(5000), RNG.bytes(5000), b"\x01" + still.tobytes(), b"\x01" + rising.tobytes()):
        assert find_family(Memory(raw), 2) is None


def test_the_family_is_that_of_the_first_header_even_alone() -> None:
    assert find_family(Memory(EVENTS[0]), 2) == Family(BOARD, CHANNEL, EVENT_B, 2)
    assert find_family(Memory(EVENTS[0][:60]), 2) == Family(BOARD, CHANNEL, EVENT_B, 2)
    assert find_family(Memory(EVENTS[0][:20]), 2) is None
