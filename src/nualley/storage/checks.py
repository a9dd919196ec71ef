"""What can be wrong with drives, and with the arrays and disks below them."""

import os
from collections.abc import Callable, Sequence

from nualley.core import CheckResult, CheckState, escape_name, format_size
from nualley.storage.health import DeviceHealth
from nualley.storage.models import DriveUsage, FillForecast


class DriveCheck:
    """Drives that are missing, read-only or filled beyond their limit.

    Parameters
    ----------
    measure : callable
        Returns how full the drives are now.
    """

    def __init__(self, measure: Callable[[], Sequence[DriveUsage]]) -> None:
        self._measure = measure

    def __call__(self) -> list[CheckResult]:
        """Look at every drive."""
        results, sharing = [], dict[frozenset[str], DriveUsage]()
        for usage in self._measure():
            result = _check(usage)
            if result.state is CheckState.OK and usage.shares_with:
                sharing.setdefault(frozenset({usage.drive.name, *usage.shares_with}), usage)
            else:
                results.append(result)
        return results + [_shared(names, usage) for names, usage in sharing.items()]


WARN_DAYS = 30
"""A drive that may be full within so many days is told [d]."""


class FillCheck:
    """Drives that will be full soon.

    Parameters
    ----------
    forecast : callable
        Returns what can be said of each drive; its horizon is `WARN_DAYS`.
    """

    def __init__(self, forecast: Callable[[], Sequence[FillForecast]]) -> None:
        self._forecast = forecast

    def __call__(self) -> list[CheckResult]:
        """Look at every drive of which something can be said."""
        return [_check_fill(forecast) for forecast in self._forecast()]


def _check_fill(forecast: FillForecast) -> CheckResult:
    name = f"storage.fill.{forecast.drive}"
    if forecast.full_10 is None:
        return CheckResult(name, CheckState.OK, f"not full within {WARN_DAYS} days, with a chance of 90 %")
    middle = f", with 50 % by {forecast.full_50}" if forecast.full_50 else ""
    return CheckResult(
        name,
        CheckState.WARNING,
        f"full by {forecast.full_10} with a chance of 10 %{middle}, if all goes on as lately",
        f"nualley drives forecast {forecast.drive} says who lets it grow",
    )


class HealthCheck:
    """Arrays that are degraded and disks that fail or are worn.

    Parameters
    ----------
    look : callable
        Returns how arrays, pools and disks of this machine are now; what it does not offer is not among them.
    """

    def __init__(self, look: Callable[[], Sequence[DeviceHealth]]) -> None:
        self._look = look

    def __call__(self) -> list[CheckResult]:
        """Look at every one."""
        return [_check_health(health) for health in self._look()]


_REMEDY = {
    "md": "mdadm --detail /dev/{name}; replace the member that is missing before another goes",
    "zfs": "zpool status -v {name}; replace the device that is named",
    "smart": "copy what has no second home from it, then replace it; smartctl -x {name} tells more",
}


def _check_health(health: DeviceHealth) -> CheckResult:
    name = f"storage.health.{health.kind}.{health.name.removeprefix('/dev/')}"
    if health.state is CheckState.UNKNOWN:
        do = "run doctor as root, or let this account use the program"
    else:
        do = "" if health.state is CheckState.OK else _REMEDY[health.kind].format(name=health.name)
    return CheckResult(name, health.state, health.detail, do)


def _check(usage: DriveUsage) -> CheckResult:
    drive = usage.drive
    name = f"storage.drives.{drive.name}"
    path = escape_name(os.fspath(drive.path))
    if not usage.is_mounted:
        return CheckResult(
            name,
            CheckState.FAILED,
            f"{path} is missing: {usage.error}",
            "mount it or correct its path in drives.toml; a new drive gets a name of its own there",
        )
    filled = (
        f"{path} is filled to {100 * usage.fill_fraction:.1f} % (limit {100 * drive.limit_fraction:.3g} %), "
        f"{format_size(usage.available_B)} free"
    )
    if usage.fill_fraction > drive.limit_fraction:
        do = f"nualley drives reclaim --drive {drive.name} proposes what could go; or add a drive in drives.toml"
        return CheckResult(name, CheckState.WARNING, filled, do)
    if not usage.is_writable:
        return CheckResult(
            name,
            CheckState.FAILED,
            f"{path} cannot be written to",
            "mount it for writing or give this user the right to write there",
        )
    return CheckResult(name, CheckState.OK, filled)


def _shared(names: frozenset[str], usage: DriveUsage) -> CheckResult:
    """Tell of drives of which nothing else is wrong than that they are one: on one line, not on one for each."""
    return CheckResult(
        "storage.drives",
        CheckState.WARNING,
        f"{', '.join(sorted(names))} are on one file system, filled to {100 * usage.fill_fraction:.1f} %: "
        "copies there count once",
        "give each drive in drives.toml a file system of its own",
    )
