"""Transfers, wired: what is meant by words, and several at work side by side until they are done or stopped."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from nualley.app.machine import machine_of
from nualley.app.origins import origin_of
from nualley.app.remotes import open_remotes
from nualley.app.site import Site
from nualley.app.stopping import Stop
from nualley.catalog import ReplicaState, Run, RunNotFound
from nualley.core import ExitCode, NualleyError, UsageError, escape_name, nearest, split_run_id, unescape_name
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    HeldFile,
    NothingToCopy,
    Placer,
    Progress,
    RemotePlace,
    TransferService,
    check_mounted,
    check_not_cancelled,
    choose_folders,
    find_place,
    find_remote,
    split_remote,
)
from nualley.replicas.adapters.trees import PosixTrees
from nualley.storage import UnknownDrive
from nualley.storage.adapters.posix import PosixVolumes

T = TypeVar("T")

_MOST_AT_ONCE = 16
_LOOK_S = 0.5


@contextmanager
def open_transfers(site: Site) -> Iterator[TransferService]:
    """Have what copies and verifies; what it started for remotes ends with the block.

    Parameters
    ----------
    site : Site
        The experiment.
    """
    with open_remotes(site) as remotes:
        yield TransferService(
            site.catalog(),
            machine_of(site, remotes),
            drives=_drives(site),
            origin=origin_of(site),
            clock=site.clock,
            settings=site.configuration.replicas,
        )


def leave_to_worker(site: Site, transfer_ids: Sequence[int]) -> None:
    """Let the worker go on with transfers until they are finished.

    Parameters
    ----------
    site : Site
        The experiment.
    transfer_ids : sequence of int
        The transfers.

    Raises
    ------
    TransferNotFound, TransferCancelled
        With those before it left to the worker.
    """
    transfers = site.catalog().transfers
    for number in transfer_ids:
        check_not_cancelled(transfers.leave(number, is_left=True))


def make_placer(site: Site) -> Placer:
    """Return what plans the copies that are missing."""
    return Placer(site.catalog(), _drives(site), site.configuration.replicas, _remote_names(site))


def _drives(site: Site) -> RegisteredDrives:
    return RegisteredDrives(site.configuration.storage.to_drives(), PosixVolumes(), site.catalog())


def _remote_names(site: Site) -> list[str]:
    return list(site.configuration.storage.remotes)


# ---------------------------------------------------------------- what is meant
AnyPlace = Path | RemotePlace


def find_ways(site: Site, source: str, destination: str) -> list[tuple[AnyPlace, AnyPlace]]:
    """Return from where to where, by what a person wrote.

    Parameters
    ----------
    site : Site
        The experiment.
    source : str
        A directory, a file, a run, or ``REMOTE:path``.
    destination : str
        A directory, ``REMOTE:path``, or the name of a drive or ``REMOTE:``: the same place on that one.

    Returns
    -------
    list of (Path or RemotePlace, Path or RemotePlace)
        Several where the files of a run lie in several directories. What has a verified replica on the drive or remote
        that is named is left out; none where that is all of the run.

    Raises
    ------
    NothingToCopy, UnknownDrive, UnknownRemote, UsageError
        Where it means nothing.
    DriveMissing
        Where the drive that is named is not there.
    """
    drives = {drive.name: drive for drive in site.configuration.storage.to_drives()}
    names = [*drives, *(f"{remote}:" for remote in _remote_names(site))]
    sources = _sources(site, source, destination.removesuffix(":") if destination in names else "")
    if destination in drives:
        # its path may lead to another drive, by a link or because that one is mounted there: it was not named
        check_mounted(next(usage for usage in site.drive_usages() if usage.drive.name == destination))
        root = drives[destination].path
        return [(place, root / unescape_name(_below(site, place, destination))) for place in sources]
    remote = find_remote(destination, _remote_names(site), is_path=Path(destination).is_dir())
    if remote is not None:
        is_named = not destination.endswith(":")
        return [
            (place, remote if is_named else RemotePlace(remote.remote, _below(site, place, destination)))
            for place in sources
        ]
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


def _sources(site: Site, source: str, destination: str) -> Sequence[AnyPlace]:
    remotes = _remote_names(site)
    remote = find_remote(source, remotes, is_path=os.path.lexists(source))
    if remote is not None:
        return [remote]
    if os.path.lexists(source):
        return [Path(source)]
    run = _find_run(site, source)
    if run is None:
        raise NothingToCopy(
            f"nothing is there: {escape_name(source)}, and no run is called so",
            where="SRC",
            do="name a directory, a file, or a run such as cenns-10-42",
        )
    usages = [usage for usage in site.drive_usages() if usage.drive.name != destination]
    replicas = site.catalog().transfers.replicas_of_run(run.run_id)
    held = [
        HeldFile(run.run_id, file.name, file.stage, file.size_B, tuple(replicas.get(file.file_id, ())))
        for file in site.catalog().files(run.run_id)
    ]
    left = [file for file in held if not _is_on(file, destination)]
    chosen, unreached = choose_folders(left, usages, [name for name in remotes if name != destination])
    if unreached:
        raise NothingToCopy(
            f"{run.run_id}/{unreached[0].name} has no verified replica on a drive that is there",
            where=run.run_id,
            do=f"mount its drive; nualley runs show {run.run_id} names its replicas",
        )
    if not held:
        raise NothingToCopy(f"run {run.run_id} has no files", where=run.run_id, do="take them in: nualley runs ingest")
    return [split_remote(folder) or Path(unescape_name(folder)) for _, folder in chosen]


def _is_on(file: HeldFile, name: str) -> bool:
    return any(each.drive == name and each.state is ReplicaState.VERIFIED for each in file.replicas)


def _find_run(site: Site, word: str) -> Run | None:
    try:
        split_run_id(word)
        return site.catalog().run(word)
    except (UsageError, RunNotFound):
        return None


def _below(site: Site, source: AnyPlace, destination: str) -> str:
    """Return the directory below a drive or remote that is the same as that of a source on another one, escaped."""
    if isinstance(source, RemotePlace):
        with open_remotes(site) as remotes:
            is_file = source.path in remotes.open(source.remote).sizes([source.path])
        return source.path.rpartition("/")[0] if is_file else source.path
    place = find_place(source, site.drive_usages(), PosixTrees())
    is_file = place.path.is_file()
    if place.usage is not None:
        below = place.path.relative_to(place.usage.drive.path)
        return escape_name("/".join((below.parent if is_file else below).parts))
    if is_file or not place.path.name:
        raise UsageError(
            f"{place.text} is on no drive of the experiment: where on {destination.rstrip(':')} should it go?",
            where="DST",
            do="name the directory: DRIVE_PATH/... or REMOTE:path",
        )
    return escape_name(place.path.name)


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
        After all of them have stopped where they can be taken up, by Ctrl-C, SIGTERM or the end of the terminal.

    Notes
    -----
    Signals only count (`Stop`): raised in the middle of the start of a thread, Ctrl-C would leave one that nobody waits
    for.
    """
    if not transfer_ids:
        return [], []
    stop = Stop()
    stop.end_at_third()
    with stop.on_signals(is_command=True), ThreadPoolExecutor(min(len(transfer_ids), _MOST_AT_ONCE)) as pool:
        waiting = [
            pool.submit(work, each, progress=progress, should_stop=lambda: stop.is_asked) for each in transfer_ids
        ]
        # not without end: a signal that another thread received is handled when this one goes on
        while wait(waiting, timeout=_LOOK_S).not_done:
            pass
        results = [future.exception() or future.result() for future in waiting]
    if stop.is_asked:
        raise KeyboardInterrupt
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
