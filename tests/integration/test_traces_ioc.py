"""Waveforms of a real IOC through the archive and the worker: their averages stay when the waveforms are dropped."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nualley.app.archive import open_compactor, verify_archive
from nualley.app.archive_plan import kept_ns, read_plan
from nualley.app.locks import role_state
from nualley.app.site import Site, open_site
from nualley.app.trace_rules import trace_rules
from nualley.archive.sealed import Level
from nualley.catalog import Run, TimeSource
from nualley.cli.main import main
from nualley.core import SECOND_NS
from nualley.testing.ioc import Ioc, Record

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket, pytest.mark.timeout(300)]

LIMIT_S = 60
N_TRACES = 60
SHAPE = np.exp(-0.5 * ((np.arange(200) - 75) / 16) ** 2)
BEAM = """beam_on_min = "50 kW"
[power]
pv = "T:POWER"
unit = "MW"
[proton_energy]
value = "1000 MeV"
[trace]
pv = "T:TRACE"
unit = "A"
sample_period = "10 ns"
"""


@dataclass(frozen=True)
class LaterClock:
    """A clock that is hours ahead."""

    hours: float

    def now_ns(self) -> int:
        return time.time_ns() + round(self.hours * 3600 * SECOND_NS)


@pytest.fixture
def ioc():
    records = [Record("T:POWER", "float", 1.0), Record("T:TRACE", "float32-array", [0.0] * 200, length=200)]
    with Ioc(records) as running:
        yield running


@pytest.fixture
def experiment(tmp_path: Path, ioc: Ioc) -> Path:
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    (folder / "pvs" / "beam.toml").write_text('[pv]\n"T:POWER" = {}\n"T:TRACE" = { retention_h = 1 }\n')
    (folder / "beam.toml").write_text(BEAM)
    path = folder / "experiment.toml"
    path.write_text(path.read_text().replace('addr_list = ["127.0.0.1"]', f'addr_list = ["{ioc.address}"]'))
    return folder


class Role:
    """A process of the product."""

    def __init__(self, folder: Path, role: str, environ: dict[str, str]) -> None:
        self.folder, self.role = folder, role
        self.log = folder.parent / f"{role}.log"
        command = [sys.executable, "-m", "nualley.cli", "up", role, "--experiment", str(folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)

    def until(self, is_so) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not is_so():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT_S) == 0, self.log.read_text()


def n_samples(site: Site) -> int:
    record = site.open_archive().registry().by_name.get("T:TRACE")
    return record.n_stored if record else 0


def trace_of(folder: Path, run: str, capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main(["beam", "trace", run, "--json", "--experiment", str(folder)]) == 0
    return json.loads(capsys.readouterr().out)


def post(ioc: Ioc, archive: Role, site: Site) -> np.ndarray:
    """Let the IOC post waveforms, each received before the next, with a trip; return those that are no trip."""
    random, good = np.random.default_rng(5), []
    for number in range(N_TRACES):
        n_before = n_samples(site)
        trace = (SHAPE * random.normal(1, 0.05) * (0.05 if 20 <= number < 25 else 1.0)).astype(np.float32)
        ioc.set("T:TRACE", trace.tolist())
        archive.until(lambda n_before=n_before: n_samples(site) > n_before)
        if not 20 <= number < 25:
            good.append(trace.astype(np.float64))
    return np.array(good)


def drop_waveforms(site: Site) -> None:
    plan, clock = read_plan(site).plan, LaterClock(30)
    compactor = open_compactor(site.archive_folder, clock, kept_ns(plan), rules=trace_rules(plan))
    for job in compactor.due():
        compactor.run(job)
    for job in compactor.due():
        compactor.run(job)
    assert site.open_archive().snapshot().groups("T:TRACE", Level.RAW, 0, 2**62) == []


def test_waveforms_go_and_their_averages_stay(ioc: Ioc, experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = open_site(experiment)
    detector = next(iter(site.configuration.detectors))
    archive = Role(experiment, "archive", {**ioc.environment, "NUALLEY_ARCHIVE__ROTATE_S": "2"})
    try:
        archive.until(lambda: role_state(site.configuration.store, "archive").control)
        archive.until(lambda: n_samples(site) > 0)  # what the record held when the archive connected
        time.sleep(0.2)  # the run begins behind it
        start_ns = time.time_ns()
        good = post(ioc, archive, site)
        stop_ns = time.time_ns()
        archive.until(lambda: site.open_archive().alive_until_ns("T:POWER") >= stop_ns)
    finally:
        archive.stop()
    run = Run(
        run_id=f"{detector}-1", detector=detector, number=1, start_ns=start_ns, stop_ns=stop_ns,
        time_source=TimeSource.GIVEN,
    )  # fmt: skip
    site.catalog().register_run(run)
    before = trace_of(experiment, run.run_id, capsys)
    assert (before["source"], before["n"], before["n_vetoed"]) == ("raw", 55, 5)
    np.testing.assert_allclose(before["mean"], good.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(before["rms"], good.std(axis=0), rtol=1e-9, atol=1e-15)
    # the next start seals what is left, and the worker keeps the average of the run
    archive = Role(experiment, "archive", ioc.environment)
    worker = Role(experiment, "worker", ioc.environment)
    path = site.configuration.store / "exposure" / "traces" / detector / f"{run.run_id}.parquet"
    try:
        archive.until(lambda: role_state(site.configuration.store, "archive").control)
        worker.until(path.is_file)
    finally:
        worker.stop()
        archive.stop()
    files = open_site(experiment).archive().snapshot().files
    assert sum(file.level is Level.WAVE for file in files) >= 2, "sealed by a child more than once"
    drop_waveforms(site)
    kept = trace_of(experiment, run.run_id, capsys)
    assert kept["source"] == "kept"
    assert kept | {"source": ""} == before | {"source": ""}
    assert verify_archive(site.archive_folder).is_intact
    # and without it: minutes that lie in the run as a whole, the others are told
    path.unlink()
    minutes = trace_of(experiment, run.run_id, capsys)
    told = minutes["n"] + minutes["n_vetoed"]
    assert minutes["source"] == "minutes"
    assert told + minutes["n_cut"] >= N_TRACES
