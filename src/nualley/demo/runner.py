"""The miniature alley as processes: starts them, disturbs them, ends them."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nualley.app.stopping import Stop
from nualley.core import PARENT_PID, SystemClock
from nualley.demo.control import is_listening
from nualley.demo.errors import DemoError, stopped
from nualley.demo.scenarios import Action, Scenario, due_actions
from nualley.testing.ioc import EpicsPorts, without_epics

_READY_S = 60.0
_DAQ_STOP_S = 15.0
_IOC_STOP_S = 5.0
_TAIL_B = 2000
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class DemoDetector:
    """A detector that takes data in the demo.

    Parameters
    ----------
    detector : str
        Its id, such as ``cenns-10``.
    prefix : str
        Its part of the PV names: ``DEMO:<prefix>:DAQ:STATE``.
    format : str
        ``wavedump`` or ``cohar750-hdf5``.
    drop : Path
        Its drop directory.
    """

    detector: str
    prefix: str
    format: str
    drop: Path


class DemoWorld:
    """The IOC and the DAQs of the miniature alley.

    Parameters
    ----------
    directory : Path
        For logs and run numbers; made where it is absent.
    detectors : sequence of DemoDetector
        Who takes data.
    seed : int
        Same seed, same beam, >= 0.
    scenario : Scenario
        What goes wrong; `poll` does it when its time has come.
    run_s : float
        How long a run lasts [s], > 0.
    trace_rate_Hz : float
        POT traces shown a second, > 0, at most 60.
    on_progress : callable, optional
        Takes what happens as (word, mapping of values), such as ``("freeze-ioc", {"pid": 7})``.
    stop : Stop, optional
        Asked while it waits for its processes.

    Notes
    -----
    Start it from a thread that stays: the kernel ends the processes when that thread ends (PR_SET_PDEATHSIG).
    """

    def __init__(
        self,
        directory: Path,
        detectors: Sequence[DemoDetector],
        *,
        seed: int = 1,
        scenario: Scenario = Scenario.NONE,
        run_s: float = 10.0,
        trace_rate_Hz: float = 10.0,
        on_progress: Callable[[str, Mapping[str, object]], None] | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.directory = directory
        self.detectors = tuple(detectors)
        self.seed = seed
        self.scenario = scenario
        self.ports = EpicsPorts.free()
        self.start_ns = 0
        self._taking_since_ns = 0
        self._run_s = run_s
        self._trace_rate_Hz = trace_rate_Hz
        self._progress = on_progress or _silent
        self._stop = stop or Stop()
        self._control = f"nualley-demo-{os.getpid()}-{secrets.token_hex(8)}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._polled_s = 0.0
        self._is_frozen = False

    # ---------------------------------------------------------------- what a client needs
    @property
    def epics_addr_list(self) -> tuple[str, ...]:
        """Where Channel Access finds the IOC: for ``[epics] addr_list``."""
        return (f"127.0.0.1:{self.ports.ca}",)

    @property
    def environment(self) -> dict[str, str]:
        """EPICS variables by which any client finds this IOC and no other."""
        return self.ports.client_environment()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name: ``ioc`` and ``daq-<detector>``."""
        return {name: process.pid for name, process in self._processes.items() if process.poll() is None}

    @property
    def elapsed_s(self) -> float:
        """Time since the DAQs were started [s]; 0 before. A scenario's times count from there."""
        now_ns = SystemClock().now_ns()
        return (now_ns - (self._taking_since_ns or now_ns)) / 1e9

    # ---------------------------------------------------------------- start and end
    def start(self, before_daqs: Callable[[], None] | None = None) -> Self:
        """Start the IOC, wait until it serves, then start the DAQs.

        Parameters
        ----------
        before_daqs : callable, optional
            Called between the two: whoever is to hear of the first run begins to listen here.

        Raises
        ------
        DemoError
            Where a process does not start.
        DemoStoppedError
            Where it is to stop before it started.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start_ns = SystemClock().now_ns()
        try:
            self.start_ioc()
            if before_daqs:
                before_daqs()
            for detector in self.detectors:
                self._start_daq(detector)
            self._taking_since_ns = SystemClock().now_ns()
        except BaseException:
            self.stop()
            raise
        return self

    def stop_daqs(self) -> None:
        """End the DAQs: the runs that are under way are ended properly."""
        self._end([name for name in self._processes if name.startswith("daq-")], _DAQ_STOP_S)

    def stop(self) -> None:
        """End everything, DAQs first."""
        self.stop_daqs()
        self._end(["ioc"], _IOC_STOP_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def poll(self) -> None:
        """Do what the scenario has due, and see whether everyone still runs; to be called about once a second.

        Raises
        ------
        DemoError
            Where a process ended that nobody ended.
        """
        now_s = self.elapsed_s
        for action in due_actions(self.scenario, self._polled_s, now_s):
            self._actions[action]()
        self._polled_s = now_s
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise self._error(name, f"ended with status {process.returncode}")

    # ---------------------------------------------------------------- disturbances
    def freeze_ioc(self) -> None:
        """Stop the IOC in the middle (SIGSTOP): it hangs, its sockets stay open."""
        self._signal("ioc", signal.SIGSTOP, Action.FREEZE_IOC)
        self._is_frozen = True

    def thaw_ioc(self) -> None:
        """Let a hung IOC go on (SIGCONT)."""
        self._signal("ioc", signal.SIGCONT, Action.THAW_IOC)
        self._is_frozen = False

    def thaw_if_frozen(self) -> None:
        """Let the IOC go on where it hangs; one that runs is left alone."""
        if self._is_frozen:
            self.thaw_ioc()

    def kill_ioc(self) -> None:
        """End the IOC at once, as ``kill -9`` does."""
        self._signal("ioc", signal.SIGKILL, Action.KILL_IOC)
        self._processes.pop("ioc").wait()

    def start_ioc(self) -> None:
        """Start the IOC, on the same ports each time, and wait until it serves.

        Raises
        ------
        DemoError
            Where it does not.
        """
        prefixes = [word for detector in self.detectors for word in ("--prefix", detector.prefix)]
        rate = ("--trace-hz", str(self._trace_rate_Hz))
        self._spawn("ioc", "nualley.demo.ioc", [*self._shared, *rate, *prefixes])
        end_s = time.monotonic() + _READY_S
        while not is_listening(self._control):
            status = self._processes["ioc"].poll()
            if status is not None:
                raise self._error("ioc", f"ended with status {status} before it served")
            if time.monotonic() > end_s:
                raise self._error("ioc", f"did not serve within {_READY_S:g} s")
            if self._stop.is_asked:
                raise stopped("while it started")
            time.sleep(_LOOK_S)
        self._progress(Action.START_IOC, {"pid": self._processes["ioc"].pid, "address": self.epics_addr_list[0]})

    # ---------------------------------------------------------------- processes
    @property
    def _shared(self) -> list[str]:
        return [
            "--seed", str(self.seed), "--start-ns", str(self.start_ns), "--scenario", self.scenario,
            "--control", self._control,
        ]  # fmt: skip

    @property
    def _actions(self) -> dict[Action, Callable[[], None]]:
        return {
            Action.FREEZE_IOC: self.freeze_ioc,
            Action.THAW_IOC: self.thaw_ioc,
            Action.KILL_IOC: self.kill_ioc,
            Action.START_IOC: self.start_ioc,
        }

    def _start_daq(self, detector: DemoDetector) -> None:
        detector.drop.mkdir(parents=True, exist_ok=True)
        name = f"daq-{detector.detector}"
        arguments = [
            "--detector", detector.detector, "--prefix", detector.prefix, "--format", detector.format,
            "--directory", str(detector.drop), "--state-file", str(self.directory / f"{name}.json"),
            "--run-seconds", str(self._run_s),
        ]  # fmt: skip
        self._spawn(name, "nualley.demo.daq", [*self._shared, *arguments])
        self._progress("start-daq", {"pid": self._processes[name].pid, "detector": detector.detector})

    def _spawn(self, name: str, module: str, arguments: Sequence[str]) -> None:
        environ = {**without_epics(os.environ), **self.ports.server_environment(), "PYTHONUNBUFFERED": "1"}
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603  # our own module, by our own interpreter
                [sys.executable, "-m", "nualley.core.child", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environ, PARENT_PID: str(os.getpid())},
                start_new_session=True,
            )

    def _signal(self, name: str, number: int, word: str) -> None:
        process = self._processes[name]
        process.send_signal(number)
        self._progress(word, {"pid": process.pid, "elapsed_s": round(self.elapsed_s, 3)})

    def _end(self, names: Sequence[str], limit_s: float) -> None:
        ending = {name: self._processes.pop(name) for name in names if name in self._processes}
        for process in ending.values():
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # one that is frozen would not hear of its end
        began_s = time.monotonic()
        for name, process in ending.items():
            while process.poll() is None and time.monotonic() - began_s < self._stop.patience_s(limit_s):
                time.sleep(_LOOK_S)
            if process.poll() is None:
                process.kill()
                process.wait()
            self._progress("end", {"name": name, "status": process.returncode})

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _error(self, name: str, what: str) -> DemoError:
        with self._log(name).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL_B))
            tail = log.read().decode(errors="replace").strip()
        return DemoError(
            f"the demo's process {name!r} {what}; its last words: {tail or 'none'}",
            where=str(self._log(name)),
            do="nualley doctor says whether softioc is installed; otherwise read the log",
        )


def _silent(_word: str, _values: Mapping[str, object]) -> None:
    """Tell nobody."""
