"""The miniature alley as real processes: a real IOC, real files, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from nualley.core import SECOND_NS
from nualley.demo import DemoDetector, DemoError, DemoWorld, Scenario
from nualley.demo.world import World
from nualley.pv import Connection, EpicsSettings, Metadata, Sample
from nualley.testing.listener import Listener

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket]

LIMIT_S = 40
SCALARS = [
    "HEARTBEAT", "COUNTER", "BEAM:POWER", "BEAM:ENERGY", "BEAM:RATE", "BEAM:CHARGE", "ALLEY:RADIATION", "LAR:LEVEL",
    "LAR:T1", "LAR:T2", "LAR:T3", "LAR:T4", "LAR:P1", "LAR:P2",
    *(f"{name}:DAQ:{field}" for name in ("CENNS10", "AR750") for field in ("STATE", "RUN", "LIVE", "RATE")),
]  # fmt: skip
PVS = [f"DEMO:{name}" for name in [*SCALARS, "BEAM:TRACE"]]


def detectors(folder: Path) -> list[DemoDetector]:
    return [
        DemoDetector("cenns-10", "CENNS10", "wavedump", folder / "drop" / "cenns-10"),
        DemoDetector("coh-ar-750", "AR750", "cohar750-hdf5", folder / "drop" / "coh-ar-750"),
    ]


def until(condition, limit_s=LIMIT_S):
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.05)


def listening(world: DemoWorld, pvs=PVS, **epics) -> Listener:
    settings = EpicsSettings(addr_list=world.epics_addr_list, auto_addr_list=False, **epics)
    return Listener(settings, pvs, environ={**os.environ, **world.environment})


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()


def test_the_alley_is_served_and_recorded(tmp_path):
    world = DemoWorld(tmp_path / "demo", detectors(tmp_path), seed=5, run_s=3.0, trace_rate_Hz=20.0)
    with world, listening(world) as listener:
        for pv in PVS:
            listener.wait_for(Sample, pv)
        for prefix in ("CENNS10", "AR750"):
            state, run = f"DEMO:{prefix}:DAQ:STATE", f"DEMO:{prefix}:DAQ:RUN"
            listener.wait_for(Sample, run, lambda sample: sample.value == 2)
            listener.wait_for(Sample, state, lambda sample: sample.value == 0)
            begun = listener.found(Sample, run)[-1].time_ns
            running = listener.wait_for(Sample, state, lambda s, begun=begun: s.value == 1 and s.time_ns >= begun)
            assert running.time_ns - begun < SECOND_NS  # the run number is there when the DAQ says Running
        world.poll()
        world.stop_daqs()
        for prefix in ("CENNS10", "AR750"):
            n_stopped = len(listener.found(Sample, f"DEMO:{prefix}:DAQ:STATE"))
            listener.wait_for(
                Sample, f"DEMO:{prefix}:DAQ:STATE", lambda sample: sample.value == 0, after=max(0, n_stopped - 1)
            )
        counts = [sample.value for sample in listener.found(Sample, "DEMO:COUNTER")]
        assert counts == list(range(counts[0], counts[0] + len(counts)))
        check_beam(listener, World(5), world.start_ns)
        labels = listener.wait_for(Metadata, "DEMO:CENNS10:DAQ:STATE").labels
        assert labels == ("Stopped", "Running", "Paused")
        units = {pv: listener.wait_for(Metadata, f"DEMO:{pv}").unit for pv in ("BEAM:POWER", "BEAM:TRACE", "LAR:T1")}
        assert units == {"BEAM:POWER": "MW", "BEAM:TRACE": "A", "LAR:T1": "K"}
        pids = list(world.pids.values())
    until(lambda: not any(is_alive(pid) for pid in pids))
    check_files(tmp_path)


def check_beam(listener: Listener, model: World, start_ns: int) -> None:
    """What the IOC serves is the model at the stamp of the sample."""
    for sample in listener.found(Sample, "DEMO:BEAM:POWER")[1:]:
        expected = model.power_MW((sample.time_ns - start_ns) / SECOND_NS)
        assert sample.value == pytest.approx(expected, abs=0.01)
        assert sample.severity == 0
    traces = listener.found(Sample, "DEMO:BEAM:TRACE")
    assert len(traces[-1].value) == 2000
    assert traces[-1].value.max() > 40
    assert len({sample.time_ns for sample in traces}) == len(traces)


def check_files(folder: Path) -> None:
    waves = sorted((folder / "drop" / "cenns-10").glob("run*/wave0.dat"))
    assert [path.parent.name for path in waves][:2] == ["run00001", "run00002"]
    event_B = 24 + 2 * 1536
    assert all(path.stat().st_size % event_B == 0 for path in waves)
    assert waves[0].stat().st_size >= 5 * event_B
    assert (waves[0].parent / "WaveDumpConfig.txt").exists()
    files = sorted((folder / "drop" / "coh-ar-750").glob("run*/run*.h5"))
    with h5py.File(files[0]) as file:
        samples = file["board0/waveforms"][:]
        times_ns = file["board0/timestamps"][:]
    assert samples.shape[1:] == (4, 1024)
    assert len(samples) == len(times_ns) >= 5
    assert (np.diff(times_ns.astype(np.int64).ravel()) >= 0).all()


def test_a_second_world_goes_on_with_the_run_numbers_and_one_file_may_be_truncated(tmp_path):
    cenns = detectors(tmp_path)[:1]
    drop = cenns[0].drop
    with DemoWorld(tmp_path / "demo", cenns, run_s=1.0):
        until((drop / "run00002").exists)
    last = max(int(path.name[3:]) for path in drop.iterdir())
    for path in drop.iterdir():  # the product took them away
        path.rename(tmp_path / path.name)
    with DemoWorld(tmp_path / "demo", cenns, run_s=1.0, scenario=Scenario.TRUNCATED_FILE):
        until((drop / f"run{last + 2:05d}").exists)
    sizes = [(drop / f"run{last + 1:05d}" / f"wave{n}.dat").stat().st_size % (24 + 2 * 1536) for n in (0, 1)]
    assert sizes[0] > 24
    assert sizes[1] == 0


def test_the_ioc_can_be_frozen_thawed_killed_and_started_anew(tmp_path):
    told = []
    world = DemoWorld(tmp_path, [], on_progress=lambda *news: told.append(news))
    with world, listening(world, ["DEMO:HEARTBEAT"], life_s=1.0) as listener:
        listener.wait_for(Sample, "DEMO:HEARTBEAT")
        world.freeze_ioc()
        assert not listener.wait_for(Connection, after=1).is_connected
        world.thaw_ioc()
        assert listener.wait_for(Connection, after=2).is_connected
        world.kill_ioc()
        assert not listener.wait_for(Connection, after=3).is_connected
        world.start_ioc()
        assert listener.wait_for(Connection, after=4).is_connected
        world.freeze_ioc()  # a frozen one ends, too
        (pid,) = world.pids.values()
    assert not is_alive(pid)
    words = ["start-ioc", "freeze-ioc", "thaw-ioc", "kill-ioc", "start-ioc", "freeze-ioc", "end"]
    assert [word for word, _ in told] == words
    assert told[-1][1]["status"] == 0  # it was let go on to hear of its end, and ended by itself


def test_no_client_can_put_to_the_demo(tmp_path):
    script = (
        "import asyncio, aioca\n"
        "async def put():\n"
        "    print(bool(await aioca.caput('DEMO:LAR:LEVEL', 1.0, wait=True, throw=False, timeout=5)))\n"
        "    print(await aioca.caget('DEMO:LAR:LEVEL') > 50)\n"
        "asyncio.run(put())\n"
    )
    with DemoWorld(tmp_path, []) as world:
        environ = {**os.environ, **world.environment}
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_scenario_is_done_by_poll(tmp_path):
    told = []
    world = DemoWorld(tmp_path, [], scenario=Scenario.KILLED_IOC, on_progress=lambda word, _: told.append(word))
    with world:
        world._taking_since_ns -= 9 * SECOND_NS
        world.poll()
        assert world.pids == {}
        world._taking_since_ns -= 10 * SECOND_NS
        world.poll()
        world.poll()
        assert list(world.pids) == ["ioc"]
        world.scenario, world._polled_s = Scenario.HUNG_IOC, 0.0
        world.poll()
        world.poll()
    assert told == ["start-ioc", "kill-ioc", "start-ioc", "freeze-ioc", "thaw-ioc", "end"]


def test_a_process_that_ends_by_itself_is_said_with_its_last_words(tmp_path):
    bad = DemoDetector("cenns-10", "CENNS10", "no-such-format", tmp_path / "drop")
    with DemoWorld(tmp_path / "demo", [bad]) as world:
        until(lambda: "daq-cenns-10" not in world.pids)
        with pytest.raises(DemoError, match=r"process 'daq-cenns-10' ended with status 2; (?s:.*)invalid choice"):
            world.poll()


def test_an_ioc_that_does_not_start_is_said_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("nualley.demo.runner.sys.executable", "/bin/false")
    with pytest.raises(DemoError, match=r"process 'ioc' ended with status 1 before it served; its last words: none"):
        DemoWorld(tmp_path, detectors(tmp_path)).start()


@pytest.mark.fault
def test_nothing_outlives_a_runner_that_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from nualley.demo import DemoDetector, DemoWorld\n"
        "folder = Path(sys.argv[1])\n"
        "world = DemoWorld(folder, [DemoDetector('cenns-10', 'CENNS10', 'wavedump', folder / 'drop')]).start()\n"
        "print(*world.pids.values(), flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as runner:
        pids = [int(word) for word in runner.stdout.readline().split()]
        assert len(pids) == 2
        until(lambda: list((tmp_path / "drop").glob("run*/wave0.dat")))
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    until(lambda: not any(is_alive(pid) for pid in pids))
    assert "run.end" in (tmp_path / "daq-cenns-10.log").read_text()  # its run was ended properly
