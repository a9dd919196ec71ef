"""Exposure over a real archive on disk: sealed and unsealed rows, a hang over midnight, a killed archive process."""

from pathlib import Path

import numpy as np
import pytest

from nualley.app.archive import ArchiveWriter, open_archive_reader, open_archive_writer
from nualley.core import SECOND_NS, IntervalSet, parse_time_ns
from nualley.experiment import Beam
from nualley.exposure import Exposures, daq_sources, read_run_stretches
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.pv import Connection, Life, Metadata, Sample, ValueType
from tests.unit.exposure.fakes import BEAM, RATE, FakeClock, FakeRun, FakeRuns, detector

IOC = "127.0.0.1:15064"
MIDNIGHT_NS = parse_time_ns("2026-11-23", 0)
PVS = ("POWER", "ENERGY", "RATE", "TRACE", "a:RUN", "a:STATE", "a:LIVE")


class Story:
    """An archive in a folder, told second by second around midnight."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(MIDNIGHT_NS)
        self.writer: ArchiveWriter | None = None

    def at(self, seconds: float) -> "Story":
        self.clock.time_ns = MIDNIGHT_NS + round(seconds * SECOND_NS)
        return self

    def start(self) -> None:
        self.writer = open_archive_writer(self.folder, clock=self.clock)

    def receive(self, event: Sample | Connection | Life | Metadata) -> None:
        assert self.writer is not None
        self.writer.recorder.receive(event)

    def connect(self) -> None:
        for pv in PVS:
            self.receive(Connection(pv, True, IOC, self.clock.time_ns, self.clock.time_ns, "ca"))

    def lose(self, last_heard_s: float) -> None:
        heard_ns = MIDNIGHT_NS + round(last_heard_s * SECOND_NS)
        for pv in PVS:
            self.receive(Connection(pv, False, IOC, self.clock.time_ns, heard_ns, "ca"))

    def post(self, pv: str, value: object, value_type: ValueType = ValueType.FLOAT64) -> None:
        now = self.clock.time_ns
        self.receive(Sample(pv, now, value, value_type, 0, 0, "ca", now))  # type: ignore[arg-type]

    def live(self) -> None:
        self.receive(Life(IOC, self.clock.time_ns))
        assert self.writer is not None
        self.writer.recorder.commit()


@pytest.fixture
def story(tmp_path: Path) -> Story:
    story = Story(tmp_path / "archive")
    story.at(-100).start()
    story.receive(Metadata("a:STATE", MIDNIGHT_NS, ValueType.ENUM, labels=("Stopped", "Running", "Paused")))
    story.connect()
    for pv, value in (("POWER", 1.0), ("ENERGY", 1.0), ("RATE", 60.0), ("a:LIVE", 0.5)):
        story.post(pv, value)
    story.post("a:RUN", 7, ValueType.INT64)
    story.post("a:STATE", 0, ValueType.ENUM)
    story.at(-60).post("a:STATE", 1, ValueType.ENUM)
    for seconds in range(-50, -40):
        story.at(seconds).post("TRACE", np.array([0, 1, 2], dtype=np.float32), ValueType.FLOAT32_ARRAY)
    return story


def exposures(story: Story, *runs: FakeRun) -> Exposures:
    archive = ArchiveHistory(open_archive_reader(story.folder, clock=story.clock))
    described = {"a": detector("a")}
    return Exposures(archive, FakeRuns(runs), beam=Beam.model_validate(BEAM), detectors=described, clock=story.clock)


def run(start_s: float, stop_s: float | None) -> FakeRun:
    stop_ns = None if stop_s is None else MIDNIGHT_NS + round(stop_s * SECOND_NS)
    return FakeRun("a-7", MIDNIGHT_NS + round(start_s * SECOND_NS), stop_ns)


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_hang_over_midnight(story: Story, is_sealed: bool) -> None:
    story.at(-20).live()
    if is_sealed:
        assert story.writer is not None
        story.writer.seal()
    story.at(7).lose(last_heard_s=-20)
    story.at(30).connect()
    story.at(100).live()
    story.at(101).live()
    found = exposures(story).run_exposure(run(-60, 90))
    assert found.amounts.unknown_s == 50.0
    assert found.amounts.pot == pytest.approx(100 * RATE, rel=1e-14)
    assert found.amounts.pot_live == pytest.approx(50 * RATE, rel=1e-14)
    assert found.amounts.n_pulses == 6000


def test_a_killed_archive_process_is_a_gap_and_not_beam(story: Story) -> None:
    story.at(10).live()
    assert story.writer is not None
    story.at(40).post("POWER", 1.4)  # never committed: gone with the process
    story.writer.log.close()
    story.at(50).start()
    story.at(55).connect()
    story.at(100).live()
    found = exposures(story).run_exposure(run(-60, 90))
    assert found.amounts.unknown_s == 45.0
    assert found.amounts.pot == pytest.approx(105 * RATE, rel=1e-14)


def test_an_open_run_and_the_ledger_end_where_the_beam_is_known(story: Story) -> None:
    story.at(40).live()
    story.at(43)
    service = exposures(story, run(-60, None))
    found = service.exposures().runs[0]
    assert found.is_open
    assert found.amounts.beam_on_s == 100.0
    ledger = service.ledger(MIDNIGHT_NS - 100 * SECOND_NS, MIDNIGHT_NS + 100 * SECOND_NS).detectors["a"]
    assert ledger.is_balanced
    assert ledger.to_json()["recorded"]["duration_s"] == 100.0  # type: ignore[index]
    assert ledger.to_json()["not_recorded"]["no_run"]["duration_s"] == 40.0  # type: ignore[index]


def test_run_times_and_traces(story: Story) -> None:
    story.at(10).post("a:STATE", 2, ValueType.ENUM)
    story.at(15).post("a:STATE", 1, ValueType.ENUM)
    story.at(20).post("a:STATE", 0, ValueType.ENUM)
    story.at(30).live()
    archive = ArchiveHistory(open_archive_reader(story.folder, clock=story.clock))
    (found,) = read_run_stretches(
        archive, daq_sources(detector("a")), MIDNIGHT_NS - 1000 * SECOND_NS, story.clock.now_ns()
    )
    assert (found.number, found.start_ns, found.stop_ns) == (
        7,
        MIDNIGHT_NS - 60 * SECOND_NS,
        MIDNIGHT_NS + 20 * SECOND_NS,
    )
    assert found.pauses == IntervalSet.of(MIDNIGHT_NS + 10 * SECOND_NS, MIDNIGHT_NS + 15 * SECOND_NS)
    trace = exposures(story, run(-60, 20)).trace("a-7")
    assert (trace.n, trace.n_vetoed, trace.mean.tolist()) == (10, 0, [0.0, 1.0, 2.0])
    assert exposures(story).run_exposure(run(-60, 20)).amounts.livetime_s == 37.5
