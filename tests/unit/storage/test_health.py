"""Arrays, pools and disks, as the kernel and the programs describe them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nualley.core import CheckState
from nualley.storage import DeviceHealth, HealthCheck
from nualley.storage.adapters import health as adapter
from nualley.storage.health import devices_of, read_mdstat, read_smart, read_zpool_status

OK, WARNING, FAILED, UNKNOWN = CheckState.OK, CheckState.WARNING, CheckState.FAILED, CheckState.UNKNOWN

MDSTAT = """Personalities : [raid6] [raid5] [raid4] [raid1] [raid0]
md0 : active raid6 sdi1[7] sdh1[6](F) sdg1[5] sdf1[4] sde1[3] sdd1[2] sdc1[1] sdb1[0]
      87904172032 blocks super 1.2 level 6, 512k chunk, algorithm 2 [8/7] [UUUUUU_U]
      bitmap: 12/110 pages [48KB], 65536KB chunk

md1 : active raid1 sdk2[2] sdj2[0]
      976630464 blocks super 1.2 [2/1] [U_]
      [==>..................]  recovery = 12.6% (123456789/976630464) finish=91.4min speed=155564K/sec

md2 : active (auto-read-only) raid1 sdm1[1] sdl1[0]
      1046528 blocks super 1.2 [2/2] [UU]
      \tresync=PENDING

md127 : inactive sdn[0](S)
      3906887512 blocks super 1.2

md3 : active raid0 sdo[1] sdp[0]
      7813774336 blocks super 1.2 512k chunks

unused devices: <none>
"""


def test_arrays_of_the_kernel() -> None:
    found = {health.name: (health.state, health.detail) for health in read_mdstat(MDSTAT)}
    assert found == {
        "md0": (FAILED, "7 of 8 members are there [UUUUUU_U]; failed: sdh1"),
        "md1": (FAILED, "1 of 2 members are there [U_]; recovery 12.6%"),
        "md2": (OK, "resync PENDING"),
        "md127": (FAILED, "it is inactive"),
        "md3": (OK, "active"),
    }


def test_a_machine_without_arrays() -> None:
    assert read_mdstat("Personalities : \nunused devices: <none>\n") == []


ZPOOL = """  pool: tank
 state: DEGRADED
status: One or more devices could not be used because the label is missing or
\tinvalid.  Sufficient replicas exist for the pool to continue
\tfunctioning in a degraded state.
action: Replace the device using 'zpool replace'.
   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-4J
  scan: scrub repaired 0B in 05:12:33 with 0 errors on Sun Nov  8 05:36:34 2026
config:

\tNAME        STATE     READ WRITE CKSUM
\ttank        DEGRADED     0     0     0
\t  raidz2-0  DEGRADED     0     0     0
\t    sda     ONLINE       0     0     0
\t    sdb     FAULTED      3     0  1.2K  too many errors
\t    sdc     ONLINE       0     0     0

errors: No known data errors

  pool: scratch
 state: ONLINE
  scan: none requested
config:

\tNAME        STATE     READ WRITE CKSUM
\tscratch     ONLINE       0     0     0
\t  sdd       ONLINE       0     0     4

errors: No known data errors

  pool: good
 state: ONLINE
config:

\tNAME        STATE     READ WRITE CKSUM
\tgood        ONLINE       0     0     0
\t  mirror-0  ONLINE       0     0     0
\t    sde     ONLINE       0     0     0
\t    sdf     ONLINE       0     0     0
\tspares
\t  sdg       AVAIL

errors: No known data errors

  pool: lost
 state: ONLINE
config:

\tNAME        STATE     READ WRITE CKSUM
\tlost        ONLINE       0     0     0
\t  sdh       ONLINE       0     0     0

errors: 3 data errors, use '-v' for a list
"""


def test_pools_of_zfs() -> None:
    found = {health.name: (health.state, health.detail) for health in read_zpool_status(ZPOOL)}
    assert found == {
        "tank": (FAILED, "it is DEGRADED; raidz2-0 is DEGRADED; sdb is FAULTED (too many errors)"),
        "scratch": (WARNING, "it is ONLINE; sdd had errors (read, write, checksum: 0 0 4)"),
        "good": (OK, "it is ONLINE"),
        "lost": (FAILED, "it is ONLINE; 3 data errors, use '-v' for a list"),
    }
    assert read_zpool_status("no pools available\n") == []


def disk(**said: Any) -> dict[str, Any]:
    return {
        "smartctl": {"version": [7, 3], "exit_status": 0},
        "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
        "model_name": "ST18000NM000J",
        "serial_number": "ZR50ABCD",
        **said,
    }


def table(**values: int) -> dict[str, Any]:
    names = {"Reallocated_Sector_Ct": 5, "Current_Pending_Sector": 197, "Temperature_Celsius": 194}
    rows = [{"id": names[name], "name": name, "when_failed": "", "raw": {"value": n}} for name, n in values.items()]
    return {"ata_smart_attributes": {"revision": 10, "table": rows}}


PASSED = {"smart_status": {"passed": True}}
NVME = {"critical_warning": 0, "media_errors": 0, "percentage_used": 3}


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        (disk(**PASSED, **table(Reallocated_Sector_Ct=0, Temperature_Celsius=35)), OK, "passed"),
        (
            disk(**PASSED, **table(Reallocated_Sector_Ct=8, Current_Pending_Sector=2)),
            *(WARNING, "8 reallocated sectors; 2 pending sectors"),
        ),
        (disk(smart_status={"passed": False}), FAILED, "it says that it is failing"),
        (disk(**PASSED, scsi_grown_defect_list=5), WARNING, "5 grown defects"),
        (disk(**PASSED, nvme_smart_health_information_log=NVME), OK, "passed"),
        (
            disk(**PASSED, nvme_smart_health_information_log={**NVME, "critical_warning": 4, "percentage_used": 104}),
            *(WARNING, "critical warning 0x04; 104 % of its life is used"),
        ),
        (
            disk(smartctl={"messages": [{"string": "Permission denied", "severity": "error"}]}),
            *(UNKNOWN, "Permission denied"),
        ),
        (disk(smartctl={"messages": [{"string": "Device is in STANDBY mode, exit(2)"}]}), OK, "it sleeps"),
    ],
)
def test_disks(answer: dict[str, Any], state: CheckState, detail: str) -> None:
    assert read_smart(answer) == DeviceHealth("smart", "/dev/sda", state, f"ST18000NM000J ZR50ABCD: {detail}")


def test_an_attribute_below_its_threshold() -> None:
    attribute = {"id": 1, "name": "Raw_Read_Error_Rate", "when_failed": "now", "raw": {"value": 12}}
    found = read_smart(disk(**PASSED, ata_smart_attributes={"table": [attribute]}))
    assert (found.state, found.detail) == (
        WARNING,
        "ST18000NM000J ZR50ABCD: Raw_Read_Error_Rate is below its threshold",
    )


def test_disks_that_are_found() -> None:
    found = {"devices": [{"name": "/dev/sda", "info_name": "/dev/sda", "type": "scsi", "protocol": "SCSI"}]}
    assert devices_of(found) == [("/dev/sda", "--device", "scsi")]
    assert devices_of({}) == []


def test_the_check_says_what_to_do() -> None:
    found = HealthCheck(lambda: read_mdstat(MDSTAT))()
    assert found[0].name == "storage.health.md.md0"
    assert (found[0].state, found[0].do) == (
        FAILED,
        "mdadm --detail /dev/md0; replace the member that is missing before another goes",
    )
    assert found[2].do == ""
    (unknown,) = HealthCheck(lambda: [DeviceHealth("smart", "/dev/sda", UNKNOWN, "Permission denied")])()
    assert (unknown.name, unknown.do[:18]) == ("storage.health.smart.sda", "run doctor as root")


# ---------------------------------------------------------------- programs as they are called
def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    folder.mkdir()
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(adapter, "_PLACES", str(folder))


def test_what_a_machine_offers_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.dumps({"devices": [{"name": "/dev/sda", "type": "sat"}]})
    answer = json.dumps(disk(**PASSED))
    smartctl = f"print({found!r} if '--scan' in sys.argv else {answer!r})\nsys.exit(4)"
    programs(tmp_path / "bin", monkeypatch, zpool=f"print({ZPOOL!r})", smartctl=smartctl)
    (tmp_path / "mdstat").write_text(MDSTAT)
    said = adapter.machine_health(tmp_path / "mdstat")
    assert [health.kind for health in said] == ["md"] * 5 + ["zfs"] * 4 + ["smart"]


def test_a_machine_that_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", monkeypatch)
    assert adapter.machine_health(tmp_path / "mdstat") == []


def test_a_program_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", monkeypatch, smartctl="print('no JSON')", zpool="")

    def late(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("zpool", 20)

    assert [health.state for health in adapter.machine_health(tmp_path / "mdstat")] == [UNKNOWN]
    monkeypatch.setattr(adapter.subprocess, "run", late)
    said = adapter.machine_health(tmp_path / "mdstat")
    assert [health.detail[:25] for health in said] == ["zpool does not answer: Co", "smartctl does not answer:"]
