"""A scan that is killed, has no room, meets another device or directories that are closed to it."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nualley.core import SystemClock
from nualley.storage import DriveFull, Scan
from nualley.storage.adapters import scanner
from nualley.storage.adapters.scandir import Walk, open_root
from tests.faults.conftest import SmallDrives

pytestmark = pytest.mark.fault


def scan(root: Path, file: Path) -> Scan:
    return scanner.scan_tree(root, file, drive="data1", clock=SystemClock())


def fill(folder: Path, n_folders: int, n_files: int) -> None:
    for number in range(n_folders):
        inner = folder / f"run{number:06d}"
        inner.mkdir(parents=True)
        for file in range(n_files):
            (inner / f"{number}-{file}.dat").touch()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    fill(folder, 200, 100)
    return folder


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "nualley.cli", "drives", "scan", *map(str, words)]


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def has_children(pid: int) -> bool:
    return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_killed_at_any_moment_no_file_stands_half(large: Path, tmp_path: Path, seed: int, is_soak: bool) -> None:
    chance = random.Random(seed)
    file = tmp_path / "scan.parquet"
    for _ in range(60 if is_soak else 3):
        file.unlink(missing_ok=True)
        script = (
            "import sys; from pathlib import Path; from nualley.core import SystemClock; "
            "from nualley.storage.adapters.scanner import scan_tree; print(1, flush=True); "
            "scan_tree(Path(sys.argv[1]), Path(sys.argv[2]), drive='d', clock=SystemClock())"
        )
        with subprocess.Popen([sys.executable, "-c", script, large, file], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0, 0.3))
            child.kill()
        if file.exists():
            assert pq.read_table(file).num_rows == 20_201
    file.unlink(missing_ok=True)
    assert scan(large, file).n_files == 20_000
    assert parts(tmp_path) == []  # also what the killed ones left


IOPRIO_GET = {"x86_64": 252, "aarch64": 31}
SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


def state_of(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def hold_in_the_middle(parent: subprocess.Popen[bytes]) -> int:
    """Stop the scanning child of a command once it has stood back: from then on it knows of its parent's end."""
    wait_until(lambda: has_children(parent.pid))
    child = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
    libc = ctypes.CDLL(None)
    wait_until(lambda: libc.syscall(IOPRIO_GET[os.uname().machine], 1, child) >> 13 == 3)
    os.kill(child, signal.SIGSTOP)
    # who stands back on a busy machine is stopped when its turn comes: a signal of later would reach it first
    wait_until(lambda: state_of(child)["State"][0] == "T")
    return child


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_is_stopped_its_children_end_and_nothing_half_is_left(
    large: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    file = tmp_path / "scan.parquet"
    words = command("--path", large, "--out", file, "--json")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True) as parent:
        child = hold_in_the_middle(parent)
        assert not file.exists()
        parent.send_signal(stop)
        # told by its parent, or by the kernel, which gives it to another parent as well
        wait_until(
            lambda: int(state_of(child)["ShdPnd"], 16) & SIGTERM_BIT or state_of(child)["PPid"] != str(parent.pid)
        )
        os.kill(child, signal.SIGCONT)
    wait_until(lambda: state_of(child).get("State", "Z")[0] == "Z")
    assert not file.exists()
    assert parts(tmp_path) == []


def test_a_full_drive_is_told_and_leaves_nothing(large: Path, small_drives: SmallDrives) -> None:
    drive = small_drives.mount(size="64k")
    with pytest.raises(DriveFull):
        scan(large, drive / "scan.parquet")
    assert list(drive.iterdir()) == []


def test_it_stays_on_its_device(tmp_path: Path, small_drives: SmallDrives) -> None:
    root = tmp_path
    mounted = small_drives.mount("other")
    (mounted / "not ours").write_bytes(b"x" * 1000)
    (root / "ours").write_bytes(b"x" * 10)
    found = scan(root, root.parent / f"{root.name}.parquet")
    assert (found.n_files, found.size_B) == (1, 10)
    said = {row["name"]: row for row in pq.read_table(root.parent / f"{root.name}.parquet").to_pylist()}
    assert said[b"other"]["kind"] == "mount"
    assert not said[b"other"]["is_counted"]
    assert b"not ours" not in said


def test_it_stays_on_its_device_also_where_nothing_tells_of_mounts(tmp_path: Path, small_drives: SmallDrives) -> None:
    mounted = small_drives.mount("other")
    (mounted / "not ours").write_bytes(b"x" * 1000)
    names: list[str] = []

    class Names:
        def begin(self, directory: bytes) -> None: ...

        def add(self, found: Sequence[str], stats: Sequence[os.stat_result]) -> None:
            names.extend(found)

    Walk(Names()).run(open_root(tmp_path))
    assert names == ["other"]


def test_what_is_mounted_twice_counts_once(tmp_path: Path, small_drives: SmallDrives) -> None:
    mounted = small_drives.mount("drive")
    (mounted / "a").mkdir()
    (mounted / "a" / "one").write_bytes(b"x" * 1000)
    (mounted / "again").mkdir()
    small_drives.bind(mounted / "a", mounted / "again")
    found = scan(mounted, tmp_path / "scan.parquet")
    assert (found.n_files, found.size_B) == (1, 1000)


def test_closed_directories_are_told_and_the_others_read(
    as_nobody: Callable[[Callable[[], None]], None], open_folder: Path
) -> None:
    root = open_folder / "tree"
    fill(root, 2, 3)
    closed, unsearchable = root / "run000000", root / "run000001"
    closed.chmod(0o700)
    unsearchable.chmod(0o744)  # its names may be read, and nothing else
    (root / "open").mkdir()
    (root / "open" / "one").write_bytes(b"123")

    def work() -> None:
        found = scan(root, open_folder / "scan.parquet")
        assert (found.n_files, found.n_dirs, found.size_B, found.unreadable) == (1, 4, 3, 2)
        assert sorted(found.refused) == [
            ("run000000", "Permission denied"),
            ("run000001", "Permission denied"),
        ]

    as_nobody(work)


def test_files_come_and_go_while_it_looks(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    fill(root, 20, 50)
    script = (
        "import os, sys, itertools\nprint(1, flush=True)\nfor n in itertools.count():\n"
        " p = os.path.join(sys.argv[1], f'run{n % 20:06d}')\n"
        " q = os.path.join(p, str(n)); os.mkdir(q); open(os.path.join(q, 'f'), 'w').close()\n"
        " os.unlink(os.path.join(q, 'f')); os.rmdir(q)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE) as restless:
        assert restless.stdout is not None
        restless.stdout.readline()
        for number in range(10):
            found = scan(root, tmp_path / f"{number}.parquet")
            assert found.n_files >= 1000
            assert found.unreadable == 0
        restless.kill()
