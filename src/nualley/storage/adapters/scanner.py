"""One scan: a walk whose rows stand under their final name whole and durable, or not at all."""

import gc
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nualley.core import Clock, escape_name, reason
from nualley.storage.adapters.posix import PosixFiles
from nualley.storage.adapters.scan_rows import ScanWriter, add_root
from nualley.storage.adapters.scandir import Told, Walk, mounts_below, open_root
from nualley.storage.errors import SourceUnreadable
from nualley.storage.models import Scan
from nualley.storage.publication import publish_made

LAYOUT = 1
"""Version of the columns and of the footer of a scan file."""


def scan_tree(root: Path, destination: Path, *, drive: str, clock: Clock, told: Told | None = None) -> Scan:
    """Walk through a tree and publish what is in it as a Parquet file.

    Parameters
    ----------
    root : Path
        The first directory.
    destination : Path
        The file's final name; nothing may be there yet.
    drive : str
        What the scan is called.
    clock : Clock
        Says when it began.
    told : callable, optional
        Told files and directories seen so far.

    Returns
    -------
    Scan
        What was found.

    Raises
    ------
    SourceUnreadable
        Where the first directory cannot be read.
    DestinationConflict, DriveFull, DriveReadOnly, DriveFailing, VerifyFailed
        As `storage.publish_made`; nothing stands under the final name then.
    """
    start_ns = clock.now_ns()
    descriptor = _open(root)
    found: list[tuple[Walk, ScanWriter]] = []

    def make(part: Path) -> None:
        state = os.fstat(descriptor)
        with ScanWriter(part, state.st_dev) as writer:
            walk = Walk(writer, mounts=mounts_below(root), told=told)
            found.append((walk, writer))
            add_root(writer, state)
            walk.run(descriptor)
            writer.finish(
                {
                    "layout": LAYOUT,
                    "drive": drive,
                    "root": escape_name(os.fspath(root)),
                    "start_ns": start_ns,
                    "stop_ns": clock.now_ns(),
                    "unreadable": walk.unreadable,
                    "vanished": walk.vanished,
                    "refused": walk.refused,
                }
            )

    cpu_s, wall_s = _cpu_s(), time.monotonic()
    with _without_collector():
        publish_made(destination, make, files=PosixFiles())
    walk, writer = found[0]
    return Scan(
        drive=drive,
        start_ns=start_ns,
        n_files=writer.n_files,
        n_dirs=writer.n_dirs,
        size_B=writer.size_B,
        blocks_B=writer.blocks_B,
        unreadable=walk.unreadable,
        vanished=walk.vanished,
        cpu_s=_cpu_s() - cpu_s,
        wall_s=time.monotonic() - wall_s,
        refused=tuple(walk.refused),
    )


def _open(root: Path) -> int:
    try:
        return open_root(root)
    except OSError as error:
        raise SourceUnreadable(
            f"{escape_name(os.fspath(root))} cannot be scanned: {reason(error)}",
            where=escape_name(os.fspath(root)),
            do="name a directory that this user may read",
        ) from error


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python from looking for circles among millions of stat results, which have none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
