"""A DAQ of the miniature alley: ``python -m nualley.demo.daq``; it takes runs and writes real files."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from nualley.core import SECOND_NS, end_with_parent
from nualley.demo.control import ControlSender, DaqState
from nualley.demo.pulses import draw_events
from nualley.demo.runs import DIGITIZERS, RUN_WRITERS, RunWriter, next_number, note_number, planned_pause
from nualley.demo.scenarios import TRUNCATING, Scenario
from nualley.demo.world import World

_STEP_S = 0.25
_REPEAT_S = 1.0  # the state is told again: an IOC that was started anew knows nothing
_BACKGROUND_HZ = 4.0
_BEAM_HZ = 4.0  # at full power
_NUCLEAR_FRACTION = 0.6  # of what comes with the beam
_DEAD_S = 0.004  # per event
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DaqPlan:
    """What a DAQ does.

    Parameters
    ----------
    detector : str
        Its id.
    prefix : str
        Its part of the PV names.
    format : str
        ``wavedump`` or ``cohar750-hdf5``.
    drop : Path
        Where runs are written, each in a folder of its own.
    state_file : Path
        Where the last run number is kept.
    run_s : float
        How long a run lasts [s], > 0.
    gap_s : float
        Time between runs [s], > 0.
    truncated_run : int
        Which run of this process ends in half an event, from 1; 0: none.
    """

    detector: str
    prefix: str
    format: str
    drop: Path
    state_file: Path
    run_s: float = 10.0
    gap_s: float = 0.5
    truncated_run: int = 0


class Daq:
    """Takes one run after the other.

    Parameters
    ----------
    plan : DaqPlan
        What to do.
    world : World
        Whose beam it sees.
    start_ns : int
        When the world began [ns since 1970 UTC].
    control : ControlSender
        Takes its state.
    stopped : threading.Event
        Ends it: the run that is under way is ended properly.
    """

    def __init__(
        self, plan: DaqPlan, world: World, *, start_ns: int, control: ControlSender, stopped: threading.Event
    ) -> None:
        self._plan = plan
        self._world = world
        self._start_ns = start_ns
        self._control = control
        self._stopped = stopped
        self._rng = np.random.default_rng((world.seed, 4, *plan.detector.encode()))
        self._told = DaqState(plan.prefix, "Stopped", 0, 0.0, 0.0)
        self._told_s = 0.0
        self.n_events = 0

    def take_runs(self) -> None:
        """Take runs until stopped."""
        count = 0
        while not self._stopped.is_set():
            number = next_number(self._plan.drop, self._plan.state_file)
            note_number(self._plan.state_file, number)
            count += 1
            self.take_run(number, truncated=count == self._plan.truncated_run)
            self._rest(self._plan.gap_s)

    def take_run(self, number: int, *, truncated: bool = False) -> None:
        """Take one run; the DAQ says Running before the first event, and Stopped when its files are closed."""
        folder = self._plan.drop / f"run{number:05d}"
        folder.mkdir(parents=True)
        writer = RUN_WRITERS[self._plan.format](folder, DIGITIZERS[self._plan.format])
        pause = planned_pause(self._world.seed, number, self._plan.run_s)
        begun_s = time.monotonic()
        done_s = 0.0
        self._tell("Running", number, rate_Hz=self._rate_Hz())
        _log.info("run.begin", detector=self._plan.detector, run=number)
        while done_s < self._plan.run_s and not self._stopped.is_set():
            self._rest(min(_STEP_S, max(0.0, self._plan.run_s - done_s)))
            now_s = time.monotonic() - begun_s
            is_paused = pause is not None and pause.start_s <= now_s < pause.stop_s
            if is_paused:
                self._tell("Paused", number)
            else:
                self._record(writer, done_s, now_s)
                self._tell("Running", number, rate_Hz=self._rate_Hz())
            done_s = now_s
        writer.close(truncated=truncated)
        self._tell("Stopped", number)
        _log.info("run.end", detector=self._plan.detector, run=number, n_events=self.n_events)
        self.n_events = 0

    def _record(self, writer: RunWriter, from_s: float, to_s: float) -> None:
        step_s = to_s - from_s
        n_background = int(self._rng.poisson(_BACKGROUND_HZ * step_s))
        n_beam = int(self._rng.poisson(_BEAM_HZ * self._power_fraction() * step_s))
        n_nuclear = int(self._rng.binomial(n_beam, _NUCLEAR_FRACTION))
        n_events = n_background + n_beam
        if not n_events:
            return
        times_s = np.sort(self._rng.uniform(from_s, to_s, n_events))
        waveforms = draw_events(self._rng, DIGITIZERS[self._plan.format], n_events - n_nuclear, n_nuclear)
        writer.write(waveforms, [int(time_s * SECOND_NS) for time_s in times_s])
        self.n_events += n_events

    def _power_fraction(self) -> float:
        return self._world.power_MW((time.time_ns() - self._start_ns) / SECOND_NS) / 1.4

    def _rate_Hz(self) -> float:
        return _BACKGROUND_HZ + _BEAM_HZ * self._power_fraction()

    def _tell(self, state: str, number: int, rate_Hz: float = 0.0) -> None:
        live = 1.0 - _DEAD_S * rate_Hz if state == "Running" else 0.0
        told = DaqState(self._plan.prefix, state, number, live, rate_Hz)
        is_news = (told.state, told.run) != (self._told.state, self._told.run)
        if is_news or time.monotonic() - self._told_s >= _REPEAT_S:
            self._control.send(told)
            self._told, self._told_s = told, time.monotonic()

    def _rest(self, seconds: float) -> None:
        self._stopped.wait(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take runs until SIGTERM.

    Returns
    -------
    int
        0: the last run was ended properly.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", required=True, help="its id, such as cenns-10")
    parser.add_argument("--prefix", required=True, help="its part of the PV names, such as CENNS10")
    parser.add_argument("--format", required=True, choices=sorted(RUN_WRITERS))
    parser.add_argument("--directory", type=Path, required=True, help="drop directory")
    parser.add_argument("--state-file", type=Path, required=True, help="where the last run number is kept")
    parser.add_argument("--control", required=True, help="name of the socket of the demo's IOC")
    parser.add_argument("--start-ns", type=int, required=True, help="when the world began [ns since 1970 UTC]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", type=Scenario, default=Scenario.NONE)
    parser.add_argument("--run-seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    end_with_parent(signal.SIGTERM, os.environ)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    plan = DaqPlan(
        detector=options.detector,
        prefix=options.prefix,
        format=options.format,
        drop=options.directory,
        state_file=options.state_file,
        run_s=options.run_seconds,
        truncated_run=int(options.scenario in TRUNCATING),
    )
    control = ControlSender(options.control)
    world = World(options.seed, options.scenario)
    Daq(plan, world, start_ns=options.start_ns, control=control, stopped=stopped).take_runs()
    control.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
