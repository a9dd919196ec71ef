"""The header of WaveDump, and how it is told from samples."""

import numpy as np
import pytest

from nualley.daq.wavedump_header import HEADER, HEADER_B, MAX_EVENT_B, Family, Header, header_places

GOOD = Header(20024, 31, 0x60000, 3, 7, 5918357)
FAMILY = Family(board=31, channel=3, event_B=20024, sample_B=2)


def pack(header: Header) -> bytes:
    return np.array(header, dtype="<u4").tobytes()


def test_a_header_is_parsed_little_endian() -> None:
    raw = bytes.fromhex("384e0000 1f000000 00000000 03000000 00000000 954e5a00")  # the first of the real HPGe file
    assert Header.parse(raw) == Header(20024, 31, 0, 3, 0, 5918357)
    assert HEADER.itemsize == HEADER_B == 24


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_B", HEADER_B),
        ("event_B", MAX_EVENT_B + 2),
        ("event_B", 20025),
        ("board", 32),
        ("pattern", 1 << 24),
        ("channel", 64),
        ("event_id", 1 << 24),
    ],
)
def test_a_value_that_no_digitizer_writes_is_not_plausible(field: str, value: int) -> None:
    assert GOOD.is_plausible(sample_B=2)
    assert not GOOD._replace(**{field: value}).is_plausible(sample_B=2)


def test_an_odd_size_is_plausible_with_samples_of_one_byte() -> None:
    assert GOOD._replace(event_B=20025).is_plausible(sample_B=1)


def test_a_family_has_any_size_but_one_board_and_channel() -> None:
    assert FAMILY.has(GOOD._replace(event_B=26))
    assert not FAMILY.has(GOOD._replace(board=30))
    assert not FAMILY.has(GOOD._replace(channel=2))
    assert FAMILY.record_length == 10000


@pytest.mark.parametrize("n_B", range(HEADER_B))
def test_every_beginning_of_a_header_may_begin_one(n_B: int) -> None:
    assert FAMILY.may_begin(pack(GOOD)[:n_B])


def test_a_few_bytes_of_something_else_begin_no_header() -> None:
    assert not FAMILY.may_begin(b"\xff" * 4)
    assert not FAMILY.may_begin(pack(GOOD._replace(channel=2))[:16])


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [(2, "event_B", 100), (0, "board", 1), (3, "channel", 9), (1, "pattern", 1 << 24), (2, "event_id", 1 << 24)],
)
def test_leading_headers_end_at_the_first_that_differs(place: int, field: str, value: int) -> None:
    headers = np.array([tuple(GOOD)] * 4, dtype=HEADER)
    assert FAMILY.n_leading(headers) == 4
    headers[place][field] = value
    assert FAMILY.n_leading(headers) == place


@pytest.mark.parametrize("place", [0, 1, 2, 3, 101])
def test_headers_are_found_at_any_byte(place: int) -> None:
    block = b"\xaa" * place + pack(GOOD) + b"\xaa" * 50
    assert header_places(block, 2) == [place]
    assert header_places(block, 2, FAMILY) == [place]
    assert header_places(block, 2, Family(0, 0, 20024, 2)) == []


def test_nothing_is_found_in_zeros_nor_in_less_than_a_header() -> None:
    assert header_places(bytes(1000), 2, Family(0, 0, 124, 2)) == []
    assert header_places(pack(GOOD)[:23], 2) == []


def test_the_description_says_found_and_expected() -> None:
    text = FAMILY.describe(GOOD._replace(event_B=5, channel=9))
    assert "5 B, board 31, pattern 0x60000, channel 9" in text
    assert "expected 20024 B, board 31, channel 3" in text
