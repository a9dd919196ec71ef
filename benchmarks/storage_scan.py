"""Scans of 1 and 2 million files beside ``du`` and ``gdu``, in turn, against their limits: ``make bench-storage``.

The trees are made of sparse files: 208 in a run's folder, below drives, detectors, stages, years and months. What is
compared is processor time, user and system, of everything a command does; walls say more of the machine's other work.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_N_PER_RUN = 208
_DETECTORS = ("cenns10", "ar750", "nai", "mars", "d2o", "ge", "csi", "cubes")
_STAGES = ("raw", "hit", "evt", "sim", "calib")
_LIMITS = {"du": 2.7, "gdu": 1.1}
_MEMORY_MB = 250
_GROWTH = 2.1


class Spent(NamedTuple):
    """What a command took."""

    cpu_s: float
    rss_MB: float
    out: bytes


def folders() -> Iterator[str]:
    number = 0
    while True:
        for drive in range(6):
            for detector in _DETECTORS:
                for stage in _STAGES:
                    month = f"{2016 + number // 12}/{number % 12 + 1:02d}"
                    yield f"data{drive + 1}/{detector}/{stage}/{month}/run{number:06d}"
        number += 1


def make_tree(root: Path, n_files: int) -> None:
    chance = random.Random(1)
    n_made = 0
    for folder in folders():
        if n_made >= n_files:
            return
        (root / folder).mkdir(parents=True)
        here = os.open(root / folder, os.O_RDONLY)
        for number in range(_N_PER_RUN):
            file = os.open(f"seg{number:05d}.dat", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
            os.ftruncate(file, chance.randint(10**6, 2 * 10**9))
            os.close(file)
        n_made += _N_PER_RUN
        os.close(here)


def spend(command: Sequence[str | Path]) -> Spent:
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{command[0]} ended with {child.returncode}")
        out.seek(0)
        return Spent(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out.read())


def compare(tree: Path, n_repeat: int) -> dict[str, list[Spent]]:
    ours = [sys.executable, "-m", "nualley.cli", "drives", "scan", "--path", tree, "--json"]
    commands: dict[str, list[str | Path]] = {"du": ["du", "-s", tree], "nualley": ours}
    if shutil.which("gdu"):
        commands["gdu"] = ["gdu", "-n", "-p", tree]
    else:
        print("gdu is not there: apt-get install gdu", file=sys.stderr)
    taken: dict[str, list[Spent]] = {name: [] for name in commands}
    for number in range(n_repeat + 1):
        for name, command in commands.items():
            spent = spend(command)
            if number:  # the first one fills the caches
                taken[name].append(spent)
    return taken


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def scan_s(taken: dict[str, list[Spent]]) -> float:
    return median([json.loads(spent.out)["cpu_s"] for spent in taken["nualley"]])


def report(what: str, found: float, limit: float) -> bool:
    is_met = found <= limit
    print(f"{what:<58} {found:8.2f}   limit {limit:6.2f}   {'ok' if is_met else 'MISSED'}")
    return is_met


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--files", type=int, default=1_000_000)
    words.add_argument("--repeat", type=int, default=3)
    words.add_argument("--folder", type=Path, help="where trees are kept; by default they are made and removed")
    chosen = words.parse_args()
    with contextlib.ExitStack() as ending:
        base = chosen.folder or Path(ending.enter_context(tempfile.TemporaryDirectory()))
        taken = []
        for n_files in (chosen.files, 2 * chosen.files):
            tree = base / f"tree-{n_files}"
            if not tree.exists():
                make_tree(tree, n_files)
            taken.append(compare(tree, chosen.repeat))
    one, two = taken
    print(f"{chosen.files} files; processor seconds, median of {chosen.repeat}")
    for name, spent in one.items():
        rss_MB = max(run.rss_MB for run in spent)
        print(f"  {name:<10} {median([run.cpu_s for run in spent]):8.2f} s   {rss_MB:6.0f} MB")
    met = [
        report(f"scan / {peer}", scan_s(one) / median([run.cpu_s for run in one[peer]]), limit)
        for peer, limit in _LIMITS.items()
        if peer in one
    ]
    met.append(report("memory [MB]", max(run.rss_MB for run in one["nualley"]), _MEMORY_MB))
    met.append(report(f"{2 * chosen.files} files / {chosen.files} files", scan_s(two) / scan_s(one), _GROWTH))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
