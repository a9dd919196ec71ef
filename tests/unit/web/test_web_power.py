"""Beam power as the plot draws it."""

import numpy as np
import pytest

from nualley.core import SECOND_NS
from nualley.physics import History
from nualley.web.power import power_curve, rows_of, thin
from tests.unit.web.fakes import table

S = SECOND_NS


def curve(
    samples: list[tuple[int, float | None, int]], links: list[tuple[int, str, int]] | None = None
) -> list[object]:
    found = power_curve(
        "P", table(samples, links or []), alive_until_ns=90 * S, start_ns=0, stop_ns=100 * S, factor=1e6
    )
    return list(zip([time_ns / S for time_ns in found.time_ns], found.power_W, strict=True))


def test_a_value_holds_until_the_next_and_as_long_as_its_ioc_is_proven_alive() -> None:
    assert curve([(-5 * S, 1.0, 0), (40 * S, 1.5, 0)]) == [(0.0, 1e6), (40.0, 1.5e6), (90.0, None)]


def test_what_is_not_known_is_a_hole() -> None:
    found = curve([(0, 1.0, 0), (60 * S, 1.2, 0)], [(30 * S, "disconnect", 25 * S), (60 * S, "reconnect", 25 * S)])
    assert found == [(0.0, 1e6), (25.0, None), (60.0, 1.2e6), (90.0, None)]


def test_invalid_and_missing_values_are_holes() -> None:
    found = curve([(0, 1.0, 0), (10 * S, 1.0, 3), (20 * S, None, 0), (30 * S, 1.1, 2)])
    assert [power_W for _, power_W in found] == [1e6, None, None, 1.1e6, None]


def test_text_is_no_power() -> None:
    text = table([(0, 1.0, 0)])
    words = text.set_column(1, "value", [["many"]])
    assert np.isnan(rows_of(words).value).all()


def test_no_samples_at_all() -> None:
    assert {power_W for _, power_W in curve([])} == {None}


def test_a_short_history_is_left_as_it_is() -> None:
    history = History(0, 100, np.arange(10, dtype=np.int64), np.ones(10))
    assert thin(history, n_buckets=3) is history


def test_no_spike_and_no_hole_is_lost() -> None:
    n = 200_000
    value = np.full(n, 1.4e6)
    value[123_457], value[50_001], value[77_777] = 9e6, 0.0, np.nan
    history = History(0, n * S, np.arange(n, dtype=np.int64) * S, value)
    found = thin(history)
    assert found.time_ns.size <= 5 * 600
    kept = dict(zip((found.time_ns // S).tolist(), found.value.tolist(), strict=True))
    assert kept[123_457] == 9e6
    assert kept[50_001] == 0.0
    assert np.isnan(kept[77_777])
    assert kept[0] == kept[n - 1] == 1.4e6
    assert found.value[-1] == pytest.approx(1.4e6)


def test_a_dark_column_stays_dark() -> None:
    n = 10_000
    value = np.full(n, np.nan)
    found = thin(History(0, n, np.arange(n, dtype=np.int64), value), n_buckets=10)
    assert np.isnan(found.value).all()
