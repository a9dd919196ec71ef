"""What is installed, reachable and writable."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nualley import __version__
from nualley.app.backup import backup_check
from nualley.app.flow import check_flow
from nualley.app.locks import role_state
from nualley.app.removals import purge_states, trash_items
from nualley.app.site import Site
from nualley.archive import ArchiveMissingError, PvState
from nualley.core import Check, CheckResult, CheckState, NualleyError, first_few, format_time, reason
from nualley.daq import ReadersCheck
from nualley.ingest import QuarantineCheck, RunTimesCheck, WaitingCheck
from nualley.ingest.adapters.posix import PosixDropFiles
from nualley.replicas import PurgeCheck, TransfersCheck, TrashCheck
from nualley.storage import WARN_DAYS, DriveCheck, FillCheck, FillForecast, HealthCheck
from nualley.storage.adapters.health import machine_health

_LIBRARIES = (
    "epicscorelibs", "llvmlite", "p4p", "aiomqtt", "pyarrow", "sqlalchemy", "h5py", "pyzmq", "fastapi", "matplotlib",
)  # fmt: skip
_OPTIONAL = {"softioc": "nualley demo needs it: pip install 'nualley[demo]'"}
_MIN_FREE_FRACTION = 0.03
_REFUSED = frozenset({PvState.QUARANTINED, PvState.UNREADABLE})


def examine_machine() -> Iterator[CheckResult]:
    """Look at the interpreter and the libraries."""
    python = platform.python_version()
    yield CheckResult("machine.python", CheckState.OK, f"Python {python} at {sys.executable}, nualley {__version__}")
    for name in _LIBRARIES:
        yield _library(name, CheckState.FAILED, "install nualley anew: make install")
    for name, do in _OPTIONAL.items():
        yield _library(name, CheckState.WARNING, do)


def _library(name: str, state: CheckState, do: str) -> CheckResult:
    try:
        return CheckResult(f"library.{name}", CheckState.OK, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return CheckResult(f"library.{name}", state, "not installed", do)


def site_checks(site: Site) -> list[tuple[str, Check]]:
    """Return every check of an experiment, by the name of what it looks at.

    Parameters
    ----------
    site : Site
        The experiment; its repository is checked already.
    """
    configuration = site.configuration
    drops, ingest = configuration.storage.drop, configuration.ingest

    def waiting() -> list[CheckResult]:
        files = PosixDropFiles()
        return WaitingCheck(site.catalog(), files, drops, settings=ingest, clock=site.clock)()

    return [
        ("experiment", lambda: [_experiment(site)]),
        ("store", lambda: [_store(configuration.store)]),
        ("storage.drives", DriveCheck(site.drive_usages)),
        ("storage.health", HealthCheck(machine_health)),
        ("storage.fill", FillCheck(lambda: _near_forecasts(site))),
        ("daq.readers", ReadersCheck()),
        ("processes", site.processes),
        ("archive", lambda: [_archive(site)]),
        ("archive.files", site.archive_files),
        ("archive.flow", lambda: check_flow(role_state(configuration.store, "archive"))),
        ("archive.pvs", lambda: _pvs(site)),
        ("catalog", lambda: [_catalog(site)]),
        ("catalog.backup", lambda: _backups(site)),
        ("replicas.transfers", TransfersCheck(lambda: site.catalog().transfers.transfers(is_open=True))),
        ("replicas.trash", TrashCheck(lambda: trash_items(site))),
        ("replicas.purge", PurgeCheck(lambda: purge_states(site))),
        ("ingest.drop", waiting),
        # the catalog is opened inside, so that its failure is one more result
        ("ingest.quarantine", lambda: QuarantineCheck(site.catalog(), drops)()),  # noqa: PLW0108
        ("ingest.run_times", lambda: RunTimesCheck(site.catalog())()),  # noqa: PLW0108
    ]


def _near_forecasts(site: Site) -> list[FillForecast]:
    from nualley.app.forecast import near_forecasts  # NumPy is heavy

    return near_forecasts(site, WARN_DAYS)


def examine_site(site: Site) -> Iterator[CheckResult]:
    """Run every check of an experiment; one that cannot look says so, and the others go on.

    Parameters
    ----------
    site : Site
        The experiment; its repository is checked already.
    """
    for name, check in site_checks(site):
        try:
            yield from check()
        except NualleyError as error:
            yield CheckResult(name, CheckState.FAILED, error.what, error.do)
        except OSError as error:
            yield CheckResult(
                name, CheckState.FAILED, f"this account cannot look: {reason(error)}", "look at its rights"
            )


def _experiment(site: Site) -> CheckResult:
    configuration = site.configuration
    detail = f"{configuration.experiment.name} at {configuration.directory}"
    return CheckResult("experiment.repository", CheckState.OK, detail)


def _store(path: Path) -> CheckResult:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        detail = f"{existing} is not writable by this account"
        return CheckResult("store", CheckState.FAILED, detail, "set store in experiment.toml, or its rights")
    if not path.is_dir():
        return CheckResult("store", CheckState.WARNING, f"{path} does not exist yet; it is made when it is needed")
    usage = shutil.disk_usage(path)
    # what the file system keeps for root is nobody's room, as for drives
    free_fraction = usage.free / max(usage.free + usage.used, 1)
    is_tight = free_fraction < _MIN_FREE_FRACTION
    detail = f"{path} is writable, {free_fraction:.1%} free"
    return CheckResult(
        "store", CheckState.WARNING if is_tight else CheckState.OK, detail, "make room" if is_tight else ""
    )


def _archive(site: Site) -> CheckResult:
    try:
        ledger, losses = site.archive().ledger(), site.archive().losses()
    except ArchiveMissingError as error:
        return CheckResult("archive.ledger", CheckState.WARNING, error.what, error.do)
    if losses:
        kept = len(list((site.archive_folder / "quarantine").glob("*.damaged")))
        detail = (
            f"commits of the log are lost ({sum(loss.n_commits for loss in losses)}), the last before "
            f"{format_time(losses[-1].stop_ns, digits=0)}; {kept} damaged stretches are kept"
        )
        return CheckResult("archive.ledger", CheckState.FAILED, detail, "look at the store's drive")
    counts = f"received {ledger.received} = stored {ledger.stored} + quarantined {ledger.quarantined} + filtered "
    state = CheckState.OK if ledger.is_balanced else CheckState.FAILED
    return CheckResult("archive.ledger", state, f"{counts}{ledger.filtered}, {ledger.gaps} gaps")


def _pvs(site: Site) -> list[CheckResult]:
    try:
        values = site.last_values()
    except ArchiveMissingError:
        return []
    if not role_state(site.configuration.store, "archive").is_held:
        return []  # nobody listens: how PVs stand says nothing
    expected = [value for value in values if value.state.is_expected]
    refused = sorted(f"{value.pv} ({value.why})" for value in expected if value.state in _REFUSED)
    wrong = sorted(f"{value.pv} {value.state}" for value in expected if not value.state.is_connected)
    n_by_state = Counter(str(value.state) for value in values if not value.state.is_expected)
    beside = "".join(f", {n} {state}" for state, n in sorted(n_by_state.items()))
    if wrong:
        detail = f"{len(wrong)} of {len(expected)} are not connected: {first_few(wrong)}{beside}"
        do = "look whether their IOC or broker runs, and whether [epics], [mqtt] and the names in pvs/*.toml are right"
        found = [CheckResult("archive.pvs", CheckState.WARNING, detail, do)]
    else:
        found = [CheckResult("archive.pvs", CheckState.OK, f"all {len(expected)} are connected{beside}")]
    if refused:
        detail = f"what came last is quarantined, and their value not known: {first_few(refused)}"
        do = "nualley archive quarantine PV shows it; a stamp that is wrong is of the clock of its IOC or device"
        found.append(CheckResult("archive.quarantine", CheckState.WARNING, detail, do))
    return found


def _backups(site: Site) -> list[CheckResult]:
    if site.configuration.catalog.web:
        return []  # the host that has it looks
    check = backup_check(site)
    if check is None:
        detail, do = "the worker makes no backups", "set catalog.backup_folder in experiment.toml, on another drive"
        return [CheckResult("catalog.backup", CheckState.UNKNOWN, detail, do)]
    return check()


def _catalog(site: Site) -> CheckResult:
    totals = site.catalog().totals()
    web = site.configuration.catalog.web
    where = f" at {web}" if web else ""
    return CheckResult("catalog", CheckState.OK, f"{totals.n_runs} runs, {totals.n_files} files{where}")
