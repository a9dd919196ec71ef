"""Asks the machine how its arrays, pools and disks are, as far as it offers that."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nualley.core import CheckState, reason
from nualley.storage.health import DeviceHealth, devices_of, read_mdstat, read_smart, read_zpool_status

_MDSTAT = Path("/proc/mdstat")
_LONGEST_S = 20
# where Debian keeps them is not on everybody's path
_PLACES = "/usr/sbin:/sbin:/usr/local/sbin"


def machine_health(mdstat: Path = _MDSTAT) -> list[DeviceHealth]:
    """Return how the arrays, pools and disks of this machine are; what it does not offer is left out.

    Parameters
    ----------
    mdstat : Path
        What the kernel says of software RAID.

    Returns
    -------
    list of DeviceHealth
        One whose program does not answer is UNKNOWN.
    """
    return [*_arrays(mdstat), *_asked("zpool", "zfs", _pools), *_asked("smartctl", "smart", _disks)]


def _arrays(mdstat: Path) -> list[DeviceHealth]:
    try:
        return read_mdstat(mdstat.read_text(errors="replace"))
    except FileNotFoundError:
        return []


def _asked(name: str, kind: str, ask: Callable[[str], list[DeviceHealth]]) -> list[DeviceHealth]:
    program = shutil.which(name) or shutil.which(name, path=_PLACES)
    if program is None:
        return []
    try:
        return ask(program)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error).partition("\n")[0]
        return [DeviceHealth(kind, name, CheckState.UNKNOWN, f"{name} does not answer: {said}")]


def _pools(program: str) -> list[DeviceHealth]:
    return read_zpool_status(_say([program, "status"]))


def _disks(program: str) -> list[DeviceHealth]:
    found: dict[str, Any] = json.loads(_say([program, "--json", "--scan"]) or "{}")
    asking = [program, "--json", "--health", "--attributes", "--info", "--nocheck=standby"]
    return [read_smart(json.loads(_say([*asking, *words]))) for words in devices_of(found)]


def _say(command: Sequence[str]) -> str:
    # smartctl's code is made of bits that say of the disk what its answer says too
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)  # noqa: S603  # found on the path of the system
    return done.stdout
