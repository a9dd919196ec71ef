"""Look-ups, usage and four writers on a catalog of many files: ``python -m benchmarks.catalog_files [--rows N]``.

SQLite and PostgreSQL side by side, through the calls that commands use; ``--peer SCRIPT`` runs another program that
takes a database file and ``--rows`` and prints a line of JSON. Everything lies in a temporary folder (``--folder``).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nualley.catalog import FileRecord, Replica, ReplicaState, Run
from nualley.catalog.adapters import tables
from nualley.catalog.adapters.contents import CHUNK_ROWS, recorded_tables
from nualley.catalog.adapters.copying import appender, go_on_counting
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.decide import month_of
from nualley.catalog.drive_paths import DrivePaths
from nualley.catalog.settings import parse_url
from nualley.core import SECOND_NS
from nualley.testing.postgres import PostgresServer, find_programs

N_LOOKUPS = 2000
N_WRITERS = 4
WRITING_S = 4.0
FILES_PER_RUN = 2000
DETECTORS = ("cenns-10", "coh-ar-750", "nai", "mars", "d2o", "hpge", "csi", "cubes")
STAGES = ("raw", "hit", "evt", "sim", "calib")
N_DRIVES = 6
DRIVES = {f"data{number}": Path(f"/data{number}") for number in range(1, N_DRIVES + 1)}
START_NS = 1_451_606_400 * SECOND_NS  # 2016
MONTH_NS = 2_629_746 * SECOND_NS
_MASK = 2**128 - 1


def run_of(number: int) -> Run:
    """Return a run; they follow each other through 120 months and all detectors."""
    detector = DETECTORS[number % len(DETECTORS)]
    start_ns = START_NS + (number // len(DETECTORS)) % 120 * MONTH_NS
    return Run(run_id=f"{detector}-{number}", detector=detector, number=number, start_ns=start_ns)


def digest_of(number: int) -> str:
    """Return a digest that looks like one."""
    return f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x1234567) & _MASK:032x}"


def place_of(number: int) -> tuple[str, str]:
    """Return drive and path of a file's replica."""
    run, drive = run_of(number // FILES_PER_RUN), f"data{1 + number % N_DRIVES}"
    return drive, f"/{drive}/{run.detector}/{stage_of(number)}/{run.number:06d}/seg{number:08d}.dat"


def stage_of(number: int) -> str:
    """Return how far a file is processed."""
    return STAGES[number // 48 % len(STAGES)]


def fill(connection: Connection, n_rows: int) -> None:
    """Fill an empty catalog in bulk, with the sums that its writers would have kept."""
    columns = {rows.name: rows.columns for rows in recorded_tables(connection)}

    def put(name: str, values: Iterator[dict[str, Any]]) -> None:
        put_chunk, chunk = appender(connection, name, columns[name]), []
        for row in values:
            chunk.append(tuple(row[column] for column in columns[name]))
            if len(chunk) == CHUNK_ROWS:
                put_chunk(chunk)
                chunk = []
        put_chunk(chunk)

    put("run", _runs(n_rows))
    put("file", _files(n_rows))
    put("replica", _replicas(n_rows))
    put("drive_usage", _usage(n_rows))
    if connection.dialect.name == "postgresql":
        go_on_counting(connection)
    connection.exec_driver_sql("ANALYZE")


def _runs(n_rows: int) -> Iterator[dict[str, Any]]:
    for number in range(-(-n_rows // FILES_PER_RUN)):
        run = run_of(number)
        yield dict.fromkeys((column.name for column in tables.run.columns), "") | {
            "run_id": run.run_id,
            "detector": run.detector,
            "number": number,
            "start_ns": run.start_ns,
            "stop_ns": None,
            "time_source": "pv",
            "settings": "{}",
            "created_ns": run.start_ns,
        }


def _files(n_rows: int) -> Iterator[dict[str, Any]]:
    for number in range(n_rows):
        yield {
            "file_id": number + 1,
            "run_id": run_of(number // FILES_PER_RUN).run_id,
            "name": f"seg{number:08d}.dat",
            "format": "wavedump",
            "size_B": size_of(number),
            "xxh3_128": digest_of(number),
            "adler32": f"{number:08x}",
            "n_events": 1000,
            "channels": "[3]",
            "record_length": 10_000,
            "defects": "[]",
            "n_defects": 0,
            "created_ns": START_NS,
            "stage": stage_of(number),
        }


def size_of(number: int) -> int:
    """Return the size of a file [B]."""
    return 10**6 + number * 7919 % 2 * 10**9


def _replicas(n_rows: int) -> Iterator[dict[str, Any]]:
    paths = DrivePaths(DRIVES)
    for number in range(n_rows):
        drive, path = place_of(number)
        yield {
            "replica_id": number + 1,
            "file_id": number + 1,
            "drive": drive,
            "path": paths.recorded(drive, path),
            "state": "verified",
            "verified_ns": START_NS,
            "created_ns": START_NS,
        }


def _usage(n_rows: int) -> Iterator[dict[str, Any]]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    sizes: Counter[tuple[str, str, str, str]] = Counter()
    for number in range(n_rows):
        run = run_of(number // FILES_PER_RUN)
        key = run.detector, stage_of(number), month_of(run.start_ns, 0), place_of(number)[0]
        counts[key] += 1
        sizes[key] += size_of(number)
    for key, n_files in counts.items():
        names = dict(zip(("detector", "stage", "month", "drive"), key, strict=True))
        yield names | {"n_files": n_files, "size_B": sizes[key]}


def percentiles(look: Callable[[int], object], numbers: Sequence[int]) -> dict[str, float]:
    """Return processor time, median and 99th percentile of calls [us]."""
    times_s, cpu_times_s = [], []
    for number in numbers:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        look(number)
        cpu_times_s.append(time.thread_time() - began_cpu_s)
        times_s.append(time.perf_counter() - began_s)
    times_s.sort()
    cpu_times_s.sort()
    last = len(times_s) - 1
    return {
        # of this process: what a busy machine changes less
        "cpu_p50_us": round(1e6 * cpu_times_s[last // 2], 1),
        "cpu_p99_us": round(1e6 * cpu_times_s[int(0.99 * last)], 1),
        "p50_us": round(1e6 * times_s[last // 2], 1),
        "p99_us": round(1e6 * times_s[int(0.99 * last)], 1),
    }


def look_up(catalog: SqlCatalog, n_rows: int, n_lookups: int) -> dict[str, Any]:
    """Measure look-ups by digest and by path, and sums."""
    numbers = random.Random(3).choices(range(n_rows), k=n_lookups)

    def by_digest(number: int) -> None:
        assert [file.file_id for file in catalog.files_by_digest(digest_of(number))] == [number + 1]

    def by_path(number: int) -> None:
        replica = catalog.replica_at(*place_of(number))
        assert replica is not None
        assert replica.file_id == number + 1

    found: dict[str, Any] = {}
    for name, look in (("by_path", by_path), ("by_digest", by_digest), ("by_path_again", by_path)):
        found[name] = percentiles(look, numbers)
    for name, by in (("usage_ms", ("detector", "stage", "month", "drive")), ("usage_by_drive_ms", ("drive",))):
        times_s = []
        for _ in range(5):
            began_s = time.perf_counter()
            usage = catalog.usage(by)
            times_s.append(time.perf_counter() - began_s)
        assert sum(row.n_files for row in usage) == n_rows
        found[name] = round(1e3 * sorted(times_s)[2], 2)
        found[name.replace("_ms", "_rows")] = len(usage)
    return found


def write(location: Path | str, worker: int, seconds: float) -> tuple[int, int, list[float]]:
    """Enter files for some seconds; return commits, errors and the time of each [s]."""
    times_s: list[float] = []
    n_errors = 0
    with open_catalog(location, drives=DRIVES) as catalog:
        run = run_of(worker)
        end_s = time.perf_counter() + seconds
        while (began_s := time.perf_counter()) < end_s:
            name = f"new{worker}-{len(times_s)}"
            file = FileRecord(
                run_id=run.run_id, detector=run.detector, name=name, format="x", size_B=1, xxh3_128="0" * 32,
                adler32="0" * 8,
            )  # fmt: skip
            place = Replica(drive="data1", path=f"/data1/{name}", state=ReplicaState.VERIFIED, verified_ns=1)
            try:
                catalog.add_file(run, file, replicas=[place])
            except OSError:
                n_errors += 1
            times_s.append(time.perf_counter() - began_s)
    return len(times_s) - n_errors, n_errors, times_s


def write_together(location: Path | str, seconds: float) -> dict[str, Any]:
    """Let several processes write at once."""
    with ProcessPoolExecutor(N_WRITERS, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write, location, worker, seconds) for worker in range(N_WRITERS)]
        done = [job.result() for job in jobs]
    times_s = sorted(time_s for _, _, each in done for time_s in each)
    return {
        "n_writers": N_WRITERS,
        "n_commits": sum(commits for commits, _, _ in done),
        "n_errors": sum(errors for _, errors, _ in done),
        "p99_ms": round(1e3 * times_s[int(0.99 * (len(times_s) - 1))], 1),
        "worst_ms": round(1e3 * times_s[-1], 1),
    }


def measure(name: str, location: Path | str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one database."""
    opened = open_database(location, create=True)
    began_s = time.perf_counter()
    opened.write(lambda connection: fill(connection, options.rows))
    opened.close()
    loaded_s = round(time.perf_counter() - began_s, 1)
    with open_catalog(location, drives=DRIVES) as catalog:
        found = look_up(catalog, options.rows, options.lookups)
    writers = write_together(location, options.seconds)
    return {"database": name, "rows": options.rows, "load_s": loaded_s, **found, "writers": writers}


def main(words: Sequence[str]) -> int:
    """Measure and print a line of JSON for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--lookups", type=int, default=N_LOOKUPS)
    parser.add_argument("--seconds", type=float, default=WRITING_S)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.database in ("sqlite", "both"):
            print(json.dumps(measure("sqlite", Path(folder) / "catalog.sqlite", options)), flush=True)
        if options.database in ("postgresql", "both") and find_programs():
            # durable, as a real one is
            with PostgresServer(fsync="on", full_page_writes="on", shared_buffers="512MB") as server:
                print(json.dumps(measure("postgresql", parse_url(server.create("files")), options)), flush=True)
        if options.peer:
            peer = [sys.executable, str(options.peer), str(Path(folder) / "peer.sqlite"), "--rows", str(options.rows)]
            print(subprocess.run(peer, check=True, capture_output=True, text=True).stdout, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
