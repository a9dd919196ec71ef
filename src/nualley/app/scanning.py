"""Scans, one process for each drive: they share neither an interpreter nor a place in the queue."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nualley.core import PARENT_PID, SECOND_NS, NualleyError
from nualley.storage import DriveMissing, DriveUsage, OwnershipRule, QuickReport, Scan, ScanFailed, UnknownDrive

# a folder is scanned without an experiment, whose configuration takes as long to load as all the rest
if TYPE_CHECKING:
    from nualley.app.site import Site

Told = Callable[[str, int, int], None]
"""Told the drive, and files and directories seen so far."""

_MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class ScanJob:
    """One tree that is to be scanned.

    Parameters
    ----------
    drive : str
        What the scan is called.
    root : str
        The first directory, absolute.
    file : str
        Where the rows go.
    lock : str
        File that is locked meanwhile; empty where nobody else could want to.
    rules : tuple of OwnershipRule
        By these it is added up afterwards who takes what.
    detectors : tuple of str
        Ids of the detectors that the rules may mean.
    task : str
        ``scan``, or ``quick`` for a look at what changed since the scan ``file``.
    hot_ns : int
        How long a directory is hot after the last change of a file in it [ns].
    """

    drive: str
    root: str
    file: str
    lock: str = ""
    rules: tuple[OwnershipRule, ...] = ()
    detectors: tuple[str, ...] = ()
    task: str = "scan"
    hot_ns: int = 0


def folder_of(store: Path, drive: str) -> Path:
    """Return where the scans of a drive are kept."""
    return store / "scans" / drive


def scan_name(start_ns: int) -> str:
    """Return the name of a scan that begins at a time [ns since 1970 UTC].

    Examples
    --------
    >>> scan_name(1_795_886_162_450_999_036)
    '20261128T171602.450Z.parquet'
    """
    moment = datetime.fromtimestamp(start_ns // SECOND_NS, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{start_ns % SECOND_NS // _MS_NS:03d}Z.parquet"


def drives_to_scan(site: "Site", name: str | None = None) -> list[DriveUsage]:
    """Return the drives that can be scanned: the one of that name, or all that are there.

    Raises
    ------
    UnknownDrive, DriveMissing
        Where there is no such drive, or none is there.
    """
    usages = site.drive_usages()
    names = [usage.drive.name for usage in usages]
    if name is not None and name not in names:
        raise UnknownDrive.named(name, names, where="DRIVE")
    wanted = [usage for usage in usages if name in (None, usage.drive.name)]
    there = [usage for usage in wanted if usage.is_mounted]
    if not there:
        said = "; ".join(f"{usage.drive.name}: {usage.error}" for usage in wanted)
        raise DriveMissing(
            f"no drive can be scanned: {said or 'drives.toml names none'}",
            where="drives.toml",
            do="mount it, or correct its path there; any folder is scanned with --path DIR",
        )
    return there


def scan_jobs(site: "Site", usages: Sequence[DriveUsage]) -> list[list[ScanJob]]:
    """Return the scans of drives, those of one device in a row: its heads can only be at one place."""
    store = site.configuration.store
    groups: dict[int | None, list[ScanJob]] = {}
    for usage in usages:
        file = folder_of(store, usage.drive.name) / scan_name(site.clock.now_ns())
        lock = store / "run" / f"scan-{usage.device}.lock"
        job = ScanJob(
            *(usage.drive.name, os.fspath(usage.drive.path), os.fspath(file), os.fspath(lock)),
            rules=site.configuration.storage.to_rules(),
            detectors=tuple(site.configuration.detectors),
        )
        groups.setdefault(usage.device, []).append(job)
    return list(groups.values())


def quick_jobs(site: "Site", usages: Sequence[DriveUsage]) -> list[list[ScanJob]]:
    """Return the quick looks at drives that were scanned once, those of one device in a row."""
    store = site.configuration.store
    groups: dict[int | None, list[ScanJob]] = {}
    for usage in usages:
        newest = next(scans_of(site, usage.drive.name), None)
        if newest is None:
            continue
        lock = store / "run" / f"scan-{usage.device}.lock"
        job = ScanJob(
            *(usage.drive.name, os.fspath(usage.drive.path), os.fspath(newest), os.fspath(lock)),
            task="quick",
            hot_ns=site.configuration.storage.scan.hot_ns,
        )
        groups.setdefault(usage.device, []).append(job)
    return list(groups.values())


async def run_scans(
    groups: Sequence[Sequence[ScanJob]], told: Told
) -> tuple[list[Scan | QuickReport], list[NualleyError]]:
    """Scan, groups side by side.

    Parameters
    ----------
    groups : sequence of sequences of ScanJob
        As `scan_jobs` makes them.
    told : callable
        Told how far each one is.

    Returns
    -------
    tuple of list of Scan or QuickReport and list of NualleyError
        What was found in the order of the jobs, and which could not be done.
    """

    async def run(group: Sequence[ScanJob]) -> list[Scan | QuickReport | NualleyError]:
        return [await _run(job, told) for job in group]

    done = [result for results in await asyncio.gather(*map(run, groups)) for result in results]
    scans = [result for result in done if not isinstance(result, NualleyError)]
    return scans, [result for result in done if isinstance(result, NualleyError)]


async def _run(job: ScanJob, told: Told) -> Scan | QuickReport | NualleyError:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "nualley.core.child", "nualley.app.scan_child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at a terminal is for this process, which waits for it
        env={**os.environ, PARENT_PID: str(os.getpid())},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    answer: dict[str, Any] = {}
    try:
        child.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # it ended at once: its code tells
            await child.stdin.drain()
        async for line in child.stdout:
            answer = json.loads(line)
            if "seen" in answer:
                told(job.drive, *answer["seen"])
        await child.wait()
    except BaseException:
        # stopped: the child takes its part away, and is gone before this process is
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
        raise
    return _result(job, answer, child.returncode or 0)


def _result(job: ScanJob, answer: dict[str, Any], code: int) -> Scan | QuickReport | NualleyError:
    if "quick" in answer:
        return QuickReport(**answer["quick"])
    if "scan" in answer:
        return Scan(**{**answer["scan"], "refused": tuple(map(tuple, answer["scan"]["refused"]))})
    if "error" in answer:
        told = answer["error"]
        return ScanFailed.of(told["what"], where=_where(job, told["where"]), do=told["do"], code=code)
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    return ScanFailed(
        f"the process that scanned {job.drive} ended {how}", where=job.root, do="try again; nothing half was left"
    )


def _where(job: ScanJob, place: str) -> str:
    # a folder's drive is its path: it is told once
    return place if place.startswith(job.drive) else f"{job.drive}: {place}"


def scans_of(site: "Site", drive: str) -> Iterator[Path]:
    """Return the scans of a drive that are kept, the newest first."""
    yield from sorted(folder_of(site.configuration.store, drive).glob("2*Z.parquet"), reverse=True)
