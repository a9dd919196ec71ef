"""``nualley demo``: a miniature Neutrino Alley, and the product beside it."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nualley.app.stopping import Stop
from nualley.cli.options import Answer, Seconds, Whole
from nualley.cli.output import own_command, print_json, print_note, print_table, shown_number, shown_time
from nualley.core import ExitCode, UsageError
from nualley.demo import Scenario
from nualley.demo.places import demo_folder
from nualley.demo.session import DemoSession

_MIN_SECONDS = 5.0


def demo(
    *,
    seconds: Seconds | None = None,
    scenario: Scenario = Scenario.NONE,
    seed: Whole = 1,
    directory: Path | None = None,
    answer: Answer = Answer(),
) -> ExitCode:
    """Start a miniature Neutrino Alley (a real EPICS IOC, DAQs that write real files) and nualley beside it.

    Example: nualley demo --seconds 60

    Parameters
    ----------
    seconds : float
        How long the DAQs take data; by default until Ctrl-C.
    scenario : Scenario
        What goes wrong.
    seed : int
        Same seed, same beam.
    directory : Path
        Where everything is written and kept, new or of an earlier demo; by default a temporary folder that is removed
        at the end.
    """
    if seconds is not None and seconds < _MIN_SECONDS:
        raise UsageError(
            f"--seconds {seconds:g} is too short for a run", where="--seconds", do="give 15 or more; runs last 10 s"
        )
    stop = Stop()
    with stop.on_signals():
        with demo_folder(directory) as folder:
            session = DemoSession(folder, seed=seed, scenario=scenario, progress=_tell, stop=stop)
            account, code = _play(session, seconds)
        if answer.is_json:
            print_json(account)
        else:
            _print_account(account)
        sys.stdout.flush()
    return code


def _play(session: DemoSession, seconds: float | None) -> tuple[dict[str, Any], ExitCode]:
    print_note("starting the alley and nualley beside it ...")
    with session.running():
        experiment = session.site.configuration.directory
        print_note(f"\n  status page   {session.url or 'none, see above'}")
        print_note(f"  experiment    {experiment}")
        print_note(f"  try           {own_command()} beam exposure --experiment {shlex.quote(str(experiment))}")
        print_note("  stop          Ctrl-C\n" if seconds is None else f"  stops         after {seconds:g} s\n")
        session.run(seconds)
        if seconds is None:
            print_note("\nstopping: the runs are ended and taken in (Ctrl-C again stops at once)")
        if not session.drain():
            print_note("not everything was taken in in time; the account shows what is missing")
        return session.account()


_WORDS = {
    "freeze-ioc": "the IOC hangs (SIGSTOP)",
    "thaw-ioc": "the IOC goes on (SIGCONT)",
    "kill-ioc": "the IOC is killed (SIGKILL)",
    "start-ioc": "the IOC serves",
    "start-daq": "a DAQ takes data",
    "start-product": "nualley up",
    "stop-product": "nualley stopped",
    "not-connected": "not every PV is connected",
    "no-page": "there is no status page",
}


def _tell(word: str, values: Mapping[str, object]) -> None:
    if word in _WORDS:
        details = ", ".join(f"{key} {value}" for key, value in values.items())
        print_note(f"  {_WORDS[word]} ({details})")


def _print_account(account: Mapping[str, Any]) -> None:
    archive = account["archive"]
    print(
        f"archive    received {archive['received']} = stored {archive['stored']} + quarantined "
        f"{archive['quarantined']} + filtered {archive['filtered']}; {archive['gaps']} gaps"
    )
    files = account["files"]
    print(f"files      {files['n']}, {files['n_verified_replicas']} verified replicas, {files['defects']} defects\n")
    runs = [
        [run["run_id"], shown_time(run["start_ns"]), shown_time(run["stop_ns"]), run["n_files"], run["n_events"]]
        for run in account["runs"]
    ]
    print_table(("run", "start (UTC)", "stop (UTC)", "files", "events"), runs, right=(3, 4))
    print()
    keys = ("pot", "pot_live", "energy_GWh", "beam_on_s", "livetime_s", "unknown_s", "n_pulses")
    rows = [
        [detector, *(shown_number(found[key], 5) for key in keys)] for detector, found in account["exposure"].items()
    ]
    print_table(("detector", *keys), rows, right=range(1, 8))
