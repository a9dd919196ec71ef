"""What each detector does, and where it is drawn."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from nualley.archive import PvState
from nualley.core import SECOND_NS
from nualley.experiment import Detector
from nualley.web.alley import alley_part
from nualley.web.models import DetectorRow, DetectorState
from nualley.web.observations import RunsSeen
from nualley.web.picture import SYMBOLS, narrow_picture, wide_picture
from tests.unit.web.fakes import LIVE, NOW_NS, RUN, STATE, detector, last_value, run_of


def row_of(found: Detector, *values: Any, runs: RunsSeen | None = None) -> DetectorRow:
    part = alley_part({found.id: found}, {value.pv: value for value in values}, runs, NOW_NS)
    return part.rows[0]


def test_a_detector_that_takes_data() -> None:
    began_ns = NOW_NS - 240 * SECOND_NS
    row = row_of(
        detector(), last_value(STATE, "Running"), last_value(RUN, 124, time_ns=began_ns), last_value(LIVE, 0.97)
    )
    assert (row.state, row.run, row.since_ns, row.live_fraction) == (DetectorState.TAKING, "124", began_ns, 0.97)
    assert (row.mass_kg, row.distance_m, row.material) == (24.4, 27.5, "LAr")


@pytest.mark.parametrize(
    ("word", "state"),
    [("Paused", DetectorState.PAUSED), ("Stopped", DetectorState.STOPPED), ("running", DetectorState.STOPPED)],
)
def test_other_words_of_the_state_pv(word: str, state: DetectorState) -> None:
    row = row_of(detector(), last_value(STATE, word), last_value(RUN, 124))
    assert (row.state, row.since_ns) == (state, NOW_NS - 10 * SECOND_NS)
    assert row.run == ("124" if state is DetectorState.PAUSED else "")


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        (PvState.STALE, DetectorState.STALE),
        (PvState.DISCONNECTED, DetectorState.DISCONNECTED),
        (PvState.NEVER_CONNECTED, DetectorState.NOT_ARCHIVED),
    ],
)
def test_a_daq_that_is_not_heard_does_not_take_data(lost: PvState, state: DetectorState) -> None:
    row = row_of(detector(), last_value(STATE, "Running", state=lost), last_value(RUN, 124), last_value(LIVE, 0.97))
    assert (row.state, row.run, row.live_fraction) == (state, "", None)
    assert row.since_ns == NOW_NS - SECOND_NS  # when it was last heard


@pytest.mark.parametrize("state", [PvState.PAUSED, PvState.REMOVED, PvState.IMPORTED, PvState.QUARANTINED])
def test_a_daq_that_is_not_listened_to_is_not_said_to_take_data(state: PvState) -> None:
    row = row_of(detector(), last_value(STATE, "Running", state=state))
    assert (row.state, row.detail, row.since_ns) == (DetectorState.UNCLEAR, f"{STATE} {state}", None)


def test_a_state_that_is_invalid_is_no_state() -> None:
    assert row_of(detector(), last_value(STATE, "Running", severity=3)).state is DetectorState.UNCLEAR


def test_a_daq_without_a_state_pv_does_not_tell_its_state() -> None:
    found = detector(daq={"format": "wavedump", "pvs": {"run": RUN}})
    row = row_of(found, last_value(RUN, 124))
    assert (row.state, row.run) == (DetectorState.UNCLEAR, "124")


def test_what_was_never_heard_and_what_has_no_daq() -> None:
    assert row_of(detector()).state is DetectorState.NOT_ARCHIVED
    assert row_of(detector(daq={"format": "wavedump"})).state is DetectorState.NO_PVS
    assert row_of(detector(daq=None)).state is DetectorState.NO_DAQ


def test_a_retired_detector_is_described_as_it_was_last() -> None:
    found = detector(
        operated=[{"from": "2015-01-01", "to": "2020-01-01"}],
        distance=[{"value": "19.3 m", "to": "2020-01-01"}],
    )
    row = row_of(found, last_value(STATE, "Running"))
    assert (row.state, row.distance_m, row.detail) == (DetectorState.RETIRED, 19.3, "2015-01-01 to 2019-12-31")
    assert not row.is_told


def test_a_detector_that_is_still_to_come() -> None:
    row = row_of(detector(operated=[{"from": "2027-03-01"}]))
    assert (row.state, row.detail) == (DetectorState.PLANNED, "from 2027-03-01")


def test_a_detector_between_two_periods_is_not_retired() -> None:
    found = detector(operated=[{"from": "2015-01-01", "to": "2020-01-01"}, {"from": "2027-01-01"}])
    assert row_of(found, last_value(STATE, "Running")).state is DetectorState.TAKING


def test_rate_is_that_of_the_last_counted_run() -> None:
    run = run_of(7, duration_s=100)
    runs = RunsSeen((run,), {}, 1, {"cenns-10": run}, {run.run_id: 4190})
    row = row_of(detector(), runs=runs)
    assert (row.rate_Hz, row.rate_run_id) == (pytest.approx(41.9), "cenns-10-7")


def test_unknown_distances_stand_apart_and_the_others_by_distance() -> None:
    found = {
        "far": detector("far", distance="28 m"),
        "nowhere": detector("nowhere", distance="unknown"),
        "near": detector("near", distance="19 m"),
    }
    part = alley_part(found, {STATE: last_value(STATE, "Running")}, None, NOW_NS)
    assert [row.id for row in part.placed] == ["near", "far"]
    assert [row.id for row in part.unplaced] == ["nowhere"]
    assert part.n_taking == 3


# ---------------------------------------------------------------- the picture
def rows_at(*distances_m: float) -> list[DetectorRow]:
    return [
        DetectorRow(id=f"d{index}", name=f"Detector {index}", state=DetectorState.NO_DAQ, distance_m=distance_m)
        for index, distance_m in enumerate(distances_m)
    ]


def test_every_state_has_a_shape_and_those_in_use_differ() -> None:
    assert set(SYMBOLS) == set(DetectorState)
    active = (DetectorState.TAKING, DetectorState.PAUSED, DetectorState.STOPPED, DetectorState.STALE)
    assert len({SYMBOLS[state] for state in active}) == len(active)


@pytest.mark.parametrize("distances_m", [(19.3, 27.5), (19.3, 19.3, 19.4), (2.0, 28.0), (20.0,), (150.0, 980.0)])
def test_marks_stand_where_their_distance_is(distances_m: tuple[float, ...]) -> None:
    picture = wide_picture(rows_at(*distances_m))
    first, second = picture.ticks[0], picture.ticks[1]
    per_m = (second.at - first.at) / (second.distance_m - first.distance_m)
    for mark in picture.marks:
        assert mark.row.distance_m is not None
        assert mark.x == pytest.approx(first.at + (mark.row.distance_m - first.distance_m) * per_m)
        assert 0 < mark.x < picture.width
        assert 0 < mark.y < picture.axis
    assert picture.is_broken == (first.distance_m > 0)
    assert picture.is_broken == (distances_m in ((19.3, 27.5), (19.3, 19.3, 19.4), (20.0,)))


def test_words_never_lie_on_words_nor_on_the_stem_of_another() -> None:
    picture = wide_picture(rows_at(19.3, 19.3, 19.6, 21.0, 21.3, 22.3, 22.5, 23.5, 27.4, 27.5, 28.1, 28.4))
    for one in picture.marks:
        length = 7.0 * len("Detector 00") + 24
        for other in picture.marks:
            if other is one or other.x <= one.x:
                continue
            is_same_lane = other.y == one.y
            comes_down = other.y < one.y  # its stem passes the lane of ``one``
            assert not ((is_same_lane or comes_down) and other.x < one.x + length - 12)


def test_on_a_phone_each_mark_has_room_and_the_order_is_kept() -> None:
    picture = narrow_picture(rows_at(*(20.0 + index / 10 for index in range(12))))
    places = [mark.y for mark in picture.marks]
    assert all(later - earlier >= 39.9 for earlier, later in pairwise(places))
    assert max(places) < picture.height


def test_a_strip_without_detectors_can_be_drawn() -> None:
    assert wide_picture(()).marks == narrow_picture(()).marks == ()


def test_words_that_need_more_room_are_lifted() -> None:
    near, *far = rows_at(19.0, 22.0, 28.0)
    busy = replace(near, state=DetectorState.TAKING, run="1234567890" * 3)
    plain, lifted = wide_picture((near, *far)).marks, wide_picture((busy, *far)).marks
    assert plain[0].y == plain[1].y
    assert lifted[0].y < lifted[1].y
