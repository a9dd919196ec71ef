"""How good forecasts of drives are: ``python -m benchmarks.forecast [n_drives] [seed]``.

Simulated drives: weeks of beam and weeks without, days of very different writing, campaigns of reprocessing, large
deletes; their speeds lie a factor 100 apart. Forecasts are made at four days of each and compared with what then was,
beside a straight line through the last 14 days with its own interval: what ``predict_linear`` of Prometheus draws.
For the dates each drive is filled to 86 to 99 % when it is asked.
"""

import sys
from datetime import date

import numpy as np
from numpy.typing import NDArray

from nualley.storage import FillHistory
from nualley.storage.fill_forecast import SCORED_DAYS, forecast_drive, pinball_loss_B
from nualley.storage.forecast import futures

N_DRIVES = 200
HOLD_OUT_SEED = 77
N_DAYS = 800
ORIGINS = (200, 260, 320, 380)
LINE_DAYS = 14
Z_90 = 1.2816


def simulate(generator: np.random.Generator) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return capacity [B], bytes in use at the end of each day, and bytes written on it, of one drive."""
    capacity_B = float(generator.choice([110, 124, 139]) * 2.0**40)
    speed_B = 10 ** generator.uniform(-4.3, -2.3) * capacity_B
    written_B = _beam(generator) * speed_B * generator.lognormal(0, 0.8, N_DAYS)
    day = int(generator.exponential(60))
    while day < N_DAYS:
        length = int(generator.integers(5, 20))
        campaign = written_B[day : day + length]
        campaign += speed_B * generator.uniform(1, 5) * generator.lognormal(0, 0.5, campaign.size)
        day += length + int(generator.exponential(80))
    is_delete = generator.random(N_DAYS) < 1 / 45
    deleted_B = np.where(is_delete, generator.uniform(0.1, 1.2, N_DAYS) * speed_B * 25, 0.0)
    used_B, now_B = np.empty(N_DAYS), capacity_B * generator.uniform(0.35, 0.6)
    for number in range(N_DAYS):
        now_B = max(now_B + written_B[number] - deleted_B[number], 0.0)
        used_B[number] = now_B
    return capacity_B, used_B, written_B


def _beam(generator: np.random.Generator) -> NDArray[np.float64]:
    is_on, day, state = np.zeros(N_DAYS, dtype=bool), 0, generator.random() < 0.6
    while day < N_DAYS:
        length = int(generator.exponential(45 if state else 20)) + 3
        is_on[day : day + length] = state
        day, state = day + length, not state
    return np.where(is_on, 1.0, 0.08)


def line_interval(used_B: NDArray[np.float64], days: int) -> tuple[float, float, float]:
    """Return the 10, 50 and 90 % quantiles that a straight line through the last days gives [B]."""
    time = np.arange(float(LINE_DAYS))
    slope, start = np.polyfit(time, used_B[-LINE_DAYS:], 1)
    residual = (used_B[-LINE_DAYS:] - start - slope * time).std(ddof=2)
    at = LINE_DAYS - 1 + days
    centre = time.mean()
    spread = residual * np.sqrt(1 + 1 / LINE_DAYS + (at - centre) ** 2 / np.square(time - centre).sum())
    middle = start + slope * at
    return float(middle - Z_90 * spread), float(middle), float(middle + Z_90 * spread)


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation."""
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Measure and print the table."""
    n_drives = int(sys.argv[1]) if len(sys.argv) > 1 else N_DRIVES
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else HOLD_OUT_SEED
    generator = np.random.default_rng(seed)
    ours: dict[int, list[tuple[bool, float]]] = {days: [] for days in SCORED_DAYS}
    line: dict[int, list[tuple[bool, float]]] = {days: [] for days in SCORED_DAYS}
    dates: list[tuple[float, float]] = []
    for _ in range(n_drives):
        _, used_B, written_B = simulate(generator)
        for origin in ORIGINS:
            scale_B = float(np.abs(np.diff(used_B[: origin + 1])[-180:]).mean())
            ahead = futures(float(used_B[origin]), np.diff(used_B[: origin + 1]), max(SCORED_DAYS))
            for days in SCORED_DAYS:
                truth_B = float(used_B[origin + days])
                said = ahead.interval(days), line_interval(used_B[: origin + 1], days)
                for found, (low, middle, high) in zip((ours, line), said, strict=True):
                    loss = pinball_loss_B((low, middle, high), truth_B) / scale_B / days
                    found[days].append((low <= truth_B <= high, loss))
        dates.append(_dates(used_B, written_B, generator))
    print(f"{n_drives} simulated drives, seed {seed}; pinball loss in daily changes a day ahead")
    print(f"{'days ahead':<12}{'80 % held':>10}{'line held':>11}{'pinball':>9}{'line':>8}{'ratio':>8}")
    for days in SCORED_DAYS:
        held, loss = np.mean(ours[days], axis=0)
        line_held, line_loss = np.mean(line[days], axis=0)
        print(f"{days:<12}{held:>10.3f}{line_held:>11.3f}{loss:>9.3f}{line_loss:>8.3f}{loss / line_loss:>8.3f}")
    said_days, true_days = np.array(dates).T
    print(f"rank correlation of the 50 % date with the truth ({len(dates)} drives): ", end="")
    print(f"{rank_correlation(said_days, true_days):.2f}")


def _dates(
    used_B: NDArray[np.float64], written_B: NDArray[np.float64], generator: np.random.Generator
) -> tuple[float, float]:
    """Return after how many days a drive is said to be full, and when it was; 366 where not within a year."""
    origin = ORIGINS[-1]
    now_B = float(used_B[origin])
    capacity_B = now_B / generator.uniform(0.86, 0.99)
    is_full = used_B[origin + 1 : origin + 366] >= capacity_B
    past, first = slice(0, origin + 1), date(2026, 1, 1)
    found = forecast_drive(FillHistory("simulated", first, used_B[past], written_B[past], capacity_B))
    said = 366 if found.full_50 is None else found.full_50.toordinal() - first.toordinal() - origin
    return float(said), float(np.argmax(is_full)) + 1 if is_full.any() else 366.0


if __name__ == "__main__":
    main()
