"""Bytes a sample takes, and memory a query needs: ``python -m benchmarks.archive_size [folder]``.

A month of one PV at 1 Hz, once in steps of 0.01 and once with numbers whose 53 bits all differ, is imported and
exported as the Archiver Appliance's ``.pb`` again. Then each query runs in a process of its own: its highest memory is
compared with what the process had before, and with the size of the answer.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.archive_year import BEGIN_NS, END_NS, N_BINS, PV, size_B, take_in
from nualley.app.archive import open_archive_reader, open_importer
from nualley.app.exports import export_appliance, operated
from nualley.archive.importing import ImportedRows
from nualley.core import DAY_NS, SECOND_NS
from nualley.pv import ValueType

N_SAMPLES = 30 * 86_400
LIMIT_MB = 200


def month(is_quantised: bool) -> ImportedRows:
    """Return a month at 1 Hz."""
    generator = np.random.default_rng(3)
    rows = np.arange(N_SAMPLES, dtype=np.int64)
    value = 1400 + 50 * np.sin(rows / 86_400 * 2 * np.pi) + generator.normal(0, 3, rows.size)
    return ImportedRows(
        pv=PV,
        value_type=ValueType.FLOAT64,
        time_ns=BEGIN_NS + rows * SECOND_NS + generator.integers(0, 2_000_000, rows.size),
        value=pa.array(np.round(value, 2) if is_quantised else value),
        severity=np.where(generator.random(rows.size) < 0.001, 2, 0).astype(np.int8),
        status=np.zeros(rows.size, dtype=np.int16),
        unit="kW",
    )


def sizes(folder: Path, is_quantised: bool) -> tuple[float, float, float]:
    """Return the bytes a sample takes: alone, with its share of the tiers, and as the appliance's file."""
    archive = folder / f"archive-{is_quantised}"
    with open_importer(archive) as importer:
        importer.store(month(is_quantised))
    reader, exported = open_archive_reader(archive), folder / f"pb-{is_quantised}"
    list(export_appliance(reader, PV, BEGIN_NS, BEGIN_NS + N_SAMPLES * SECOND_NS + SECOND_NS, exported))
    found_B = (size_B(archive, "month/*/*.parquet"), size_B(archive, "*.parquet"), size_B(exported, "*.pb"))
    alone, whole, appliance = (size / N_SAMPLES for size in found_B)
    return alone, whole, appliance


def _bins(reader: Any) -> int:
    return int(reader.bins(PV, BEGIN_NS, END_NS, N_BINS).nbytes)


def _exact_bins(reader: Any) -> int:
    return int(reader.bins(PV, BEGIN_NS, END_NS, N_BINS, is_exact=True).nbytes)


def _rows_of_a_month(reader: Any) -> int:
    return int(reader.read(PV, BEGIN_NS, BEGIN_NS + 30 * DAY_NS).nbytes)


def _operator(reader: Any) -> int:
    return sum(table.nbytes for table in operated(reader, PV, "median_3600", BEGIN_NS, END_NS))


QUERIES: Mapping[str, Callable[[Any], int]] = {
    "a year in 1000 bins": _bins,
    "a year in 1000 bins, cut exactly": _exact_bins,
    "a month of samples (2.6 million)": _rows_of_a_month,
    "a year of medians of an hour": _operator,
}


def memory_MB(which: str) -> float:
    """Return memory of this process [MB]: ``VmRSS`` now, or ``VmHWM`` at its highest since it was reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{which}:")[2].split()[0]) * 1024 / 1e6


def ask(archive: Path, query: str) -> None:
    """Run one query and print what it took."""
    reader = open_archive_reader(archive)
    reader.read(PV, BEGIN_NS, BEGIN_NS + 60 * SECOND_NS)  # libraries are loaded, pools are begun
    Path("/proc/self/clear_refs").write_text("5")  # the highest begins anew
    before_MB = memory_MB("VmRSS")
    answer_B = QUERIES[query](reader)
    above_MB = memory_MB("VmHWM") - before_MB - answer_B / 1e6
    print(json.dumps({"above_MB": above_MB, "answer_MB": answer_B / 1e6}))


def memory(archive: Path) -> None:
    """Measure each query in a process of its own and print a table."""
    print(f"\n{'memory of a query in Python':<40}{'answer [MB]':>14}{f'above it [MB] (limit {LIMIT_MB})':>28}")
    for query in QUERIES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.archive_size", "--ask", str(archive), query],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        print(f"{query:<40}{found['answer_MB']:>14.1f}{found['above_MB']:>28.1f}")


def main() -> None:
    """Measure all and print the tables."""
    if sys.argv[1:2] == ["--ask"]:
        ask(Path(sys.argv[2]), sys.argv[3])
        return
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        print(
            f"{'bytes a sample of a month at 1 Hz takes':<40}{'alone':>10}{'with tiers':>12}{'AA .pb':>10}{'ratio':>8}"
        )
        for label, is_quantised in (("steps of 0.01", True), ("all bits of each number", False)):
            alone, whole, appliance = sizes(folder, is_quantised)
            print(f"{label:<40}{alone:>10.2f}{whole:>12.2f}{appliance:>10.2f}{appliance / alone:>8.1f}")
        take_in(folder / "year")
        memory(folder / "year")


if __name__ == "__main__":
    main()
