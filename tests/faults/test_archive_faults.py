"""The archive's writer is killed, and its drive runs full: what was acknowledged is there, once."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, verify_archive
from nualley.archive import ArchiveSettings, LogWriteError
from nualley.pv import Sample, ValueType
from tests.faults.conftest import SmallDrives

pytestmark = pytest.mark.fault

# writes counters as fast as it can, says what is acknowledged, seals now and then
WRITER = """
import sys, time
from pathlib import Path
from nualley.app.archive import open_archive_writer
from nualley.pv import Sample, ValueType
writer = open_archive_writer(Path(sys.argv[1]))
last = writer.recorder.registry.by_name.get("N")
count = last.last.value if last and last.last else -1
acknowledged = count
def synced(_):
    sys.stdout.write(f"{sent}\\n"); sys.stdout.flush()
writer.recorder.synced.subscribe(synced)
for round in range(10_000):
    for _ in range(50):
        count += 1
        now = time.time_ns()
        writer.recorder.receive(Sample("N", now, count, ValueType.INT64, 0, 0, "ca", now))
    sent = count
    writer.recorder.commit()
    if round % 7 == 6:
        writer.seal()
"""


def test_kill_9_loses_and_doubles_no_acknowledged_sample(tmp_path: Path, seed: int, is_soak: bool):
    rng = random.Random(seed)
    acknowledged = -1
    for _ in range(100 if is_soak else 6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            acknowledged = max(acknowledged, int(process.stdout.readline()))
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0, 0.4))
            else:  # at once behind an acknowledgement: what was too early is caught
                acknowledged = max(acknowledged, int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                acknowledged = max(acknowledged, int(line))
        # before the restart repairs anything, a reader sees each acknowledged sample once, and maybe more of the tail
        values = open_archive_reader(tmp_path).read("N", 0, 2**62)["value"].to_pylist()
        assert values == list(range(len(values)))
        assert len(values) > acknowledged
    writer = open_archive_writer(tmp_path)
    writer.close()
    reader = open_archive_reader(tmp_path)
    assert reader.ledger().is_balanced
    values = [value for value in reader.read("N", 0, 2**62)["value"].to_pylist() if value is not None]
    assert values == list(range(len(values)))
    assert len(values) > acknowledged


def test_a_full_drive_keeps_all_in_memory_and_goes_on_when_there_is_room(small_drive: Path):
    writer = open_archive_writer(small_drive / "archive", ArchiveSettings())
    ballast = small_drive / "ballast"
    count = 0

    def receive(n: int) -> None:
        nonlocal count
        for _ in range(n):
            now_ns = time.time_ns()
            writer.recorder.receive(Sample("N", now_ns, count, ValueType.INT64, 0, 0, "ca", now_ns))
            count += 1

    receive(100)
    writer.recorder.commit()
    status = os.statvfs(small_drive)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize))
    receive(5000)
    with pytest.raises(LogWriteError, match="No space left on device") as caught:
        writer.recorder.commit()
    assert "goes on by itself" in caught.value.do
    reader = open_archive_reader(small_drive / "archive")
    assert reader.ledger().stored == 100, "what is not synced is not shown"
    receive(100)
    ballast.unlink()
    writer.recorder.commit()
    assert reader.read("N", 0, 2**62)["value"].to_pylist() == list(range(5200))
    assert reader.ledger().is_balanced
    writer.close()


# merges what is sealed, over and over, straight to months
COMPACTOR = """
import sys
from pathlib import Path
from nualley.app.archive import open_compactor
from nualley.archive.errors import ReplacedError
for _ in range(10_000):
    compactor = open_compactor(Path(sys.argv[1]))
    for job in compactor.due(is_all=True):
        compactor.run(job)
    sys.stdout.write("done\\n"); sys.stdout.flush()
"""


def test_kill_9_of_ingest_and_compaction_loses_and_doubles_no_acknowledged_sample(
    tmp_path: Path, seed: int, is_soak: bool
):
    rng = random.Random(seed)
    acknowledged = -1
    open_archive_writer(tmp_path).close()
    for _ in range(100 if is_soak else 6):
        words = [(sys.executable, "-c", code, str(tmp_path)) for code in (WRITER, COMPACTOR)]
        writing, compacting = (subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in words)
        with writing, compacting:
            assert writing.stdout is not None
            acknowledged = max(acknowledged, int(writing.stdout.readline()))
            time.sleep(rng.uniform(0.2, 1.2))
            for process in rng.sample([writing, compacting], 2):
                process.send_signal(signal.SIGKILL)
            for line in writing.stdout:
                acknowledged = max(acknowledged, int(line))
            assert compacting.stdout is not None
            compacting.stdout.read()
        reader = open_archive_reader(tmp_path)
        values = [value for value in reader.read("N", 0, 2**62)["value"].to_pylist() if value is not None]
        assert values == list(range(len(values)))
        assert len(values) > acknowledged
        assert reader.damages() == []
    open_archive_writer(tmp_path).close()
    reader = open_archive_reader(tmp_path)
    assert reader.ledger().is_balanced
    # a commit that was whole on the drive, and not yet acknowledged, counts from the restart on
    values = [value for value in reader.read("N", 0, 2**62)["value"].to_pylist() if value is not None]
    assert values == list(range(len(values)))
    begin_ns = reader.first_ns("N")
    assert sum(reader.bins("N", begin_ns, time.time_ns() + 1, 7, is_exact=True)["n"].to_pylist()) == len(values)
    compactor = open_compactor(tmp_path)
    for job in compactor.due(is_all=True):
        compactor.run(job)
    assert verify_archive(tmp_path).is_intact


def test_a_full_drive_costs_its_reserve_first(small_drives: SmallDrives):
    drive = small_drives.mount(size="8m")
    writer = open_archive_writer(drive / "archive", ArchiveSettings(reserve_B=2**20))
    count = 0

    def commit(n: int) -> None:
        nonlocal count
        for _ in range(n):
            now_ns = time.time_ns()
            writer.recorder.receive(Sample("N", now_ns, count, ValueType.INT64, 0, 0, "ca", now_ns))
            count += 1
        writer.recorder.commit()

    commit(10)
    status = os.statvfs(drive)
    (drive / "ballast").write_bytes(bytes(status.f_bavail * status.f_frsize))
    for _ in range(20):
        commit(500)
    assert writer.log.is_reserve_spent
    assert open_archive_reader(drive / "archive").ledger().stored == 10_010
    with pytest.raises(LogWriteError, match="No space left"):
        for _ in range(200):
            commit(1000)
    (drive / "ballast").unlink()
    writer.recorder.commit()
    assert open_archive_reader(drive / "archive").read("N", 0, 2**62)["value"].to_pylist() == list(range(count))
    writer.close()


# takes in one file beside the archive, says when it is done
IMPORTER = """
import sys
from pathlib import Path
from nualley.app.imports import import_files
counts = import_files(Path(sys.argv[1]), [Path(sys.argv[2])]).counts
sys.stdout.write(f"{counts.received} {counts.stored} {counts.filtered}\\n"); sys.stdout.flush()
"""


def test_kill_9_of_an_import_beside_a_running_archive_loses_and_doubles_nothing(
    tmp_path: Path, seed: int, is_soak: bool
):
    rng = random.Random(seed)
    folder, old = tmp_path / "archive", tmp_path / "old.csv"
    n_rows, begin_ns = 60_000, time.time_ns() - 10**17
    old.write_text("pv,time,value\n" + "".join(f"OLD,{begin_ns + n},{n}\n" for n in range(n_rows)))
    open_archive_writer(folder).close()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        acknowledged = int(writing.stdout.readline())
        for _ in range(40 if is_soak else 4):
            words = [sys.executable, "-c", IMPORTER, str(folder), str(old)]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as importing:
                time.sleep(rng.uniform(0.3, 1.5))
                importing.send_signal(signal.SIGKILL)
            reader = open_archive_reader(folder)
            known = "OLD" in reader.registry().by_name
            rows = reader.read("OLD", 0, 2**62).to_pylist() if known else []
            values = [row["value"] for row in rows if row["kind"] == "sample"]
            assert values in ([], [float(n) for n in range(n_rows)]), "all of a file or nothing"
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        received, stored, filtered = map(int, done.stdout.split())
        assert received == stored + filtered == n_rows
        writing.send_signal(signal.SIGKILL)
        for line in writing.stdout:
            acknowledged = max(acknowledged, int(line))
    reader = open_archive_reader(folder)
    for pv, n_least in (("OLD", n_rows), ("N", acknowledged + 1)):
        rows = reader.read(pv, 0, 2**62).to_pylist()
        values = [row["value"] for row in rows if row["kind"] == "sample"]
        assert values == list(range(len(values)))
        assert len(values) >= n_least
    assert verify_archive(folder).is_intact
    assert reader.damages() == []
