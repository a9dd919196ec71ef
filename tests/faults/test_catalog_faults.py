"""Killed, full, damaged: what was acknowledged stays, what was not leaves nothing half."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nualley.catalog import CatalogDamaged
from nualley.catalog.adapters.backup import backup, inspect, restore
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import CatalogMissing, CatalogUnwritable
from nualley.storage import DriveFull
from nualley.storage.adapters.posix import PosixFiles
from tests.faults.conftest import SmallDrives
from tests.unit.catalog.records import make_run

pytestmark = pytest.mark.fault

WRITER = """
import sys
from pathlib import Path
from nualley.catalog.adapters.sql import open_catalog
from tests.unit.catalog.records import *
with open_catalog(Path(sys.argv[1])) as catalog:
    for number in range(int(sys.argv[2]), 10**9):
        run = make_run(number)
        replicas = [make_replica(path=f"/d/{number}/{copy}") for copy in range(2)]
        catalog.add_file(run, make_file(run), replicas=replicas, activity=make_activity(inputs=("a",), outputs=("b",)))
        print(number, flush=True)
"""


def kill_after(command: list[object], wait_s: float) -> list[str]:
    """Start a program, kill it, and return the whole lines that it wrote."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", *map(str, command)], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(wait_s)
        child.kill()
        text = first + child.stdout.read()
    return text.split("\n")[:-1]


def test_a_writer_killed_at_random_moments_loses_nothing_acknowledged(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance, location, acknowledged = random.Random(seed), tmp_path / "catalog.sqlite", []
    for _ in range(50 if is_soak else 4):
        first = acknowledged[-1] + 1 if acknowledged else 0
        acknowledged += [int(line) for line in kill_after([WRITER, location, first], chance.uniform(0, 0.2))]
        with open_catalog(location) as catalog:
            runs = {run.number for run in catalog.runs()}
            assert set(acknowledged) <= runs
            assert len(runs) <= acknowledged[-1] + 2
            for totals in catalog.totals_by_run().values():
                assert (totals.n_files, totals.n_verified_replicas) == (1, 2)
            assert len(catalog.activities("b")) == len(runs)
        inspect(location)


OLD_ROWS = """
import sys
from pathlib import Path
from sqlalchemy import insert
from nualley.catalog.adapters import tables
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.sql import open_catalog
from tests.unit.catalog.records import *
with open_catalog(Path(sys.argv[1])) as catalog:
    catalog.register_drive("data1", "i1")
    run = make_run()
    catalog.add_file(run, make_file(run))
rows = [
    {"file_id": 1, "drive": "data1", "path": f"/disk/{number}", "state": "verified", "created_ns": 1}
    for number in range(30_000)
]
open_database(Path(sys.argv[1]), create=True).write(lambda connection: connection.execute(insert(tables.replica), rows))
"""

SETTLER = """
import sys
from pathlib import Path
from nualley.catalog.adapters.sql import open_catalog
print("ready", flush=True)
open_catalog(Path(sys.argv[1]), drives={"data1": Path("/disk")}).close()
"""


def test_rows_of_old_are_settled_all_or_none_when_it_is_killed(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance, old = random.Random(seed), tmp_path / "old.sqlite"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "-c", OLD_ROWS, old], check=True, env=environment)
    for number in range(50 if is_soak else 4):
        location = tmp_path / f"{number}.sqlite"
        location.write_bytes(old.read_bytes())
        kill_after([SETTLER, location], chance.uniform(0, 0.6))
        with closing(sqlite3.connect(location)) as connection:
            n_below = connection.execute("SELECT count(*) FROM replica WHERE path LIKE 'data1:/%'").fetchone()[0]
            path = connection.execute("SELECT path FROM drive").fetchone()[0]
        assert (n_below, path) in ((0, None), (30_000, "/disk")), f"seed {seed}"
        with open_catalog(location, drives={"data1": Path("/disk")}) as catalog:
            found = catalog.replica_at("data1", "/disk/29999")
            assert found is not None
        inspect(location)


RESTORER = """
import sys
from pathlib import Path
from nualley.catalog.adapters.backup import restore
from nualley.storage.adapters.posix import PosixFiles
print("ready", flush=True)
for number in range(10**9):
    restore(Path(sys.argv[1 + number % 2]), Path(sys.argv[3]), files=PosixFiles(), replace=True, now_ns=number * 10**9)
"""


def fill(location: Path, first: int, n_runs: int) -> None:
    with open_catalog(location) as catalog:
        for number in range(first, first + n_runs):
            catalog.register_run(make_run(number, settings={"text": "x" * 2000}))


def test_a_restore_killed_at_random_moments_leaves_one_whole_catalog(tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance, contents, files = random.Random(seed), [], PosixFiles()
    for number in range(2):
        fill(tmp_path / f"catalog{number}", 1000 * number, 60 + 40 * number)
        contents.append(backup(tmp_path / f"catalog{number}", tmp_path / f"backup{number}", files=files))
    for attempt in range(30 if is_soak else 4):
        location = tmp_path / f"work{attempt}" / "catalog.sqlite"
        restore(tmp_path / "backup0", location, files=files, now_ns=0)
        kill_after([RESTORER, tmp_path / "backup0", tmp_path / "backup1", location], chance.uniform(0, 0.15))
        assert inspect(location) in contents
        for other in location.parent.glob("*.before-restore-*[Z]"):
            assert inspect(other) in contents


def test_a_catalog_that_is_killed_while_it_is_made(tmp_path: Path, seed: int, is_soak: bool) -> None:
    code = """
import sys
from pathlib import Path
import alembic.config, alembic.script, alembic.runtime.environment
from nualley.catalog.adapters.sql import open_catalog
print("ready", flush=True)
for number in range(10**9):
    open_catalog(Path(sys.argv[1]) / str(number) / "catalog.sqlite").close()
"""
    chance = random.Random(seed)
    for attempt in range(20 if is_soak else 3):
        folder = tmp_path / str(attempt)
        kill_after([code, folder], chance.uniform(0, 0.1))
        for location in folder.glob("*/catalog.sqlite"):
            with open_catalog(location) as catalog:
                assert catalog.runs() == []


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    location = tmp_path / "catalog.sqlite"
    fill(location, 0, 50)
    with closing(sqlite3.connect(location)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(location.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    location.write_bytes(raw)
    with pytest.raises(CatalogDamaged, match=r"damaged|no database") as caught, open_catalog(location) as catalog:
        catalog.runs()
    assert "restore the last backup" in caught.value.do
    with pytest.raises(CatalogDamaged):
        inspect(location)


def test_a_full_drive_under_the_catalog(small_drive: Path) -> None:
    location, entered = small_drive / "catalog.sqlite", 0
    ballast = small_drive / "ballast"
    ballast.write_bytes(bytes(500_000))
    with open_catalog(location) as catalog:
        with pytest.raises(CatalogUnwritable, match="full"):
            for entered in range(1000):
                catalog.register_run(make_run(entered, settings={"text": "x" * 5000}))
        assert len(catalog.runs()) == entered
        ballast.unlink()
        catalog.register_run(make_run(entered))
        assert len(catalog.runs()) == entered + 1
    inspect(location)


def test_a_full_drive_is_told_with_its_free_bytes_whatever_sqlite_calls_it(small_drives: SmallDrives) -> None:
    drive = small_drives.mount(size="1m")
    location = drive / "catalog.sqlite"
    fill(location, 0, 3)
    free_B = os.statvfs(drive).f_bavail * os.statvfs(drive).f_frsize
    (drive / "ballast").write_bytes(bytes(free_B))
    with pytest.raises(CatalogUnwritable, match=r"the drive under the catalog is full: .* \(0 B\) free") as caught:
        fill(location, 3, 1)  # SQLite says "disk I/O error": it cannot make its shared memory
    assert "make room on the store's drive" in caught.value.do
    (drive / "ballast").unlink()
    fill(location, 3, 1)


def test_a_store_that_may_only_be_read(open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]) -> None:
    store = open_folder / "store"
    location = store / "catalog.sqlite"
    fill(location, 0, 2)
    store.chmod(0o755)
    before = sorted(store.iterdir())

    def read() -> None:
        with open_catalog(location) as catalog:
            assert [run.number for run in catalog.runs()] == [0, 1]
            with pytest.raises(CatalogUnwritable, match="open for reading only"):
                catalog.register_run(make_run(9))
        content = backup(location, open_folder / "copy", files=PosixFiles())
        assert content.n_rows_by_table["run"] == 2

    as_nobody(read)
    assert sorted(store.iterdir()) == before

    def read_beside_a_writer() -> None:
        with open_catalog(location) as catalog:
            assert {run.number for run in catalog.runs()} == {0, 1, 2}

    with open_catalog(location) as writer:
        writer.register_run(make_run(2))
        as_nobody(read_beside_a_writer)
    as_nobody(read_beside_a_writer)


def test_a_read_only_mount_is_read(small_drives: SmallDrives) -> None:
    drive = small_drives.mount()
    fill(drive / "catalog.sqlite", 0, 2)
    small_drives.remount(drive, "ro")
    with open_catalog(drive / "catalog.sqlite") as catalog:
        assert len(catalog.runs()) == 2
    inspect(drive / "catalog.sqlite")


MAKER = """
import sys, time
from pathlib import Path
import alembic.config, alembic.script, alembic.runtime.environment
from nualley.catalog.adapters.sql import open_catalog
from tests.unit.catalog.records import make_run
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    with open_catalog(Path(sys.argv[1]) / str(number) / "catalog.sqlite") as catalog:
        catalog.register_run(make_run(int(sys.argv[2])))
"""


def test_processes_that_make_a_catalog_at_once_all_work(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(3)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate()
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    for number in range(20):
        with open_catalog(tmp_path / str(number) / "catalog.sqlite", create=False) as catalog:
            assert {run.number for run in catalog.runs()} == {0, 1, 2}


def test_a_backup_by_somebody_who_is_not_root(
    open_folder: Path, as_nobody: Callable[[Callable[[], None]], None]
) -> None:
    def work() -> None:
        fill(open_folder / "catalog.sqlite", 0, 2)
        assert backup(open_folder / "catalog.sqlite", open_folder / "b", files=PosixFiles()).n_rows_by_table["run"] == 2
        assert not (open_folder / "b").stat().st_mode & 0o222

    as_nobody(work)


def test_a_full_drive_under_a_backup(small_drive: Path, tmp_path: Path) -> None:
    location = tmp_path / "catalog.sqlite"
    fill(location, 0, 600)
    with pytest.raises((CatalogUnwritable, DriveFull), match="full|free"):
        backup(location, small_drive / "b", files=PosixFiles())
    assert list(small_drive.iterdir()) == []


def test_a_read_only_drive_under_the_catalog(small_drives: SmallDrives) -> None:
    small_drive = small_drives.mount()
    small_drives.remount(small_drive, "ro")
    with pytest.raises(CatalogUnwritable, match="the catalog cannot be made: Read-only file system"):
        open_catalog(small_drive / "catalog.sqlite")
    with pytest.raises(CatalogMissing):
        open_catalog(small_drive / "catalog.sqlite", create=False)
