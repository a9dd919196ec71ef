"""How full the drives are."""

from collections.abc import Iterable

from nualley.storage.models import Drive, DriveUsage
from nualley.storage.ports import Volumes


def measure_drive(drive: Drive, volumes: Volumes) -> DriveUsage:
    """Return how full a drive is; one that is missing is reported, not raised.

    Parameters
    ----------
    drive : Drive
        The drive.
    volumes : Volumes
        The volumes of this machine.

    Returns
    -------
    DriveUsage
        With ``error`` where it is missing.
    """
    try:
        found = volumes.state(drive.path)
    except OSError as error:
        return DriveUsage(drive, error=error.strerror or type(error).__name__)
    if drive.must_be_mounted and not found.is_mount_point:
        return DriveUsage(drive, error="nothing is mounted there")
    return DriveUsage(
        drive,
        size_B=found.size_B,
        used_B=found.used_B,
        available_B=found.available_B,
        is_mounted=True,
        is_writable=found.is_writable,
        device=found.device,
    )


def measure_drives(drives: Iterable[Drive], volumes: Volumes) -> tuple[DriveUsage, ...]:
    """Return how full every drive is, in their order."""
    return tuple(measure_drive(drive, volumes) for drive in drives)
