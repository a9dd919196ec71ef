"""CPU of commands that a person waits for, against their limits: ``python -m benchmarks.startup``."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nualley.app.site import open_site
from nualley.catalog import Run, TimeSource
from nualley.config import write_template
from nualley.core import SECOND_NS, make_run_id

N_TIMES = 9
N_RUNS = 100
# words of the command -> limit of user and system CPU [s]
LIMITS_S = {("--version",): 0.4, ("--help",): 0.8, ("runs", "list"): 0.8}


def cpu_s(words: Sequence[str], folder: Path) -> float:
    """Run the command once and return the CPU that it took [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [Path(sys.executable).with_name("nualley"), *words]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUALLEY_")}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def make_experiment(folder: Path) -> Path:
    """Write an experiment with as many runs as a small one has in a month."""
    write_template(folder)
    catalog = open_site(folder, environ={}).catalog()
    for number in range(1, N_RUNS + 1):
        start_ns = number * 3600 * SECOND_NS
        catalog.register_run(
            Run(
                run_id=make_run_id("hpge", number),
                detector="hpge",
                number=number,
                start_ns=start_ns,
                stop_ns=start_ns + 3000 * SECOND_NS,
                time_source=TimeSource.GIVEN,
            )
        )
    return folder


def main() -> int:
    """Measure, print a table, and return 1 where a limit is exceeded."""
    print(f"{'command':<22}{'median [s]':>12}{'lowest':>9}{'highest':>9}{'limit':>8}")
    is_within = True
    with tempfile.TemporaryDirectory(prefix="nualley-bench-") as name:
        folder = make_experiment(Path(name) / "experiment")
        for words, limit_s in LIMITS_S.items():
            cpu_s(words, folder)  # the first one fills the page cache
            times_s = [cpu_s(words, folder) for _ in range(N_TIMES)]
            median_s = statistics.median(times_s)
            is_within &= median_s <= limit_s
            mark = "" if median_s <= limit_s else "  TOO SLOW"
            row = f"{median_s:>12.3f}{min(times_s):>9.3f}{max(times_s):>9.3f}{limit_s:>8.1f}"
            print(f"nualley {' '.join(words):<14}{row}{mark}")
    print(f"user and system CPU, {N_TIMES} times each; runs list shows {N_RUNS} runs")
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
