"""Progress bars on stderr, where a person is looking."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
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
    if not (is_shown and sys.stderr.isatty()):
        yield _nothing
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done_B: int, all_B: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=all_B)
            progress.update(tasks[name], completed=done_B)

        yield report


def _nothing(_name: str, _done_B: int, _all_B: int) -> None:
    """Show nothing."""
