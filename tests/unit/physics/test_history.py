"""The rule of knowledge: when a value holds, and when it is not known."""

import numpy as np
import pytest

from nualley.core import Interval, IntervalSet
from nualley.physics import FOREVER, History, LinkChange, PvRows, align, blackouts, history_from_rows

NAN = float("nan")


def rows(
    samples: list[tuple[int, float]], links: tuple[LinkChange, ...] = (), severity: dict[int, int] | None = None
) -> PvRows:
    return PvRows(
        np.array([t for t, _ in samples], dtype=np.int64),
        np.array([v for _, v in samples], dtype=np.float64),
        np.array([(severity or {}).get(t, 0) for t, _ in samples], dtype=np.int8),
        links,
    )


def history(archived: PvRows, start: int = 0, stop: int = 100, alive: int = 10**9, factor: float = 1.0) -> History:
    return history_from_rows(archived, alive_until_ns=alive, start_ns=start, stop_ns=stop, factor=factor)


def steps(found: History) -> list[tuple[int, float | None]]:
    return [(int(t), None if np.isnan(v) else float(v)) for t, v in zip(found.time_ns, found.value, strict=True)]


# ------------------------------------------------------------------ holding
def test_a_silent_value_holds_as_long_as_the_ioc_lives() -> None:
    assert steps(history(rows([(-500, 7.0)]))) == [(0, 7.0)]


def test_a_value_does_not_hold_in_a_far_future() -> None:
    far = FOREVER.stop_ns + 100
    assert steps(history(rows([(-500, 7.0)]), start=far, stop=far + 10, alive=50)) == [(far, None)]


def test_the_last_sample_at_or_before_the_start_counts() -> None:
    found = history(rows([(-9, 1.0), (-5, 2.0), (0, 3.0), (50, 4.0), (100, 5.0)]))
    assert steps(found) == [(0, 3.0), (50, 4.0)]
    assert steps(history(rows([(-9, 1.0), (-5, 2.0), (50, 4.0)]))) == [(0, 2.0), (50, 4.0)]


def test_before_the_first_sample_nothing_is_known() -> None:
    assert steps(history(rows([(30, 1.0)]))) == [(0, None), (30, 1.0)]
    assert steps(history(rows([]))) == [(0, None)]
    assert steps(history(rows([(100, 1.0)]))) == [(0, None)]


def test_after_the_last_proof_of_life_nothing_is_known() -> None:
    assert steps(history(rows([(0, 1.0)]), alive=60)) == [(0, 1.0), (60, None)]
    assert steps(history(rows([(0, 1.0)]), alive=-5)) == [(0, None)]


def test_invalid_nan_and_infinite_samples_are_unknown() -> None:
    found = history(rows([(0, 1.0), (10, 2.0), (20, NAN), (30, np.inf), (40, 3.0)], severity={10: 3, 40: 2}))
    assert steps(found) == [(0, 1.0), (10, None), (20, None), (30, None), (40, 3.0)]


def test_of_samples_with_one_stamp_the_last_holds() -> None:
    assert steps(history(rows([(0, 1.0), (10, 2.0), (10, 3.0)]))) == [(0, 1.0), (10, 3.0)]
    assert steps(history(rows([(-3, 1.0), (-3, 2.0)]))) == [(0, 2.0)]


def test_units_are_turned() -> None:
    assert steps(history(rows([(0, 1.4)]), factor=1e6)) == [(0, 1.4e6)]


def test_an_empty_interval_has_no_steps() -> None:
    assert steps(history(rows([(0, 1.0)]), start=5, stop=5)) == []


# ------------------------------------------------------------------ blackouts
def test_a_hang_is_dark_from_last_heard_on_not_from_when_it_was_noticed() -> None:
    links = (LinkChange(40, "gap", 33), LinkChange(70, "reconnect", 33))
    found = history(rows([(0, 1.0)], links))
    assert steps(found) == [(0, 1.0), (33, None), (70, 1.0)]
    assert found.unknown == IntervalSet.of(33, 70)
    assert found.known == IntervalSet([Interval(0, 33), Interval(70, 100)])


def test_a_hang_noticed_after_the_interval_darkens_its_end() -> None:
    assert steps(history(rows([(0, 1.0)], (LinkChange(105, "disconnect", 95),)))) == [(0, 1.0), (95, None)]


def test_a_sample_stamped_inside_a_blackout_holds_after_it() -> None:
    links = (LinkChange(40, "disconnect", 39), LinkChange(70, "reconnect", 39))
    assert steps(history(rows([(0, 1.0), (50, 2.0)], links)))[-1] == (70, 2.0)
    assert history(rows([(0, 1.0), (50, 2.0)], links)).unknown == IntervalSet.of(39, 70)


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ((), []),
        ((LinkChange(10, "reconnect", 0),), [(FOREVER.start_ns, 10)]),
        ((LinkChange(10, "disconnect", 7),), [(7, FOREVER.stop_ns)]),
        ((LinkChange(10, "pause", 7), LinkChange(20, "reconnect", 9)), [(10, 20)]),
        ((LinkChange(10, "disconnect", 7), LinkChange(15, "gap", 5), LinkChange(20, "reconnect", 5)), [(5, 20)]),
        (
            (
                LinkChange(10, "gap", 8),
                LinkChange(20, "reconnect"),
                LinkChange(30, "gap", 28),
                LinkChange(40, "reconnect"),
            ),
            [(8, 20), (28, 40)],
        ),
        ((LinkChange(10, "disconnect", None), LinkChange(20, "reconnect", None)), [(10, 20)]),
        ((LinkChange(10, "disconnect", 30), LinkChange(20, "reconnect", None)), [(10, 20)]),
        ((LinkChange(10, "reconnect"), LinkChange(12, "reconnect")), [(FOREVER.start_ns, 10)]),
    ],
)
def test_blackouts(links: tuple[LinkChange, ...], expected: list[tuple[int, int]]) -> None:
    assert [(i.start_ns, i.stop_ns) for i in blackouts(links)] == expected


# ------------------------------------------------------------------ cutting and joining
def test_between_keeps_what_holds() -> None:
    whole = history(rows([(0, 1.0), (50, 2.0), (80, 3.0)]))
    assert steps(whole.between(20, 80)) == [(20, 1.0), (50, 2.0)]
    assert steps(whole.between(80, 100)) == [(80, 3.0)]
    assert steps(whole.between(30, 30)) == []
    with pytest.raises(ValueError, match=r"\[90, 110\) does not lie in \[0, 100\)"):
        whole.between(90, 110)


def test_align_cuts_at_every_change() -> None:
    one = history(rows([(0, 1.0), (50, 2.0)]))
    two = history(rows([(30, 5.0), (50, 6.0)]))
    edges, (first, second) = align([one, two])
    assert edges.tolist() == [0, 30, 50, 100]
    assert first.tolist() == [1.0, 1.0, 2.0]
    assert np.isnan(second[0])
    assert second[1:].tolist() == [5.0, 6.0]


def test_align_of_different_intervals_is_refused() -> None:
    with pytest.raises(ValueError, match="2 different intervals"):
        align([History.constant(1.0, 0, 10), History.constant(1.0, 0, 11)])


def test_where_joins_neighbours() -> None:
    found = history(rows([(0, 1.0), (10, 2.0), (20, 0.0), (30, 1.0)]))
    assert found.where(found.value > 0) == IntervalSet([Interval(0, 20), Interval(30, 100)])


def test_text_is_valid_unless_the_ioc_says_otherwise() -> None:
    texts = PvRows(np.array([1, 2]), np.array(["Running", "Stopped"], dtype=object), np.array([0, 3], dtype=np.int8))
    assert texts.is_valid.tolist() == [True, False]
