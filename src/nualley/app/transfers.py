"""Transfers, wired: what is meant by words, and several at work side by side until they are done or stopped."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from nualley import __version__
from nualley.app.provenance import configuration_digest
from nualley.app.site import Site
from nualley.catalog import Run, RunNotFound
from nualley.core import ExitCode, NualleyError, UsageError, escape_name, nearest, split_run_id, unescape_name
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    HeldFile,
    Machine,
    NothingToCopy,
    Origin,
    Placer,
    Progress,
    SystemTimer,
    TransferService,
    choose_source,
    find_place,
)
from nualley.replicas.adapters.trees import PosixTrees
from nualley.replicas.adapters.turns import LockedTurns
from nualley.storage import Drive, UnknownDrive
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes

T = TypeVar("T")

_MOST_AT_ONCE = 16


def make_transfers(site: Site) -> TransferService:
    """Return what copies and verifies."""
    configuration = site.configuration
    turns = LockedTurns(configuration.store / "run", configuration.replicas.streams)
    return TransferService(
        site.catalog(),
        Machine(PosixFiles(), PosixTrees(), turns, SystemTimer()),
        drives=_drives(site),
        origin=Origin(f"nualley {__version__}", configuration_digest(site), socket.gethostname()),
        clock=site.clock,
    )


def make_placer(site: Site) -> Placer:
    """Return what plans the copies that are missing."""
    return Placer(site.catalog(), _drives(site), site.configuration.replicas)


def _drives(site: Site) -> RegisteredDrives:
    return RegisteredDrives(site.configuration.storage.to_drives(), PosixVolumes(), site.catalog())


# ---------------------------------------------------------------- what is meant
def find_ways(site: Site, source: str, destination: str) -> list[tuple[Path, Path]]:
    """Return from where to where, by what a person wrote.

    Parameters
    ----------
    site : Site
        The experiment.
    source : str
        A directory, a file, or a run.
    destination : str
        A directory, or the name of a drive: the same place on that one.

    Returns
    -------
    list of (Path, Path)
        Several where the files of a run lie in several directories.

    Raises
    ------
    NothingToCopy, UnknownDrive, UsageError
        Where it means nothing.
    """
    sources = _sources(site, source)
    drives = {drive.name: drive for drive in site.configuration.storage.to_drives()}
    if destination in drives:
        return [(path, _same_place(site, path, drives[destination])) for path in sources]
    if "/" in destination or Path(destination).is_dir():
        return [(path, Path(destination)) for path in sources]
    near = nearest(destination, drives)
    raise UnknownDrive(
        f"{destination!r} is neither a drive of this experiment nor a directory",
        where="DST",
        do=f"did you mean {near!r}? A new directory is written with a slash: ./{destination}"
        if near
        else f"one of {', '.join(drives) or 'none: add one in drives.toml'}, or ./{destination} for a new directory",
    )


def _sources(site: Site, source: str) -> list[Path]:
    if os.path.lexists(source):
        return [Path(source)]
    run = _find_run(site, source)
    if run is None:
        raise NothingToCopy(
            f"nothing is there: {escape_name(source)}, and no run is called so",
            where="SRC",
            do="name a directory, a file, or a run such as cenns-10-42",
        )
    usages = site.drive_usages()
    replicas = site.catalog().transfers.replicas_of_run(run.run_id)
    found: dict[Path, None] = {}
    for file in site.catalog().files(run.run_id):
        held = HeldFile(run.run_id, file.name, file.stage, file.size_B, tuple(replicas.get(file.file_id, ())))
        chosen = choose_source(held, usages)
        if chosen is None:
            raise NothingToCopy(
                f"{run.run_id}/{file.name} has no verified replica on a drive that is there",
                where=run.run_id,
                do=f"mount its drive; nualley runs show {run.run_id} names its replicas",
            )
        found[Path(unescape_name(chosen.path)).parent] = None
    if not found:
        raise NothingToCopy(f"run {run.run_id} has no files", where=run.run_id, do="take them in: nualley runs ingest")
    return list(found)


def _find_run(site: Site, word: str) -> Run | None:
    try:
        split_run_id(word)
        return site.catalog().run(word)
    except (UsageError, RunNotFound):
        return None


def _same_place(site: Site, source: Path, drive: Drive) -> Path:
    place = find_place(source, site.drive_usages(), PosixTrees())
    is_file = place.path.is_file()
    if place.usage is not None:
        below = place.path.relative_to(place.usage.drive.path)
        return drive.path / (below.parent if is_file else below)
    if is_file or not place.path.name:
        raise UsageError(
            f"{place.text} is on no drive of the experiment: where on {drive.name} should it go?",
            where="DST",
            do=f"name the directory: {escape_name(os.fspath(drive.path))}/...",
        )
    return drive.path / place.path.name


# ---------------------------------------------------------------- side by side
def work_on(
    work: Callable[..., T], transfer_ids: Sequence[int], progress: Progress
) -> tuple[list[T], list[NualleyError]]:
    """Work on transfers side by side; those that share a device take turns there.

    Parameters
    ----------
    work : callable
        ``TransferService.work`` or ``verify``.
    transfer_ids : sequence of int
        The transfers.
    progress : callable
        Told how far each is.

    Returns
    -------
    tuple of list and list of NualleyError
        What each came to, in their order, and which could not be worked on.

    Raises
    ------
    KeyboardInterrupt
        After all of them have stopped where they can be taken up.
    """
    if not transfer_ids:
        return [], []
    stop = threading.Event()
    with ThreadPoolExecutor(min(len(transfer_ids), _MOST_AT_ONCE)) as pool:
        try:
            waiting = [pool.submit(work, each, progress=progress, should_stop=stop.is_set) for each in transfer_ids]
            results = [future.exception() or future.result() for future in waiting]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return list(_results(results)), [each for each in results if isinstance(each, NualleyError)]


def _results(results: Sequence[T | BaseException]) -> Iterator[T]:
    for result in results:
        if not isinstance(result, BaseException):
            yield result
        elif not isinstance(result, NualleyError):
            raise result


def exit_code(codes: Sequence[ExitCode], errors: Sequence[NualleyError]) -> ExitCode:
    """Return how a command ends that worked on several: not intact before failed before done."""
    all_codes = [*codes, *(error.exit_code for error in errors)]
    if ExitCode.NOT_INTACT in all_codes:
        return ExitCode.NOT_INTACT
    return next((code for code in all_codes if code is not ExitCode.DONE), ExitCode.DONE)
