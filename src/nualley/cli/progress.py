"""Progress bars on stderr, where a person is looking."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Report = Callable[[str, int, int], None]


@contextmanager
def copy_progress(*, is_shown: bool = True) -> Iterator[Report]:
    """Show a bar with rate and time left for each file that is copied.

    Parameters
    ----------
    is_shown : bool
        Whether bars are wanted; without a terminal there are none anyway.

    Yields
    ------
    callable
        Takes the file's name, bytes done and bytes in all [B].
    """
    columns = (
        _name_column(), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with _bars(columns, is_shown=is_shown) as report:
        yield report


@contextmanager
def row_progress(*, is_shown: bool = True) -> Iterator[Report]:
    """Show a bar with count and time left for each PV whose rows are gone through.

    Parameters
    ----------
    is_shown : bool
        Whether bars are wanted; without a terminal there are none anyway.

    Yields
    ------
    callable
        Takes the PV's name, rows done and rows in all.
    """
    columns = (
        _name_column(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with _bars(columns, is_shown=is_shown) as report:
        yield report


@contextmanager
def count_progress(*, is_shown: bool = True) -> Iterator[Report]:
    """Show how many files were seen and how fast, for each drive: nobody knows how many there are.

    Parameters
    ----------
    is_shown : bool
        Whether it is wanted; without a terminal there is nothing anyway.

    Yields
    ------
    callable
        Takes the drive, and files and directories seen so far.
    """
    if not (is_shown and sys.stderr.isatty()):
        yield _nothing
        return
    seen = "{task.completed:,.0f} files, {task.fields[n_dirs]:,} directories, {task.fields[rate_Hz]:,.0f} files/s"
    columns = (_name_column(), TextColumn(seen, markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(drive: str, n_files: int, n_dirs: int) -> None:
            if drive not in tasks:
                tasks[drive] = progress.add_task(drive, total=None, n_dirs=0, rate_Hz=0.0)
            elapsed_s = progress.tasks[tasks[drive]].elapsed or 1.0
            progress.update(tasks[drive], completed=n_files, n_dirs=n_dirs, rate_Hz=n_files / elapsed_s)

        yield report


def _name_column() -> TextColumn:
    return TextColumn("{task.description}", markup=False)  # a name may have brackets in it


@contextmanager
def _bars(columns: Sequence[ProgressColumn], *, is_shown: bool) -> Iterator[Report]:
    if not (is_shown and sys.stderr.isatty()):
        yield _nothing
        return
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield report


def _nothing(_name: str, _done: int, _all: int) -> None:
    """Show nothing."""
