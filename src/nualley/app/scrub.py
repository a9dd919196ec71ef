"""Replicas that are read again: so many bytes of each drive, the longest unread first."""

import socket
from collections.abc import Callable, Iterator

from nualley import __version__
from nualley.app.ingest import configuration_digest
from nualley.app.scanning import drives_to_scan
from nualley.app.site import Site
from nualley.replicas import Origin, Scrubbed, Scrubber, choose
from nualley.storage.adapters.posix import PosixFiles

Told = Callable[[str, int, int], None]
"""Told the drive, and bytes that were read and are to be read [B]."""


def scrub_drives(
    site: Site,
    drive: str | None = None,
    *,
    budget_B: int | None = None,
    repairs: bool = False,
    told: Told = lambda _drive, _done_B, _size_B: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Scrubbed]:
    """Read replicas of drives again, and yield each once what was found is in the catalog.

    Parameters
    ----------
    site : Site
        The experiment.
    drive : str, optional
        Only this one; by default all that are there, one after the other.
    budget_B : int, optional
        About so much of each drive [B]; by default all.
    repairs : bool
        Put a verified replica from elsewhere in the place of one that is damaged or missing.
    told : callable
        Told how far it is.
    should_stop : callable
        Asked often; where it says yes, the work ends.

    Raises
    ------
    UnknownDrive, DriveMissing
        Where there is no such drive, or none is there.
    TransferStopped
        Where somebody asked for a stop.
    """
    origin = Origin(f"nualley {__version__}", configuration_digest(site), socket.gethostname())
    scrubber = Scrubber(
        site.catalog(),
        PosixFiles(),
        clock=site.clock,
        origin=origin,
        is_there=lambda name: any(usage.is_mounted for usage in site.drive_usages() if usage.drive.name == name),
        should_stop=should_stop,
    )
    for usage in drives_to_scan(site, drive):
        name = usage.drive.name
        chosen = choose(site.catalog().placed_files(name), budget_B)
        size_B, done_B = sum(placed.size_B for placed in chosen), 0

        def count(read_B: int, name: str = name, size_B: int = size_B) -> None:
            nonlocal done_B
            done_B += read_B
            told(name, done_B, size_B)

        yield from scrubber.run(name, chosen, repairs=repairs, progress=count)
