"""A demo from beginning to end: the alley, the product beside it, and the account at the end."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from nualley.app.locks import role_state
from nualley.app.site import Site
from nualley.app.stopping import Stop
from nualley.archive import ArchiveMissingError
from nualley.catalog import ReplicaState
from nualley.config import WebSettings
from nualley.core import PARENT_PID, ExitCode
from nualley.demo.errors import DemoError, stopped
from nualley.demo.places import reserve_port
from nualley.demo.repository import write_repository
from nualley.demo.runner import DemoDetector, DemoWorld
from nualley.demo.scenarios import Scenario

DETECTORS = {"cenns-10": "CENNS10", "coh-ar-750": "AR750"}
"""Who takes data in the demo: detector -> its part of the PV names."""

CONNECT_S = 90.0
"""Every PV is to be connected and the status page to answer within so long [s]."""

DRAIN_S = 120.0
_POLL_S = 0.5
_LOOK_S = 0.02
_UP_STOP_S = 70.0

Progress = Callable[[str, Mapping[str, object]], None]


class DemoSession:
    """The alley and the product, started together.

    Parameters
    ----------
    directory : Path
        Where everything is written.
    seed : int
        Same seed, same beam.
    scenario : Scenario
        What goes wrong.
    progress : callable
        Takes what happens as (word, values).
    stop : Stop, optional
        Asked while time passes; whatever asks, everything is ended in order.
    """

    def __init__(
        self, directory: Path, *, seed: int, scenario: Scenario, progress: Progress, stop: Stop | None = None
    ) -> None:
        self._directory = directory
        self._progress = progress
        self._stop = stop or Stop()
        experiment = directory / "experiment"
        detectors = [
            DemoDetector(detector, prefix, _FORMATS[detector], experiment / "drop" / detector)
            for detector, prefix in DETECTORS.items()
        ]
        self.world = DemoWorld(
            directory / "world", detectors, seed=seed, scenario=scenario, on_progress=progress, stop=self._stop
        )
        self._port = reserve_port(WebSettings().port)
        with contextlib.ExitStack() as undo:
            undo.callback(self._port.close)
            port = self._port.getsockname()[1]
            self.site = Site(write_repository(experiment, addr_list=self.world.epics_addr_list, port=port))
            undo.pop_all()
        self.url: str | None = None
        self._product: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the alley and the product for the length of a ``with`` block; everything ends with it."""
        with contextlib.ExitStack() as ending:
            ending.callback(self._port.close)
            ending.callback(self.world.stop)
            ending.callback(self._stop_product)
            self.world.start(before_daqs=self._start_product)
            yield

    @property
    def product_pid(self) -> int | None:
        """Process id of ``nualley up``; None while it does not run."""
        is_running = self._product is not None and self._product.poll() is None
        return self._product.pid if self._product and is_running else None

    def restart_product(self) -> None:
        """Start ``nualley up`` again where it was killed, as systemd would."""
        if self.product_pid is None:
            self._product = None
            self._start_product()

    def run(self, seconds: float | None) -> None:
        """Let time pass.

        Parameters
        ----------
        seconds : float or None
            How long the DAQs take data [s]; None: until Ctrl-C.

        Raises
        ------
        DemoStoppedError
            Where it was to stop before its end, or was stopped by other means than Ctrl-C: nobody waits for an account.
        """
        end_s = math.inf if seconds is None else time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0 and not self._stop.is_asked:
            self.world.poll()
            self._check_product()
            time.sleep(min(_POLL_S, rest_s))
        is_wanted = seconds is None and self._stop.is_by_hand and not self._stop.is_hastened
        if self._stop.is_asked and not is_wanted:
            raise stopped("while the DAQs took data")

    def drain(self) -> bool:
        """Stop the DAQs, wait until every finished file is ingested and every run has its times, and stop the product.

        Returns
        -------
        bool
            Whether all was done within `DRAIN_S`.

        Raises
        ------
        DemoStoppedError
            Where it was asked to stop once more meanwhile.
        """
        n_asked = self._stop.n_asked
        self.world.thaw_if_frozen()
        self.world.stop_daqs()
        end_s = time.monotonic() + DRAIN_S
        while time.monotonic() < end_s:
            if self._stop.n_asked > n_asked:
                raise stopped("while its last files were taken in")
            if self._is_drained():
                break
            self._check_product()
            time.sleep(_POLL_S)
        is_drained = self._is_drained()
        self._stop_product()
        return is_drained

    def account(self) -> tuple[dict[str, object], ExitCode]:
        """Return what became of everything, and whether the ledgers add up."""
        site, catalog = self.site, self.site.catalog()
        ledger = site.archive().ledger()
        report = site.exposures().exposures()
        totals, totals_by_run = catalog.totals(), catalog.totals_by_run()
        runs = [
            {
                "run_id": run.run_id,
                "detector": run.detector,
                "start_ns": run.start_ns,
                "stop_ns": run.stop_ns,
                "n_files": totals_by_run[run.run_id].n_files,
                "n_events": totals_by_run[run.run_id].n_events,
            }
            for run in catalog.runs()
        ]
        is_balanced = ledger.is_balanced and self._protons_balance() and self._files_are_safe()
        found: dict[str, object] = {
            "archive": asdict(ledger),
            "runs": runs,
            "files": {
                "n": totals.n_files,
                "n_verified_replicas": totals.n_verified_replicas,
                "n_quarantined": totals.n_quarantined,
                "defects": totals.n_defects,
            },
            "exposure": {detector: amounts.to_json() for detector, amounts in report.detectors.items()},
            "web": {"url": self.url},
        }
        # who stops it before a DAQ has written anything finds no run, and nothing is missing
        is_complete = bool(runs) or not self._n_dropped()
        return found, ExitCode.DONE if is_balanced and is_complete else ExitCode.NOT_INTACT

    def _files_are_safe(self) -> bool:
        catalog = self.site.catalog()
        files = [file for run in catalog.runs() for file in catalog.files(run.run_id)]
        states = [{replica.state for replica in catalog.replicas(file.file_id)} for file in files]
        return all(ReplicaState.VERIFIED in found for found in states)

    def _protons_balance(self) -> bool:
        starts = [run.start_ns for run in self.site.catalog().runs() if run.start_ns is not None]
        if not starts:
            return True
        ledger = self.site.exposures().ledger(min(starts), self.site.clock.now_ns())
        return all(detector.is_balanced for detector in ledger.detectors.values())

    # -------------------------------------------------------------- the product
    def _start_product(self) -> None:
        log = (self._directory / "nualley-up.log").open("ab")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("EPICS_", "NUALLEY_"))}
        environ |= self.world.environment
        with log:
            self._product = subprocess.Popen(  # noqa: S603  # our own command, by our own interpreter
                [sys.executable, "-m", "nualley.cli", "up", "--experiment", str(self.site.configuration.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environ, PARENT_PID: str(os.getpid())},
                start_new_session=True,
            )
        self._progress("start-product", {"pid": self._product.pid})
        end_s = time.monotonic() + CONNECT_S
        while not (self._is_connected() and self._has_page()):
            self._check_product()
            if self._stop.is_asked:
                raise stopped("while it started")
            if time.monotonic() > end_s:
                self._tell_what_is_missing()
                return
            time.sleep(0.1)

    def _has_page(self) -> bool:
        # what the web process of this very store says once it answers: another program may answer at any port
        self.url = role_state(self.site.configuration.store, "web").url or None
        return self.url is not None

    def _tell_what_is_missing(self) -> None:
        if not self._is_connected():
            self._progress("not-connected", {"after_s": CONNECT_S})
        if not self._has_page():
            ended = role_state(self.site.configuration.store, "web").ended
            self._progress(
                "no-page", {"why": ended.error.what if ended else "it does not answer", "after_s": CONNECT_S}
            )

    def _is_connected(self) -> bool:
        try:
            records = self.site.archive().registry().by_code.values()
        except ArchiveMissingError:
            return False
        return bool(records) and all(record.is_connected for record in records)

    def _check_product(self) -> None:
        if self._product is not None and self._product.poll() is not None:
            log = self._directory / "nualley-up.log"
            raise DemoError(
                f"nualley up ended with status {self._product.returncode}",
                where=str(log),
                do=f"read the log: {log}",
            )

    def _stop_product(self) -> None:
        if self._product is None:
            return
        product, self._product = self._product, None
        began_s, n_asked = time.monotonic(), -1
        while product.poll() is None and time.monotonic() - began_s < _UP_STOP_S:
            if self._stop.n_asked > n_asked:  # each further request is handed on: it ends its own processes sooner
                n_asked = self._stop.n_asked
                product.send_signal(signal.SIGTERM)
            time.sleep(_LOOK_S)
        if product.poll() is None:
            product.kill()
        self._progress("stop-product", {"status": product.wait()})

    def _is_drained(self) -> bool:
        catalog = self.site.catalog()
        totals = catalog.totals()
        runs = catalog.runs()
        has_times = all(run.start_ns is not None and run.stop_ns is not None for run in runs)
        return totals.n_files + totals.n_quarantined >= self._n_dropped() and has_times

    def _n_dropped(self) -> int:
        drops = self.site.configuration.storage.drop
        return sum(1 for drop in drops for path in drop.path.rglob("*") if path.is_file())


_FORMATS = {"cenns-10": "wavedump", "coh-ar-750": "cohar750-hdf5"}
