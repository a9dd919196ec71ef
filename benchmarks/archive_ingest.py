"""What one archive process takes in from a real IOC on the same machine: ``python -m benchmarks.archive_ingest``.

Counters prove that nothing is missing: a client's ledger cannot see what a CA server merges for a slow client. The bare
aioca receiver listens to the same IOC's counters before, so that its price of an update stands beside ours, and the
rate at which it kept up.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.counter_ioc import PREFIX
from nualley.app.locks import role_state
from nualley.app.site import Site, open_site
from nualley.config import write_template
from nualley.testing.ioc import EpicsPorts, without_epics

SECONDS = float(os.environ.get("NUALLEY_BENCH_S", "60"))
WARM_S = 8.0
N_WINDOWS = 6
_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_PAGE_B = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Load:
    """What the IOC serves."""

    name: str
    n_fast: int
    n_slow: int = 0
    n_waves: int = 0

    @property
    def n_scalars(self) -> int:
        """Counters, fast and slow."""
        return self.n_fast + self.n_slow


LOADS = (
    Load("40 000/s of 4000 PVs", 4000),
    Load("20 000/s of 2000 PVs and 20 waveforms at 60 Hz", 2000, n_waves=20),
    Load("20 000/s of 5000 PVs", 1667, 3333),
)


@contextlib.contextmanager
def ioc(load: Load, ports: EpicsPorts) -> Iterator[None]:
    """Serve a load."""
    environ = without_epics(os.environ) | ports.server_environment() | {"EPICS_CA_MAX_ARRAY_BYTES": "10000000"}
    words = [sys.executable, "-m", "benchmarks.counter_ioc", str(load.n_fast), str(load.n_slow), str(load.n_waves)]
    with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != b"ready":
            assert process.poll() is None, "the IOC ended"
        try:
            yield
        finally:
            process.kill()


def experiment(folder: Path, load: Load, ports: EpicsPorts) -> Site:
    """Describe an experiment that archives the load."""
    write_template(folder)
    path = folder / "experiment.toml"
    path.write_text(path.read_text().replace('addr_list = ["127.0.0.1"]', f'addr_list = ["127.0.0.1:{ports.ca}"]'))
    lines = [f'"{PREFIX}:C{number}" = {{}}' for number in range(load.n_scalars)]
    lines += [f'"{PREFIX}:W{number}" = {{ retention_h = 1 }}' for number in range(load.n_waves)]
    (folder / "pvs" / "bench.toml").write_text("[pv]\n" + "\n".join(lines) + "\n")
    return open_site(folder)


@dataclass
class Usage:
    """What a process has used, its children that ended with it."""

    cpu_s: float
    rss_B: int


def usage(pid: int) -> Usage:
    """Return what a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(fields[at]) for at in (11, 12, 13, 14))
    return Usage(ticks / _TICKS_HZ, int(fields[21]) * _PAGE_B)


def bare(load: Load, ports: EpicsPorts) -> dict[str, float]:
    """Let aioca listen to the scalars alone."""
    environ = without_epics(os.environ) | ports.client_environment()
    words = [sys.executable, "-m", "benchmarks.aioca_receiver", str(load.n_scalars), str(SECONDS / 3), str(WARM_S)]
    done = subprocess.run(words, env=environ, capture_output=True, timeout=SECONDS + 120, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@dataclass
class Ours:
    """What the archive process did."""

    rate_Hz: float
    cpu_us: float
    cpu: float
    rss_B: int
    n_holes: int
    n_waves: int
    n_waves_due: int


def ours(site: Site, load: Load) -> Ours:
    """Archive the load, then look for what is missing."""
    words = [sys.executable, "-m", "nualley.cli", "up", "archive", "--experiment", str(site.configuration.directory)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not role_state(site.configuration.store, "archive").control:
            assert process.poll() is None, "the archive ended"
            time.sleep(0.1)
        time.sleep(WARM_S)
        begin_ns, windows, most_B = time.time_ns(), [], 0
        before, n_before = usage(process.pid), n_stored(site)
        for _ in range(N_WINDOWS):
            time.sleep(SECONDS / N_WINDOWS)
            now, n_now = usage(process.pid), n_stored(site)
            windows.append((1e6 * (now.cpu_s - before.cpu_s) / (n_now - n_before), now.cpu_s - before.cpu_s))
            before, n_before, most_B = now, n_now, max(most_B, now.rss_B)
        stop_ns = time.time_ns() - 500_000_000
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    seconds = (stop_ns - begin_ns) / 1e9
    n_holes, n_samples = holes(site, load, begin_ns, stop_ns)
    waves = [pulses(site, f"{PREFIX}:W{number}", begin_ns, stop_ns) for number in range(load.n_waves)]
    return Ours(
        rate_Hz=n_samples / seconds,
        cpu_us=statistics.median(window[0] for window in windows),
        cpu=statistics.median(window[1] for window in windows) / (SECONDS / N_WINDOWS),
        rss_B=most_B,
        n_holes=n_holes,
        n_waves=sum(found for found, _ in waves),
        n_waves_due=sum(due for _, due in waves),
    )


def n_stored(site: Site) -> int:
    """Return how many samples are acknowledged."""
    return open_site(site.configuration.directory).archive().account().n_received


def pulses(site: Site, pv: str, begin_ns: int, stop_ns: int) -> tuple[int, int]:
    """Return how many waveforms there are, and how many there should be by the count in their first element."""
    numbers = []
    for table in site.archive().pieces(pv, begin_ns, stop_ns, most_rows=200):
        is_sample = np.asarray(table["kind"].cast("string")) == "sample"
        numbers += [int(value[0].as_py()) for value, is_one in zip(table["value"], is_sample, strict=True) if is_one]
    return len(numbers), numbers[-1] - numbers[0] + 1


def holes(site: Site, load: Load, begin_ns: int, stop_ns: int) -> tuple[int, int]:
    """Return how many updates of the counters are missing, and how many there are."""
    n_missing = n_found = 0
    for number in range(load.n_scalars):
        table = site.archive().read(f"{PREFIX}:C{number}", begin_ns, stop_ns)
        is_sample = np.asarray(table["kind"].cast("string")) == "sample"
        found = np.asarray(table["value"])[is_sample].astype(np.int64)
        if found.size < 2:
            n_missing += 1
            continue
        n_missing += int(found[-1] - found[0] + 1 - found.size)
        n_found += found.size - 1
    return n_missing, n_found


def last_values(site: Site, load: Load) -> float:
    """Return the median time for the last values of 1000 PVs, beside a reader that follows [ms]."""
    names, reader = [f"{PREFIX}:C{number}" for number in range(min(1000, load.n_scalars))], site.archive()
    times_s = []
    for _ in range(7):
        began_s = time.perf_counter()
        reader.last(names)
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s) * 1e3


def main() -> int:
    """Measure and print a table."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print(f"{SECONDS:g} s each, IOC on the same {os.cpu_count()} cores; medians of {N_WINDOWS} windows")
    head = ("load", "stored/s", "missing", "waveforms", "CPU us/update", "aioca", "ratio", "cores", "memory [MB]")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for load in LOADS:
        with tempfile.TemporaryDirectory(prefix="nualley-bench-", dir=base) as name:
            ports = EpicsPorts.free()
            with ioc(load, ports):
                peer = bare(load, ports)
                site = experiment(Path(name) / "experiment", load, ports)
                found = ours(site, load)
            waves = f"{found.n_waves / found.n_waves_due:.3%}" if load.n_waves else ""
            aioca = f"{peer['cpu_us']:.1f} at {peer['rate_Hz']:.0f}/s"
            ratio = f"{found.cpu_us / peer['cpu_us']:.2f}"
            row = (load.name, f"{found.rate_Hz:.0f}", found.n_holes, waves, f"{found.cpu_us:.1f}", aioca, ratio)
            print(f"| {' | '.join(map(str, row))} | {found.cpu:.2f} | {found.rss_B / 1e6:.0f} |", flush=True)
            last = last_values(site, load)
            print(f"  last value of {min(load.n_scalars, 1000)} PVs: {last:.1f} ms", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
