"""How full the drives are."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nualley.core import reason
from nualley.storage.decide import stranger
from nualley.storage.models import Drive, DriveUsage
from nualley.storage.ports import Volumes


def measure_drive(drive: Drive, volumes: Volumes, id_by_name: Mapping[str, str] | None = None) -> DriveUsage:
    """Return how full a drive is; one that is missing is reported, not raised.

    Parameters
    ----------
    drive : Drive
        The drive.
    volumes : Volumes
        The volumes of this machine.
    id_by_name : mapping of str to str, optional
        Ids of the drives that were used before: another volume, or a bare folder, in the place of one is no drive.

    Returns
    -------
    DriveUsage
        With ``error`` where it is missing.
    """
    try:
        found = volumes.state(drive.path)
    except OSError as error:
        return DriveUsage(drive, error=reason(error))
    if drive.must_be_mounted and not found.is_mount_point:
        return DriveUsage(drive, error="nothing is mounted there")
    if error_text := stranger(drive, found.marker, id_by_name or {}):
        return DriveUsage(drive, error=error_text)
    return DriveUsage(
        drive,
        size_B=found.size_B,
        used_B=found.used_B,
        available_B=found.available_B,
        is_mounted=True,
        is_writable=found.is_writable,
        device=found.device,
    )


def measure_drives(
    drives: Iterable[Drive], volumes: Volumes, id_by_name: Mapping[str, str] | None = None
) -> tuple[DriveUsage, ...]:
    """Return how full every drive is, in their order, and which of them lie on one device; see `measure_drive`."""
    usages = [measure_drive(drive, volumes, id_by_name) for drive in drives]
    names_by_device: dict[int, list[str]] = {}
    for usage in usages:
        if usage.device is not None:
            names_by_device.setdefault(usage.device, []).append(usage.drive.name)
    return tuple(
        usage
        if usage.device is None
        else replace(
            usage,
            shares_with=tuple(name for name in names_by_device[usage.device] if name != usage.drive.name),
        )
        for usage in usages
    )
