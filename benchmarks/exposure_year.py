"""Protons of a year with rows and without: ``python -m benchmarks.exposure_year [--quick] [folder]``.

A year of beam power and pulse rate at 1 Hz, with trips, invalid samples and disconnects, and of proton energy every few
minutes, is imported, and its rows are made. Then the year is asked for as a whole, and the exposure of 100 runs, each
with a reader of its own, as a command has it. Medians of 5; whether both answers are the same is printed beside
them. ``--quick`` takes a week.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from nualley.app.archive import open_archive_reader, open_importer
from nualley.archive.importing import ImportedRows
from nualley.core import DAY_NS, SECOND_NS
from nualley.experiment import Beam
from nualley.exposure import Exposures
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.exposure.adapters.row_files import RowFolder
from nualley.exposure.models import BEAM_SERIES
from nualley.exposure.row_keeper import RowKeeper
from nualley.exposure.row_reader import KeptRows
from nualley.exposure.sources import beam_sources
from nualley.pv import ValueType

BEGIN_NS = 1_735_689_600 * SECOND_NS
N_TIMES = 5
N_RUNS = 100
BEAM = Beam.model_validate(
    {
        "power": {"pv": "BENCH:POWER", "unit": "kW"},
        "proton_energy": {"pv": "BENCH:ENERGY", "unit": "GeV"},
        "rate": {"pv": "BENCH:RATE", "unit": "Hz"},
    }
)


@dataclass(frozen=True)
class Run:
    """A run of a detector without a DAQ of its own."""

    run_id: str
    start_ns: int
    stop_ns: int
    detector: str = "bench"
    time_source: str = "given"


class Runs:
    """The catalog, as far as exposure sees it."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return next(run for run in self._runs if run.run_id == run_id)

    def runs(
        self, *, detector: str | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Sequence[Run]:
        """Return the runs that overlap a stretch."""
        low_ns = -(2**62) if start_ns is None else start_ns
        high_ns = 2**62 if stop_ns is None else stop_ns
        of_detector = [run for run in self._runs if detector in (None, run.detector)]
        return [run for run in of_detector if run.start_ns < high_ns and run.stop_ns > low_ns]


class Later:
    """A clock that stands behind the year."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Return the time now [ns since 1970 UTC]."""
        return self._now_ns


def take_in(archive: Path, n_days: int) -> None:
    """Import the beam, ten days at a time."""
    rng = np.random.default_rng(1)
    with open_importer(archive) as importer:
        for first in range(0, n_days, 10):
            last = min(first + 10, n_days)
            n = (last - first) * 86_400
            begin_ns = BEGIN_NS + first * DAY_NS
            time_ns = begin_ns + np.arange(n) * SECOND_NS + rng.integers(0, 2_000_000, n)
            power = np.round(1400 + 50 * np.sin(np.arange(n) / 86_400 * 2 * np.pi) + rng.normal(0, 3, n), 2)
            power[rng.random(n) < 0.001] = 0
            invalid = np.where(rng.random(n) < 1e-5, 3, 0).astype(np.int8)
            lost_ns = int(time_ns[n // 3])
            links = ((lost_ns, "disconnect"), (lost_ns + 90 * SECOND_NS, "reconnect"))
            rate = np.where(power > 0, np.round(60 + rng.normal(0, 0.01, n), 3), 0.0)
            seldom = time_ns[:: 60 * 7]
            energy = np.round(1.3 + rng.normal(0, 1e-4, seldom.size), 5)
            none = np.zeros(n, dtype=np.int8)
            for pv, times, value, severity, link in (
                ("BENCH:POWER", time_ns, power, invalid, links),
                ("BENCH:RATE", time_ns, rate, none, ()),
                ("BENCH:ENERGY", seldom, energy, none[: seldom.size], ()),
            ):
                status = np.zeros(times.size, dtype=np.int16)
                importer.store(
                    ImportedRows(pv, ValueType.FLOAT64, times, pa.array(value), severity, status, links=link)  # type: ignore[arg-type]
                )


def some_runs(n_days: int) -> list[Run]:
    """Return runs whose edges fall anywhere, and which follow each other with holes between."""
    edges = np.sort(np.random.default_rng(2).integers(0, n_days * DAY_NS, 2 * N_RUNS)) + BEGIN_NS
    return [Run(f"bench-{n}", int(edges[2 * n]), int(edges[2 * n + 1])) for n in range(N_RUNS)]


def median_s(ask: Callable[[], object], n_times: int) -> tuple[float, object]:
    """Return the median time of several calls [s], and the last answer."""
    times_s, answer = [], None
    for _ in range(n_times):
        began_s = time.perf_counter()
        answer = ask()
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s), answer


def main() -> None:
    """Measure all and print the table."""
    words = [word for word in sys.argv[1:] if word != "--quick"]
    n_days = 7 if "--quick" in sys.argv else 365
    with tempfile.TemporaryDirectory(dir=words[0] if words else None) as name:
        folder = Path(name)
        clock, runs = Later(BEGIN_NS + (n_days + 2) * DAY_NS), Runs(some_runs(n_days))

        def service(*, with_rows: bool) -> Exposures:
            history = ArchiveHistory(open_archive_reader(folder / "archive", clock=clock))
            kept = KeptRows(RowFolder(folder / "exposure"), history, {})
            rows = kept if with_rows else None
            return Exposures(history, runs, beam=BEAM, detectors={}, clock=clock, rows=rows)

        began_s = time.perf_counter()
        take_in(folder / "archive", n_days)
        imported_s, began_s = time.perf_counter() - began_s, time.perf_counter()
        history = ArchiveHistory(open_archive_reader(folder / "archive", clock=clock))
        kept = KeptRows(RowFolder(folder / "exposure"), history, {})
        keeper = RowKeeper(history, beam_sources(BEAM), kept, clock)
        keeper.update()
        made_s, began_s = time.perf_counter() - began_s, time.perf_counter()
        keeper.update()
        looked_s, size_B = time.perf_counter() - began_s, kept.files.size_B(BEAM_SERIES)
        print(f"{n_days} days imported in {imported_s:.1f} s, rows made in {made_s:.1f} s ({size_B / 2**20:.1f} MiB),")
        print(f"looked after again in {1e3 * looked_s:.0f} ms; medians of {N_TIMES}")
        stop_ns = BEGIN_NS + n_days * DAY_NS - 777
        questions: dict[str, Callable[[Exposures], object]] = {
            f"delivered in {n_days} days": lambda found: found.delivered(BEGIN_NS + 12_345, stop_ns).to_json(),
            f"exposure of {N_RUNS} runs": lambda found: found.exposures().to_json(),
        }
        print(f"{'':<28}{'with rows [s]':>16}{'without [s]':>14}{'ratio':>9}  same")
        for what, ask in questions.items():
            # a service of its own each time: a command does not find what another one read
            fast_s, fast = median_s(lambda ask=ask: ask(service(with_rows=True)), N_TIMES)  # type: ignore[misc]
            slow_s, slow = median_s(lambda ask=ask: ask(service(with_rows=False)), N_TIMES)  # type: ignore[misc]
            same = "to the last bit" if fast == slow else "NO"
            print(f"{what:<28}{fast_s:>16.3f}{slow_s:>14.3f}{slow_s / fast_s:>9.1f}  {same}")


if __name__ == "__main__":
    main()
