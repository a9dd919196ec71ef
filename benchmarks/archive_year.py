"""A year of one PV at 1 Hz, ours and the peers' side by side: ``python -m benchmarks.archive_year [folder]``.

The same 31.5 million samples (stamps with a jitter of 0 to 2 ms in ns, values in steps of 0.01, a severity now and
then) are imported by each; then each is asked for 1000 bins of min, mean and max of the whole year, several times,
warm. Ours answers over HTTP, from a server of its own. Peers: DuckDB over the raw Parquet, SQLite, VictoriaMetrics
(Debian's ``victoria-metrics``, without its cache of answers); one that is not installed is left out, and that is said.
"""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nualley.app.archive import open_archive_reader, open_importer
from nualley.archive.importing import ImportedRows
from nualley.core import SECOND_NS
from nualley.pv import ValueType

PV = "BENCH:POWER"
N_SAMPLES = 31_536_000
N_BINS = 1000
N_TIMES = 21
BEGIN_NS = 1_735_689_600 * SECOND_NS
END_NS = BEGIN_NS + N_SAMPLES * SECOND_NS

Row = tuple[str, float, float | None, float | None]


def months(years_earlier: int = 0) -> Iterator[pa.Table]:
    """Yield the samples of 2025, or of so many years earlier, in twelve parts: ts [ns since 1970 UTC], val and sev."""
    generator = np.random.default_rng(1 + years_earlier)
    for month in range(12):
        rows = np.arange(month * N_SAMPLES // 12, (month + 1) * N_SAMPLES // 12, dtype=np.int64)
        rows -= years_earlier * N_SAMPLES
        time_ns = BEGIN_NS + rows * SECOND_NS + generator.integers(0, 2_000_000, rows.size)
        value = np.round(1400 + 50 * np.sin(rows / 86_400 * 2 * np.pi) + generator.normal(0, 3, rows.size), 2)
        value[generator.random(rows.size) < 0.001] = 0
        severity = np.where(generator.random(rows.size) < 0.001, 2, 0).astype(np.int8)
        yield pa.table({"ts": time_ns, "val": value, "sev": severity})


def median_ms(ask: Callable[[], object]) -> float:
    """Return the median time of several calls after a first one [ms]."""
    ask()
    times_s = []
    for _ in range(N_TIMES):
        began_s = time.perf_counter()
        ask()
        times_s.append(time.perf_counter() - began_s)
    return 1e3 * statistics.median(times_s)


def size_B(folder: Path, pattern: str) -> int:
    """Return the bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def take_in(folder: Path, n_years: int = 1) -> float:
    """Import years into an archive of ours, and return how long it took [s]."""
    began_s = time.perf_counter()
    with open_importer(folder) as importer:
        for years_earlier in reversed(range(n_years)):
            for table in months(years_earlier):
                importer.store(
                    ImportedRows(
                        pv=PV,
                        value_type=ValueType.FLOAT64,
                        time_ns=table["ts"].to_numpy(),
                        value=table["val"].combine_chunks(),
                        severity=table["sev"].to_numpy(),
                        status=np.zeros(table.num_rows, dtype=np.int16),
                        unit="kW",
                    )
                )
    if importer.counts.stored != n_years * N_SAMPLES:
        raise ValueError(f"{importer.counts.stored} samples were stored, {n_years * N_SAMPLES} were imported")
    return time.perf_counter() - began_s


@contextlib.contextmanager
def serving(experiment: Path) -> Iterator[str]:
    """Run our web process for an experiment and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "NUALLEY_WEB__PORT": str(port), "NUALLEY_EXPERIMENT": str(experiment)}
    with subprocess.Popen(
        [sys.executable, "-m", "nualley.cli", "up", "web"], env=environ, stderr=subprocess.DEVNULL
    ) as web:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api/health")
            yield address
        finally:
            web.terminate()


def wait_for(address: str) -> None:
    """Wait until a server answers."""
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).read()
            return
        time.sleep(0.1)
    raise TimeoutError(f"{address} does not answer")


def get(address: str, **query: object) -> bytes:
    """Return what a server answers."""
    with urllib.request.urlopen(f"{address}?{urllib.parse.urlencode(query)}", timeout=300) as answer:
        return bytes(answer.read())


def ours(folder: Path) -> tuple[list[Row], float]:
    """Measure our archive; return its rows of the table, and the median over HTTP [ms]."""
    experiment = folder / "experiment"
    subprocess.run(
        [sys.executable, "-m", "nualley.cli", "init", str(experiment)], check=True, stdout=subprocess.DEVNULL
    )
    archive = experiment / "store" / "archive"
    took_s = take_in(archive)
    per_sample = size_B(archive, "month/*/*.parquet") / N_SAMPLES, size_B(archive, "*.parquet") / N_SAMPLES
    whole = {"pv": PV, "start": "2025-01-01", "stop": "2026-01-01", "n": N_BINS}
    with serving(experiment) as address:
        began_s = time.perf_counter()
        found = json.loads(get(f"{address}/api/archive/bins", **whole))
        first_ms = 1e3 * (time.perf_counter() - began_s)
        if sum(found["columns"]["n"]) != N_SAMPLES:
            raise ValueError(f"{sum(found['columns']['n'])} samples are in the bins, {N_SAMPLES} were imported")
        warm_ms = median_ms(lambda: get(f"{address}/api/archive/bins", **whole))
    reader = open_archive_reader(archive)
    hour_ns = BEGIN_NS + 200 * 86_400 * SECOND_NS
    hour = hour_ns, hour_ns + 3600 * SECOND_NS
    in_python_ms = median_ms(lambda: reader.bins(PV, BEGIN_NS, END_NS, N_BINS))
    exact_ms = median_ms(lambda: reader.bins(PV, BEGIN_NS, END_NS, N_BINS, is_exact=True))
    rows: list[Row] = [
        ("nualley over HTTP, warm (size with tiers)", warm_ms, per_sample[1], took_s),
        ("nualley over HTTP, first call of the process", first_ms, None, None),
        ("nualley in Python, warm (size of samples alone)", in_python_ms, per_sample[0], None),
        ("nualley, cut exactly (--exact)", exact_ms, None, None),
        ("nualley, one hour of samples", median_ms(lambda: reader.read(PV, *hour)), None, None),
    ]
    return rows, warm_ms


def parquet(folder: Path) -> Path:
    """Write the samples as plain Parquet, as a user would keep them, and return the folder."""
    raw = folder / "raw"
    raw.mkdir()
    for number, table in enumerate(months()):
        pq.write_table(
            table,
            raw / f"{number:02d}.parquet",
            compression="zstd",
            row_group_size=131_072,
            use_dictionary=["val", "sev"],
            column_encoding={"ts": "DELTA_BINARY_PACKED"},
            write_page_index=True,
        )
    return raw


def duckdb_rows(raw: Path) -> list[Row]:
    """Measure DuckDB over plain Parquet."""
    try:
        import duckdb  # noqa: PLC0415  # it may not be there
    except ImportError:
        return _left_out("DuckDB", "pip install duckdb")
    width_ns = N_SAMPLES * SECOND_NS // N_BINS
    ask = (
        f"SELECT (ts - {BEGIN_NS}) // {width_ns} AS bin, min(val), avg(val), max(val), count(*) "
        f"FROM '{raw}/*.parquet' GROUP BY bin ORDER BY bin"
    )
    connection: Any = duckdb.connect()
    took_ms = median_ms(lambda: connection.execute(ask).fetchnumpy())
    return [(f"DuckDB {duckdb.__version__} over raw Parquet", took_ms, size_B(raw, "*.parquet") / N_SAMPLES, None)]


def sqlite_rows(folder: Path) -> list[Row]:
    """Measure SQLite with a table by PV and time; it is asked once, for it takes half a minute."""
    path = folder / "samples.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("CREATE TABLE s (pv INT, ts INT, val REAL, sev INT, PRIMARY KEY (pv, ts)) WITHOUT ROWID")
        began_s = time.perf_counter()
        for table in months():
            columns = (table[name].to_pylist() for name in ("ts", "val", "sev"))
            connection.executemany("INSERT INTO s VALUES (1, ?, ?, ?)", zip(*columns, strict=True))
            connection.commit()
        built_s = time.perf_counter() - began_s
        width_ns = N_SAMPLES * SECOND_NS // N_BINS
        ask = f"SELECT (ts - {BEGIN_NS}) / {width_ns} AS bin, min(val), avg(val), max(val), count(*) FROM s WHERE pv = 1 GROUP BY bin"  # noqa: E501
        began_s = time.perf_counter()
        connection.execute(ask).fetchall()
        took_ms = 1e3 * (time.perf_counter() - began_s)
    return [(f"SQLite {sqlite3.sqlite_version}", took_ms, path.stat().st_size / N_SAMPLES, built_s)]


def victoria_rows(folder: Path, raw: Path) -> list[Row]:
    """Measure VictoriaMetrics: it keeps milliseconds and no severities."""
    binary = shutil.which("victoria-metrics")
    if binary is None:
        return _left_out("VictoriaMetrics", "apt-get install victoria-metrics")
    data = folder / "victoria"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = ("maxPointsPerTimeseries=100000000", "maxSamplesPerQuery=10000000000", "maxSamplesPerSeries=1000000000")
    command = [
        binary, f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y",
        "-search.latencyOffset=0s", "-search.maxQueryDuration=120s", *(f"-search.{limit}" for limit in limits),
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{address}/health")
            began_s = time.perf_counter()
            for path in sorted(raw.glob("*.parquet")):
                _send(f"{address}/api/v1/import/csv?format=1:time:unix_ms,2:metric:power&extra_label=pv=P", path)
            built_s = time.perf_counter() - began_s
            get(f"{address}/internal/force_flush")
            time.sleep(2)
            get(f"{address}/internal/force_merge")
            time.sleep(8)
            step_s = N_SAMPLES / N_BINS
            window = f"{int(step_s * 1000)}ms"
            begin_s = BEGIN_NS // SECOND_NS
            ask = {
                "query": f'aggr_over_time(("min_over_time","avg_over_time","max_over_time"), power[{window}])',
                "start": begin_s + step_s, "end": begin_s + N_SAMPLES, "step": window, "nocache": 1,
            }  # fmt: skip
            took_ms = median_ms(lambda: get(f"{address}/api/v1/query_range", **ask))
            per_sample = size_B(data / "data", "*") / N_SAMPLES
        finally:
            server.terminate()
    return [("VictoriaMetrics, nocache (ms stamps, no severity)", took_ms, per_sample, built_s)]


def _send(address: str, path: Path) -> None:
    table = pq.read_table(path, columns=["ts", "val"])
    times_ms, values = table["ts"].to_numpy() // 10**6, table["val"].to_numpy()
    for start in range(0, len(values), 300_000):
        part = slice(start, start + 300_000)
        lines = "\n".join(
            f"{at},{value:.2f}" for at, value in zip(times_ms[part].tolist(), values[part].tolist(), strict=True)
        )
        urllib.request.urlopen(urllib.request.Request(address, data=lines.encode()), timeout=60).read()


def _left_out(peer: str, how: str) -> list[Row]:
    print(f"{peer} is not installed and left out: {how}", file=sys.stderr)
    return []


def ten_years(folder: Path) -> list[Row]:
    """Measure the same year's bins in an archive with ten times the history."""
    archive = folder / "ten"
    took_s = take_in(archive, n_years=10)
    reader = open_archive_reader(archive)
    row = ("nualley in Python, the same year of ten", median_ms(lambda: reader.bins(PV, BEGIN_NS, END_NS, N_BINS)))
    return [(*row, size_B(archive, "*.parquet") / N_SAMPLES / 10, took_s)]


def main() -> None:
    """Measure all and print the table."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        rows, reference_ms = ours(folder)
        rows += ten_years(folder)
        raw = parquet(folder)
        rows += [*duckdb_rows(raw), *sqlite_rows(folder), *victoria_rows(folder, raw)]
    head = "a year at 1 Hz -> 1000 bins of min, mean, max"
    print(f"{head:<52}{'ms':>10}{'x ours':>9}{'B/sample':>10}{'taken in [s]':>14}")
    for what, took_ms, per_sample, took_s in rows:
        shown = "" if per_sample is None else f"{per_sample:.2f}"
        built = "" if took_s is None else f"{took_s:.1f}"
        print(f"{what:<52}{took_ms:>10.1f}{took_ms / reference_ms:>9.1f}{shown:>10}{built:>14}")


if __name__ == "__main__":
    main()
