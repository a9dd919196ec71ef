"""``nualley demo``: a miniature Neutrino Alley, and the product beside it."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nualley.cli.output import print_json, print_note, print_table, shown_number, shown_time
from nualley.core import ExitCode, UsageError
from nualley.demo import Scenario
from nualley.demo.session import DemoSession

_MIN_SECONDS = 5.0


def demo(  # each is an option of its own
    *,
    seconds: float | None = None,
    scenario: Literal["none", "beam-trip", "hung-ioc", "killed-ioc", "truncated-file"] = "none",
    seed: int = 1,
    directory: Path | None = None,
    format: Literal["text", "json"] = "text",  # noqa: A002  # the option's name
    json: Annotated[bool, Parameter(negative="")] = False,
) -> ExitCode:
    """Start a miniature Neutrino Alley (a real EPICS IOC, DAQs that write real files) and nualley beside it.

    Example: nualley demo --seconds 60

    Parameters
    ----------
    seconds : float
        How long the DAQs take data; by default until Ctrl-C.
    scenario : str
        What goes wrong.
    seed : int
        Same seed, same beam.
    directory : Path
        Where everything is written and kept; by default a temporary folder that is removed at the end.
    format : str
        How the account at the end is written.
    json : bool
        Short for --format json.
    """
    if seconds is not None and not seconds >= _MIN_SECONDS:
        raise UsageError(
            f"--seconds {seconds:g} is too short for a run", where="--seconds", do="give 15 or more; runs last 10 s"
        )
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative", where="--seed", do="give 0 or more")
    folder = directory or Path(tempfile.mkdtemp(prefix="nualley-demo-"))
    try:
        account, code = _play(folder.absolute(), seconds=seconds, scenario=Scenario(scenario), seed=seed)
    finally:
        if directory is None:
            shutil.rmtree(folder, ignore_errors=True)
    if json or format == "json":
        print_json(account)
    else:
        _print_account(account)
    return code


def _play(folder: Path, *, seconds: float | None, scenario: Scenario, seed: int) -> tuple[dict[str, Any], ExitCode]:
    print_note("starting the alley and nualley beside it ...")
    session = DemoSession(folder, seed=seed, scenario=scenario, progress=_tell)
    with session.running():
        print_note(f"\n  status page   {session.url}")
        print_note(f"  experiment    {session.site.configuration.directory}")
        command = f"nualley beam exposure --experiment {session.site.configuration.directory}"
        print_note(f"  try           {command}")
        print_note("  stop          Ctrl-C\n" if seconds is None else f"  stops         after {seconds:g} s\n")
        try:
            session.run(seconds)
        except KeyboardInterrupt:
            if seconds is not None:
                raise
            print_note("\nstopping: the runs are ended and taken in (Ctrl-C again stops at once)")
        if not session.drain():
            print_note("not everything was taken in in time; the account shows what is missing")
        account, code = session.account()
    return account, code


_WORDS = {
    "freeze-ioc": "the IOC hangs (SIGSTOP)",
    "thaw-ioc": "the IOC goes on (SIGCONT)",
    "kill-ioc": "the IOC is killed (SIGKILL)",
    "start-ioc": "the IOC serves",
    "start-daq": "a DAQ takes data",
    "start-product": "nualley up",
    "stop-product": "nualley stopped",
    "not-connected": "not every PV is connected",
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
    sys.stdout.flush()
