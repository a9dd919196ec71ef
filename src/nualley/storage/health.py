"""Health of arrays and disks, read from what the kernel, ``zpool status`` and ``smartctl --json`` say."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nualley.core import CheckState


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """How an array, a pool or a disk is.

    Parameters
    ----------
    kind : str
        ``md``, ``zfs`` or ``smart``.
    name : str
        Such as ``md0``, ``tank`` or ``/dev/sda``.
    state : CheckState
        FAILED where bytes are without their second home or the disk is failing, WARNING where it goes that way.
    detail : str
        What was found.
    """

    kind: str
    name: str
    state: CheckState
    detail: str


# ---------------------------------------------------------------- Linux software RAID
_ARRAY = re.compile(r"^(?P<name>md\S*) : (?P<state>\S+)(?P<rest>.*)$")
_MEMBERS = re.compile(r"\[(?P<wanted>\d+)/(?P<there>\d+)\] \[(?P<map>[U_]+)\]")
_MEMBER = re.compile(r"(\S+?)\[\d+\]\(F\)")
_WORK = re.compile(r"(recovery|resync|reshape|check|repair)\s*=\s*(\S+)")


def read_mdstat(text: str) -> list[DeviceHealth]:
    """Return how the arrays of ``/proc/mdstat`` are.

    Parameters
    ----------
    text : str
        The file.
    """
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if array := _ARRAY.match(line):
            found.append((array, []))
        elif found and line.startswith(" "):
            found[-1][1].append(line)
    return [_array(array, "\n".join(lines)) for array, lines in found]


def _array(array: re.Match[str], below: str) -> DeviceHealth:
    said = []
    state = CheckState.OK
    if array["state"] != "active":
        said.append(f"it is {array['state']}")
        state = CheckState.FAILED
    members = _MEMBERS.search(below)
    if members and int(members["there"]) < int(members["wanted"]):
        said.append(f"{members['there']} of {members['wanted']} members are there [{members['map']}]")
        state = CheckState.FAILED
    if failed := _MEMBER.findall(array["rest"]):
        said.append(f"failed: {', '.join(failed)}")
        state = CheckState.FAILED
    if work := _WORK.search(below):
        said.append(f"{work[1]} {work[2]}")
    whole = f"all {members['wanted']} members are there" if members else "active"
    return DeviceHealth("md", array["name"], state, "; ".join(said) or whole)


# ---------------------------------------------------------------- ZFS
_POOL = re.compile(r"^\s*pool: (\S+)$", re.MULTILINE)
_KEY = re.compile(r"^ *(state|status|scan|errors): (.*)$", re.MULTILINE)
_DEVICE = re.compile(
    r"^\t *(?P<name>\S+) +(?P<state>[A-Z]+) +(?P<counts>\S+ +\S+ +\S+)(?: +(?P<why>.*))?$", re.MULTILINE
)
_ONLINE = ("ONLINE", "AVAIL", "INUSE")
_NO_ERRORS = "No known data errors"


def read_zpool_status(text: str) -> list[DeviceHealth]:
    """Return how the pools of ``zpool status`` are; none where it says that there are none.

    Parameters
    ----------
    text : str
        What the command printed.
    """
    parts = _POOL.split(text)[1:]
    return [_pool(name, said) for name, said in zip(parts[::2], parts[1::2], strict=True)]


def _pool(name: str, said: str) -> DeviceHealth:
    keys = dict(_KEY.findall(said))
    state = CheckState.OK if keys.get("state") == "ONLINE" else CheckState.FAILED
    details = [f"it is {keys.get('state', 'in an unknown state')}"]
    devices = [device for device in _DEVICE.finditer(said) if device["name"] not in ("NAME", name)]
    bad = [device for device in devices if device["state"] not in _ONLINE]
    details += [
        f"{device['name']} is {device['state']}" + (f" ({device['why']})" if device["why"] else "") for device in bad
    ]
    counted = [device for device in devices if device not in bad and set(device["counts"].split()) != {"0"}]
    if counted and state is CheckState.OK:
        state = CheckState.WARNING
    details += [
        f"{device['name']} had errors (read, write, checksum: {' '.join(device['counts'].split())})"
        for device in counted
    ]
    errors = keys.get("errors", _NO_ERRORS)
    if errors != _NO_ERRORS:
        state = CheckState.FAILED
        details.append(errors)
    return DeviceHealth("zfs", name, state, "; ".join(details))


# ---------------------------------------------------------------- SMART
_SECTORS = {5: "reallocated sectors", 187: "uncorrectable errors", 197: "pending sectors", 198: "uncorrectable sectors"}


def read_smart(answer: Mapping[str, Any]) -> DeviceHealth:
    """Return how a disk is by what ``smartctl --json --health --attributes`` answered.

    Parameters
    ----------
    answer : mapping
        The JSON.
    """
    name = str(answer.get("device", {}).get("name", "a disk"))
    model = answer.get("model_name") or answer.get("scsi_model_name")
    of = f"{model} {answer.get('serial_number', '')}".strip() + ": " if model else ""
    passed = answer.get("smart_status", {}).get("passed")
    if passed is None:
        said = [str(message.get("string")) for message in answer.get("smartctl", {}).get("messages", ())]
        if any("STANDBY" in words for words in said):  # not woken to be asked
            return DeviceHealth("smart", name, CheckState.OK, f"{of}it sleeps")
        return DeviceHealth("smart", name, CheckState.UNKNOWN, of + ("; ".join(said) or "it does not tell"))
    worn = list(_worn(answer))
    if not passed:
        return DeviceHealth("smart", name, CheckState.FAILED, of + "; ".join(["it says that it is failing", *worn]))
    state = CheckState.WARNING if worn else CheckState.OK
    return DeviceHealth("smart", name, state, of + ("; ".join(worn) or "passed"))


def _worn(answer: Mapping[str, Any]) -> Iterator[str]:
    for attribute in answer.get("ata_smart_attributes", {}).get("table", ()):
        value = attribute.get("raw", {}).get("value", 0)
        if attribute.get("id") in _SECTORS and value:
            yield f"{value} {_SECTORS[attribute['id']]}"
        if attribute.get("when_failed") == "now":
            yield f"{attribute.get('name')} is below its threshold"
    if grown := answer.get("scsi_grown_defect_list"):
        yield f"{grown} grown defects"
    flash = answer.get("nvme_smart_health_information_log", {})
    if flash.get("critical_warning"):
        yield f"critical warning 0x{flash['critical_warning']:02x}"
    if flash.get("media_errors"):
        yield f"{flash['media_errors']} media errors"
    if flash.get("percentage_used", 0) >= 100:
        yield f"{flash['percentage_used']} % of its life is used"


def devices_of(answer: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return the disks that ``smartctl --json --scan`` names, each as the words by which it is asked for."""
    found = [(str(device["name"]), str(device.get("type", "auto"))) for device in answer.get("devices", ())]
    return [(name, "--device", kind) for name, kind in found]
