"""The IOC of the miniature alley: ``python -m nualley.demo.ioc``; it owns its records and takes no puts."""

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from softioc import asyncio_dispatcher, builder, softioc

from nualley.core import SECOND_NS, end_with_parent
from nualley.demo.control import ControlReceiver, DaqState
from nualley.demo.scenarios import Scenario
from nualley.demo.world import TRACE_SAMPLES, World

STATES = ("Stopped", "Running", "Paused")
_BEAM_PERIOD_S = 0.2
_OURS = {"DISP": 1}  # no client may put


def _number(name: str, unit: str, digits: int, **fields: object) -> Any:
    return builder.aOut(f"DEMO:{name}", initial_value=0.0, EGU=unit, PREC=digits, **_OURS, **fields)


def _limits(low: float | None, high: float | None, margin: float) -> dict[str, object]:
    """Return alarm limits: MINOR at the limit, MAJOR a margin further out."""
    found: dict[str, object] = {}
    if low is not None:
        found |= {"LOW": low, "LSV": "MINOR", "LOLO": low - margin, "LLSV": "MAJOR"}
    if high is not None:
        found |= {"HIGH": high, "HSV": "MINOR", "HIHI": high + margin, "HHSV": "MAJOR"}
    return found


class Records:
    """Every record of the demo.

    Parameters
    ----------
    prefixes : sequence of str
        Detectors whose DAQs report, such as ``CENNS10``.
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.heartbeat = builder.longOut("DEMO:HEARTBEAT", initial_value=0, **_OURS)
        self.counter = builder.longOut("DEMO:COUNTER", initial_value=0, **_OURS)
        self.power = _number("BEAM:POWER", "MW", 4, **_limits(None, 1.6, 0.2))
        self.energy = _number("BEAM:ENERGY", "MeV", 1, **_limits(930.0, 1020.0, 10.0))
        self.rate = _number("BEAM:RATE", "Hz", 1)
        self.charge = _number("BEAM:CHARGE", "uC", 4)
        self.trace = builder.WaveformOut(
            "DEMO:BEAM:TRACE", length=TRACE_SAMPLES, datatype="float32", EGU="A", PREC=2, **_OURS
        )
        self.radiation = _number("ALLEY:RADIATION", "uSv/h", 3, **_limits(None, 5.0, 5.0))
        self.level = _number("LAR:LEVEL", "%", 2, **_limits(70.0, None, 10.0))
        self.temperatures = [_number(f"LAR:T{n}", "K", 3, **_limits(None, 88.5, 1.5)) for n in range(1, 5)]
        self.pressures = [_number(f"LAR:P{n}", "bar", 3, **_limits(0.95, 1.2, 0.2)) for n in range(1, 3)]
        self.daqs = {prefix: DaqRecords(prefix) for prefix in prefixes}

    def show_beam(self, world: World, time_s: float) -> None:
        """Write what changes quickly."""
        state = world.state(time_s)
        self.energy.set(round(state.energy_MeV, 1))
        self.power.set(round(state.power_MW, 4))
        self.rate.set(state.rate_Hz)
        self.charge.set(round(state.charge_uC, 4))

    def show_slow(self, world: World, time_s: float) -> None:
        """Write what changes slowly, and the heartbeat."""
        state = world.state(time_s)
        self.heartbeat.set(self.heartbeat.get() + 1)
        self.radiation.set(round(state.radiation_uSv_h, 3))
        self.level.set(round(state.level_percent, 2))
        for record, value in zip(self.temperatures, state.temperatures_K, strict=True):
            record.set(round(value, 3))
        for record, value in zip(self.pressures, state.pressures_bar, strict=True):
            record.set(round(value, 3))

    def show_trace(self, world: World, time_s: float) -> None:
        """Write the current of one pulse."""
        self.trace.set(world.trace_A(time_s))

    def count(self, _world: World, _time_s: float) -> None:
        """Go on counting: whoever misses a number lost an update."""
        self.counter.set(self.counter.get() + 1)


class DaqRecords:
    """The records of one DAQ.

    Parameters
    ----------
    prefix : str
        Its part of the PV names.
    """

    def __init__(self, prefix: str) -> None:
        base = f"{prefix}:DAQ"
        self._run = builder.longOut(f"DEMO:{base}:RUN", initial_value=0, **_OURS)
        self._live = _number(f"{base}:LIVE", "", 3)
        self._rate = _number(f"{base}:RATE", "Hz", 2)
        self._state = builder.mbbOut(f"DEMO:{base}:STATE", *STATES, initial_value=0, **_OURS)

    def show(self, state: DaqState) -> None:
        """Write what a DAQ said: the state last, so that the run number is there when it says Running."""
        number = STATES.index(state.state)
        for record, value in (
            (self._run, state.run),
            (self._live, round(state.live, 3)),
            (self._rate, round(state.rate_Hz, 2)),
            (self._state, number),
        ):
            if record.get() != value:
                record.set(value)


@dataclass(slots=True)
class _Job:
    period_s: float
    show: Callable[[World, float], None]
    next_s: float = 0.0


def run_jobs(jobs: Sequence[_Job], world: World, start_ns: int, stopped: threading.Event) -> None:
    """Do each job in its rhythm until stopped; what a hang let pass is not made up for.

    Parameters
    ----------
    jobs : sequence of _Job
        What to show, and how often.
    world : World
        What to show of.
    start_ns : int
        When the world began [ns since 1970 UTC].
    stopped : threading.Event
        Ends it.
    """
    while not stopped.is_set():
        time_s = (time.time_ns() - start_ns) / SECOND_NS
        for job in jobs:
            if time_s >= job.next_s:
                job.show(world, time_s)
                job.next_s = max(job.next_s + job.period_s, time_s)
        stopped.wait(max(0.001, min(job.next_s for job in jobs) - (time.time_ns() - start_ns) / SECOND_NS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the alley until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start-ns", type=int, required=True, help="when the world began [ns since 1970 UTC]")
    parser.add_argument("--scenario", type=Scenario, default=Scenario.NONE)
    parser.add_argument("--trace-hz", type=float, default=10.0, help="traces shown a second, at most 60")
    parser.add_argument("--control", required=True, help="name of the socket on which DAQs report")
    parser.add_argument("--prefix", action="append", default=[], help="a detector's part of the PV names")
    options = parser.parse_args(arguments)
    end_with_parent(signal.SIGKILL, os.environ)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    world = World(options.seed, options.scenario)
    records = Records(options.prefix)
    builder.LoadDatabase()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    jobs = [
        _Job(_BEAM_PERIOD_S, records.show_beam),
        _Job(1.0, records.show_slow),
        _Job(0.1, records.count),
        _Job(1.0 / min(options.trace_hz, 60.0), records.show_trace),
    ]
    control = ControlReceiver(options.control)
    listener = threading.Thread(target=_listen, args=(control, records.daqs, stopped), daemon=True)
    listener.start()
    run_jobs(jobs, world, options.start_ns, stopped)
    listener.join()
    control.close()


def _listen(control: ControlReceiver, daqs: dict[str, DaqRecords], stopped: threading.Event) -> None:
    while not stopped.is_set():
        for prefix, state in control.receive(0.2).items():
            if prefix in daqs:
                daqs[prefix].show(state)


if __name__ == "__main__":
    main()
