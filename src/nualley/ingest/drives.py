"""The experiment's drives, each known again by the marker that it got when it was first written to."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from nualley.catalog import Catalog
from nualley.core import NualleyError, escape_name, reason
from nualley.storage import (
    DestinationBusy,
    DestinationRefused,
    Drive,
    DriveMarker,
    DriveUsage,
    Volumes,
    measure_drives,
)

_N_TRIES, _TRY_EACH_S = 100, 0.1


class RegisteredDrives:
    """`ingest.ports.Drives`: the marker lies on the drive, its id in the catalog.

    Parameters
    ----------
    drives : sequence of Drive
        The drives of ``drives.toml``.
    volumes : Volumes
        The volumes of this machine.
    catalog : Catalog
        Knows the ids of the drives that were written to before.
    sleep : callable, optional
        Waits [s].

    Notes
    -----
    The marker is written first, then its id is entered. A drive that has a marker which the catalog does not know (a
    kill between the two, a catalog restored from before) is entered as it is.
    """

    def __init__(
        self,
        drives: Sequence[Drive],
        volumes: Volumes,
        catalog: Catalog,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._drives = drives
        self._volumes = volumes
        self._catalog = catalog
        self._sleep = sleep

    def usages(self) -> Sequence[DriveUsage]:
        """Return how full they are now; a bare mount point, or another drive in the place of one, is missing."""
        return measure_drives(self._drives, self._volumes, self._catalog.drive_ids())

    def register(self, usage: DriveUsage) -> None:
        """Mark a drive that is written to for the first time, and enter it.

        Parameters
        ----------
        usage : DriveUsage
            The drive, as it was just measured.

        Raises
        ------
        StorageError
            Where the marker cannot be written, or another process is at it for too long.
        DriveConflict
            Where another drive was entered under its name meanwhile.
        """
        drive = usage.drive
        if drive.name in self._catalog.drive_ids():
            return
        try:
            marker = self._mark(drive)
        except NualleyError:
            raise
        except OSError as error:
            raise DestinationRefused(
                f"drive {drive.name} cannot be marked: {reason(error)}",
                where=escape_name(os.fspath(drive.path)),
                do="look at the file .nualley-drive in its root",
            ) from error
        self._catalog.register_drive(drive.name, marker.drive_id)

    def _mark(self, drive: Drive) -> DriveMarker:
        """Return the marker of a drive; who marks it at this moment is waited for, its marker is it."""
        for _ in range(_N_TRIES):
            with suppress(DestinationBusy):
                return self._volumes.mark(drive.path, drive.name)
            self._sleep(_TRY_EACH_S)
        return self._volumes.mark(drive.path, drive.name)
