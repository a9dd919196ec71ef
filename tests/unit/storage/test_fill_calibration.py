"""Intervals hold what they promise, on drives with bursts, campaigns and deletes (full numbers: make bench-storage)."""

import numpy as np

from benchmarks.forecast import line_interval, simulate
from nualley.storage.fill_forecast import pinball_loss_B
from nualley.storage.forecast import futures

DAYS = (3, 7, 14, 30)


def test_intervals_of_eighty_percent_hold_about_that_and_beat_a_line() -> None:
    generator = np.random.default_rng(11)
    held, ratio = {days: [] for days in DAYS}, {days: [] for days in DAYS}
    for _ in range(40):
        _, used_B, _ = simulate(generator)
        for origin in (220, 320):
            ahead = futures(float(used_B[origin]), np.diff(used_B[: origin + 1]), max(DAYS), n_paths=200)
            for days in DAYS:
                truth_B, said = float(used_B[origin + days]), ahead.interval(days)
                line = line_interval(used_B[: origin + 1], days)
                held[days].append(said[0] <= truth_B <= said[2])
                ratio[days].append((pinball_loss_B(said, truth_B), pinball_loss_B(line, truth_B)))
    for days in DAYS:
        assert 0.68 < np.mean(held[days]) < 0.93
        ours, theirs = np.sum(ratio[days], axis=0)
        assert ours < 0.8 * theirs
