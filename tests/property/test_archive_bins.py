"""Bins of any stretch say what a count by hand over the samples says, exact or snapped, from tiers or from samples."""

import bisect
import itertools
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, open_importer
from nualley.archive import bins
from nualley.archive.importing import ImportedRows
from nualley.core import DAY_NS, MINUTE_NS, SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Sample, ValueType

BEGIN_NS = parse_time_ns("2026-11-22T23:10:00Z", 0)
IOC = "127.0.0.1:5064"
FEW_ROWS = 50
SEEDED = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # of a seed there is nothing smaller to look for
)
N_STRETCHES = 12


@dataclass
class Truth:
    """What was so: samples as (time, value, severity), when nothing was known, and until when anything was."""

    samples: list[tuple[int, float, int]] = field(default_factory=list)
    dark: list[tuple[int, int]] = field(default_factory=list)
    alive_ns: int = 0

    def known(self, start_ns: int, stop_ns: int) -> tuple[float, float]:
        """Seconds in which there was a value that was known, and value times seconds; step by step."""
        times = [time_ns for time_ns, _, _ in self.samples]
        cuts = {start_ns, stop_ns, self.alive_ns, *itertools.chain.from_iterable(self.dark)}
        cuts.update(times[bisect.bisect_left(times, start_ns) : bisect.bisect_left(times, stop_ns)])
        known_s = integral = 0.0
        for begin, end in itertools.pairwise(sorted(cut for cut in cuts if start_ns <= cut <= stop_ns)):
            at = bisect.bisect_right(times, begin) - 1
            is_dark = begin >= self.alive_ns or any(since <= begin < until for since, until in self.dark)
            if at < 0 or self.samples[at][2] >= 3 or is_dark:
                continue
            known_s += (end - begin) / SECOND_NS
            integral += self.samples[at][1] * (end - begin) / SECOND_NS
        return known_s, integral


def assert_row(truth: Truth, row: dict[str, float]) -> None:
    start_ns, stop_ns = row["start_ns"], row["stop_ns"]
    inside = [sample for sample in truth.samples if start_ns <= sample[0] < stop_ns]
    good = [value for _, value, severity in inside if severity < 3]
    assert (row["n"], row["n_good"]) == (len(inside), len(good))
    assert (row["first"], row["last"]) == ((good[0], good[-1]) if good else (None, None))
    assert (row["min"], row["max"]) == ((min(good), max(good)) if good else (None, None))
    assert row["mean"] == (pytest.approx(sum(good) / len(good), abs=1e-9) if good else None)
    assert row["severity"] == (max(severity for _, _, severity in inside) if inside else None)
    known_s, integral = truth.known(start_ns, stop_ns)
    assert row["known_s"] == pytest.approx(known_s, abs=1e-6)
    assert row["integral"] == pytest.approx(integral, rel=1e-9, abs=1e-5)
    assert row["time_mean"] == (pytest.approx(integral / known_s, abs=1e-5) if known_s > 1e-5 else row["time_mean"])


def stretches(truth: Truth, chance: random.Random):
    """Begins and ends anywhere, at a sample, beside one, and at whole minutes and hours."""
    times = [time_ns for time_ns, _, _ in truth.samples]

    def edge() -> int:
        anywhere = chance.randint(times[0] - MINUTE_NS, times[-1] + MINUTE_NS)
        beside = chance.choice(times) + chance.choice((-1, 0, 1))
        return chance.choice((anywhere, anywhere, beside, *(anywhere // s * s for s in (MINUTE_NS, 60 * MINUTE_NS))))

    for _ in range(N_STRETCHES):
        start_ns, stop_ns = sorted((edge(), edge()))
        yield start_ns, max(stop_ns, start_ns + MINUTE_NS), chance.choice((1, 2, 7, 30))


def check(folder: Path, clock: "StandingClock", truth: Truth, chance: random.Random) -> None:
    reader = open_archive_reader(folder, clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bins, "LARGEST_RAW_ROWS", FEW_ROWS)
        for start_ns, stop_ns, n_bins in stretches(truth, chance):
            exact = reader.bins("P", start_ns, stop_ns, n_bins, is_exact=True).to_pylist()
            assert [row["start_ns"] for row in exact] == [
                start_ns + (stop_ns - start_ns) * number // n_bins for number in range(n_bins)
            ]
            assert exact[-1]["stop_ns"] == stop_ns
            for row in (*exact, *reader.bins("P", start_ns, stop_ns, n_bins).to_pylist()):
                assert_row(truth, row)


@dataclass
class StandingClock:
    time_ns: int = BEGIN_NS

    def now_ns(self) -> int:
        return self.time_ns


@SEEDED
@given(
    seed=st.integers(0, 2**32),
    n_steps=st.integers(60, 200),
    step_s=st.sampled_from((5, 60, 900)),
    is_merged=st.booleans(),
)
def test_bins_over_gaps_and_what_is_not_sealed_yet(seed, n_steps, step_s, is_merged):
    with tempfile.TemporaryDirectory() as name:
        folder, clock, chance, truth = Path(name), StandingClock(), random.Random(seed), Truth()
        writer = open_archive_writer(folder, clock=clock)
        recorder = writer.recorder

        def connect(*, is_connected: bool, heard_ns: int) -> None:
            recorder.receive(Connection("P", is_connected, IOC, clock.time_ns, heard_ns, "ca"))

        connect(is_connected=True, heard_ns=clock.time_ns)
        truth.dark.append((0, clock.time_ns))
        lost_ns: int | None = None
        for _ in range(n_steps):
            clock.time_ns += chance.randint(1, 2 * step_s * SECOND_NS)
            if lost_ns is not None:
                if chance.random() < 0.7:
                    continue
                connect(is_connected=True, heard_ns=clock.time_ns)
                truth.dark.append((lost_ns, clock.time_ns))
                lost_ns = None
            elif chance.random() < 0.05:
                lost_ns = clock.time_ns - chance.randint(0, clock.time_ns - truth.alive_ns if truth.alive_ns else 0)
                connect(is_connected=False, heard_ns=lost_ns)
                recorder.commit()
                continue
            sample = clock.time_ns, round(chance.gauss(0, 5), 2), 3 if chance.random() < 0.05 else 0
            truth.samples.append(sample)
            recorder.receive(Sample("P", *sample[:2], ValueType.FLOAT64, sample[2], 0, "ca", clock.time_ns))
            recorder.receive(Life(IOC, clock.time_ns))
            truth.alive_ns = clock.time_ns
            recorder.commit()
            if chance.random() < 0.04:
                writer.seal()
        if lost_ns is not None:
            truth.dark.append((lost_ns, 2**62))
            truth.alive_ns = max(truth.alive_ns, lost_ns)
        if is_merged:
            clock.time_ns += 70 * DAY_NS
            recorder.receive(Life(IOC, truth.alive_ns))
            writer.seal()
            compactor = open_compactor(folder, clock)
            for job in compactor.due():
                compactor.run(job)
        writer.log.close()
        check(folder, clock, truth, chance)


@SEEDED
@given(
    seed=st.integers(0, 2**32),
    n_samples=st.integers(100, 600),
    step_s=st.sampled_from((5, 60, 600, 3600)),
    n_files=st.integers(1, 4),
    is_mixed=st.booleans(),
)
def test_bins_of_files_that_lie_between_each_other(seed, n_samples, step_s, n_files, is_mixed):
    with tempfile.TemporaryDirectory() as name:
        folder, clock, chance, truth = Path(name), StandingClock(), random.Random(seed), Truth()
        time_ns = parse_time_ns("2020-01-01T00:00:00Z", 0) + chance.randint(0, 400 * DAY_NS)
        for _ in range(n_samples):
            time_ns += chance.randint(1, 2 * step_s * SECOND_NS)
            truth.samples.append((time_ns, round(chance.gauss(0, 5), 2), 0))
        truth.alive_ns = time_ns + 1
        order = list(range(n_samples))
        if is_mixed:
            chance.shuffle(order)
        for number in range(n_files):
            some = [truth.samples[at] for at in sorted(order[number::n_files])]
            with open_importer(folder) as importer:
                importer.store(
                    ImportedRows(
                        pv="P",
                        value_type=ValueType.FLOAT64,
                        time_ns=np.array([sample[0] for sample in some]),
                        value=pa.array([sample[1] for sample in some]),
                        severity=np.zeros(len(some), dtype=np.int8),
                        status=np.zeros(len(some), dtype=np.int16),
                    )
                )
        check(folder, clock, truth, chance)
