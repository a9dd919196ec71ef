"""When a drive is full: known cases, and the statistics behind it."""

from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from nualley.core import CheckState
from nualley.storage import WARN_DAYS, FillCheck, FillDay, FillHistory, ShortHistory
from nualley.storage.fill_forecast import forecast_drive, growth_shares, overall, pinball_loss_B, score_past
from nualley.storage.fill_history import histories_of
from nualley.storage.forecast import LEAST_DAYS, Futures, days_like_now, futures, stationary_bootstrap

FIRST = date(2026, 1, 1)


def history(
    used_B: NDArray[np.float64], capacity_B: float, written_B: NDArray[np.float64] | None = None
) -> FillHistory:
    written = np.full(used_B.size, np.nan) if written_B is None else written_B
    return FillHistory("data3", FIRST, used_B, written, capacity_B)


def test_a_drive_that_grows_by_the_same_every_day_is_full_on_the_day() -> None:
    found = forecast_drive(history(np.arange(101.0), 150.0))
    assert found.full_10 == found.full_50 == FIRST + timedelta(days=150)
    assert found.gross_10 == found.gross_50 == FIRST + timedelta(days=150)
    assert found.coverage80 == 1.0
    assert found.pinball_B == pytest.approx(0, abs=1e-9)


def test_a_drive_on_which_as_much_is_deleted_as_written_is_full_only_without_deletes() -> None:
    used_B = np.where(np.arange(200) % 2, 500.0, 510.0)
    found = forecast_drive(history(used_B, 1000.0, np.where(np.arange(200) % 2, 0.0, 10.0)))
    assert (found.full_10, found.full_50) == (None, None)
    today = FIRST + timedelta(days=199)
    assert found.gross_50 is not None
    assert timedelta(days=90) < found.gross_50 - today < timedelta(days=110)
    assert found.gross_10 is not None
    assert found.gross_10 <= found.gross_50


def test_a_full_drive_is_full_today_and_an_idle_one_never() -> None:
    full = forecast_drive(history(np.full(50, 100.0), 100.0))
    assert full.full_10 == full.full_50 == full.gross_50 == FIRST + timedelta(days=49)
    assert forecast_drive(history(np.full(50, 99.0), 100.0)).full_10 is None


def test_ten_percent_comes_never_after_fifty(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(20):
        used_B = 1e3 + np.cumsum(generator.lognormal(0, 1, 120) * generator.integers(0, 2, 120))
        found = forecast_drive(history(used_B, float(used_B[-1]) + generator.uniform(0, 200)))
        for early, middle in ((found.full_10, found.full_50), (found.gross_10, found.gross_50)):
            assert (early or date.max) <= (middle or date.max)


def test_the_same_history_gives_the_same_answer() -> None:
    used_B = np.cumsum(np.random.default_rng(1).lognormal(0, 1, 200))
    assert forecast_drive(history(used_B, 1000.0)) == forecast_drive(history(used_B.copy(), 1000.0))


@pytest.mark.parametrize("n_days", [1, LEAST_DAYS])
def test_a_history_that_is_too_short_is_refused(n_days: int) -> None:
    with pytest.raises(ShortHistory, match=f"there are {n_days - 1} days of changes, a forecast needs {LEAST_DAYS}"):
        forecast_drive(history(np.arange(float(n_days)), 100.0))


def test_without_a_long_past_there_is_no_score() -> None:
    assert forecast_drive(history(np.arange(30.0), 100.0)).coverage80 is None
    assert forecast_drive(history(np.arange(30.0), 100.0)).full_50 == FIRST + timedelta(days=100)


def test_a_score_uses_nothing_that_came_later() -> None:
    steady = np.arange(60.0)
    jump = np.append(steady, 10_000.0)  # nobody could know
    (found,) = score_past(history(jump, 1e9), (3,))
    assert found.n == 5
    assert found.coverage80 == pytest.approx(4 / 5)


def test_bootstrap_draws_blocks_as_they_were() -> None:
    values = np.arange(50.0)
    drawn = stationary_bootstrap(values, (400, 60), 10.0, np.random.default_rng(2))
    is_next = np.mod(np.diff(drawn, axis=1), 50) == 1
    # a block goes on with 1 - 1/10, and a new one begins at the next value by chance with 1/50
    assert is_next.mean() == pytest.approx(0.9 + 0.1 / 50, abs=0.01)
    assert np.unique(drawn).size == 50
    # every value is as likely, also at the ends
    assert np.bincount(drawn.ravel().astype(int)).std() / (drawn.size / 50) < 0.2


def test_bootstrap_is_that_of_arch() -> None:
    from arch.bootstrap import StationaryBootstrap  # slow to import

    generator = np.random.default_rng(3)
    values = np.repeat(generator.lognormal(0, 1, 12), 10)  # blocks that are alike: their length matters
    ours = stationary_bootstrap(values, (4000, values.size), 10.0, generator)
    theirs = np.array([data[0][0] for data in StationaryBootstrap(10, values, seed=4).bootstrap(4000)])
    for statistic in (np.mean, np.std, np.max):
        mine, other = statistic(ours, axis=1), statistic(theirs, axis=1)
        assert np.quantile(mine, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(other, [0.1, 0.5, 0.9]), rel=0.05)


def test_first_blocks_begin_where_they_are_told_to() -> None:
    drawn = stationary_bootstrap(
        np.arange(9.0), (50, 5), 3.0, np.random.default_rng(0), first=np.array([4, 7], dtype=np.int64)
    )
    assert set(drawn[:, 0].tolist()) == {4.0, 7.0}


def test_days_like_now_follow_days_that_were_alike() -> None:
    changes_B = np.tile([0.0] * 10 + [100.0] * 10, 5)
    busy, idle = days_like_now(changes_B), days_like_now(changes_B[:90])
    assert busy is not None
    assert idle is not None
    assert changes_B[busy % 100].mean() > 70
    assert changes_B[idle % 90].mean() < 40
    assert days_like_now(np.arange(4.0)) is None


def test_a_campaign_that_goes_on_is_seen_in_the_next_days() -> None:
    changes_B = np.tile([0.0] * 10 + [100.0] * 10, 9)
    _, middle, _ = futures(0.0, changes_B[:-5], 3).interval(3)
    _, quiet, _ = futures(0.0, changes_B[:-15], 3).interval(3)
    assert middle > quiet


def test_first_day_counts_a_path_that_was_full_and_is_no_more() -> None:
    found = Futures((np.array([[5.0, 11.0, 3.0, 3.0], [1.0, 2.0, 3.0, 12.0]]),))
    assert found.first_day(10.0, 0.5, is_earliest=False) == 2
    assert found.first_day(10.0, 1.0, is_earliest=False) == 4
    assert found.first_day(13.0, 0.1, is_earliest=True) is None


def test_the_envelope_holds_both_windows() -> None:
    found = Futures((np.full((10, 1), 1.0), np.full((10, 1), 5.0)))
    low, _, high = found.interval(1)
    assert (low, high) == (1.0, 5.0)
    assert found.first_day(5.0, 0.6, is_earliest=True) == 1
    assert found.first_day(5.0, 0.6, is_earliest=False) is None


def test_pinball_loss_is_that_of_the_quantiles() -> None:
    assert pinball_loss_B((0.0, 0.0, 0.0), 10.0) == pytest.approx((0.1 + 0.5 + 0.9) * 10 / 3)
    assert pinball_loss_B((0.0, 0.0, 0.0), -10.0) == pytest.approx((0.9 + 0.5 + 0.1) * 10 / 3)
    assert overall([]) is None


def test_growth_is_that_of_four_weeks_by_detector_and_stage() -> None:
    days = np.array([0.0, 0.0, 10.0, 10.0, 40.0, 40.0, 40.0])
    owners = [("a", "raw"), ("b", "raw"), ("a", "raw"), ("b", "raw"), ("a", "raw"), ("b", "raw"), ("c", "raw")]
    size_B = np.array([0.0, 900.0, 100.0, 1000.0, 400.0, 700.0, 60.0])
    found = growth_shares(days, owners, size_B)
    assert [(share.detector, share.B_per_day) for share in found] == [("a", 10.0), ("c", 2.0), ("b", -10.0)]
    assert growth_shares(days[:2], owners[:2], size_B[:2]) == []
    assert growth_shares(days[:0], [], size_B[:0]) == []
    minutes = np.array([40.0, 40.01])
    assert growth_shares(minutes, [("a", "raw")] * 2, np.array([0.0, 1e9])) == [], "of minutes, nothing can be told"


def test_a_history_that_is_too_short_is_named() -> None:
    with pytest.raises(ShortHistory) as caught:
        forecast_drive(history(np.arange(2.0), 110.0))
    assert caught.value.where == "data3"


def test_histories_come_from_what_was_noted() -> None:
    def day(number: int, used_B: int, drive: str = "data1") -> FillDay:
        return FillDay(date(2026, 1, number), drive, used_B, 1000 - used_B, 5)

    found = histories_of([day(3, 300), day(1, 90), day(1, 100), day(2, 7, "data2")])
    assert found["data1"].used_B.tolist() == [100, 200, 300]
    assert (found["data1"].capacity_B, found["data2"].used_B.tolist()) == (1000, [7])


def test_a_drive_that_may_be_full_within_a_month_is_a_warning() -> None:
    soon = forecast_drive(history(np.arange(101.0), 110.0), WARN_DAYS, is_scored=False)
    later = forecast_drive(history(np.arange(101.0), 200.0), WARN_DAYS, is_scored=False)
    warning, fine = FillCheck(lambda: [soon, later])()
    assert (warning.state, fine.state) == (CheckState.WARNING, CheckState.OK)
    assert warning.detail.startswith(f"full by {FIRST + timedelta(days=110)} with a chance of 10 %")
    assert warning.do == "nualley drives forecast data3 says who lets it grow"
    assert soon.coverage80 is None
