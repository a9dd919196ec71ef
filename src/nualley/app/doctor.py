"""What is installed, reachable and writable."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from nualley import __version__
from nualley.app.locks import RoleState, role_state
from nualley.app.roles import ROLES
from nualley.app.site import Site
from nualley.core import CheckResult, CheckState, NualleyError, UnreachableError

_LIBRARIES = ("aioca", "pyarrow", "sqlalchemy", "h5py", "pyzmq", "fastapi", "matplotlib")
_OPTIONAL = {"softioc": "nualley demo needs it: pip install 'nualley[demo]'"}
_MIN_FREE_FRACTION = 0.03


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


def examine_site(site: Site) -> Iterator[CheckResult]:
    """Look at an experiment: its store, drives, drop directories, processes, archive and catalog.

    Parameters
    ----------
    site : Site
        The experiment; its repository is checked already.
    """
    configuration = site.configuration
    yield CheckResult(
        "experiment.repository", CheckState.OK, f"{configuration.experiment.name} at {configuration.directory}"
    )
    yield _folder("store", configuration.store, "set store in experiment.toml")
    for drop in configuration.storage.drop:
        yield _folder(f"drop.{drop.detector}", drop.path, "let the DAQ write there, or change [[drop]] in drives.toml")
    yield from _drives(site)
    for role in ROLES:
        yield _process(role_state(configuration.store, role))
    yield _archive(site)
    yield _catalog(site)


def _folder(name: str, path: Path, do: str) -> CheckResult:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return CheckResult(name, CheckState.FAILED, f"{existing} is not writable by this account", do)
    if not path.is_dir():
        return CheckResult(name, CheckState.WARNING, f"{path} does not exist yet; it is made when it is needed", "")
    usage = shutil.disk_usage(path)
    is_tight = usage.free < _MIN_FREE_FRACTION * usage.total
    detail = f"{path} is writable, {usage.free / usage.total:.1%} free"
    return CheckResult(name, CheckState.WARNING if is_tight else CheckState.OK, detail, "make room" if is_tight else "")


def _drives(site: Site) -> Iterator[CheckResult]:
    for usage in site.drive_usages():
        name = f"drive.{usage.drive.name}"
        if usage.error:
            yield CheckResult(
                name, CheckState.FAILED, f"{usage.drive.path}: {usage.error}", "mount it, or mend drives.toml"
            )
        elif usage.fill_fraction > usage.drive.limit_fraction:
            detail = f"{usage.fill_fraction:.1%} full, limit {usage.drive.limit_fraction:.0%}"
            yield CheckResult(name, CheckState.WARNING, detail, "nothing more is written to it; nualley drives list")
        else:
            state = "writable" if usage.is_writable else "read-only"
            yield CheckResult(name, CheckState.OK, f"{usage.drive.path}: {usage.fill_fraction:.1%} full, {state}")


def _process(state: RoleState) -> CheckResult:
    name = f"process.{state.role}"
    if state.is_held:
        return CheckResult(name, CheckState.OK, f"runs as {state.holder}")
    return CheckResult(name, CheckState.WARNING, "does not run", f"nualley up, or nualley up {state.role}")


def _archive(site: Site) -> CheckResult:
    try:
        ledger = site.archive().ledger()
    except UnreachableError as error:
        return CheckResult("archive", CheckState.WARNING, error.what, error.do)
    except NualleyError as error:
        return CheckResult("archive", CheckState.FAILED, error.what, error.do)
    counts = f"received {ledger.received} = stored {ledger.stored} + quarantined {ledger.quarantined} + filtered "
    state = CheckState.OK if ledger.is_balanced else CheckState.FAILED
    return CheckResult("archive.ledger", state, f"{counts}{ledger.filtered}, {ledger.gaps} gaps")


def _catalog(site: Site) -> CheckResult:
    try:
        totals = site.catalog().totals()
    except NualleyError as error:
        return CheckResult("catalog", CheckState.FAILED, error.what, error.do)
    return CheckResult("catalog", CheckState.OK, f"{totals.n_runs} runs, {totals.n_files} files")
