"""How fast the archive takes in and gives back: ``python -m benchmarks.archive [folder]``."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from nualley.app.archive import ArchiveWriter, open_archive_reader, open_archive_writer
from nualley.core import SECOND_NS
from nualley.pv import Connection, PvProtocol, Sample, Severity, ValueType

N_TIMES = 5
N_PVS = 100
N_SAMPLES = 200_000
IOC = "127.0.0.1:5064"
START_NS = 1_750_000_000 * SECOND_NS
STEP_NS = SECOND_NS // 1000


def names() -> list[str]:
    """Return the PVs."""
    return [f"BENCH:PV{number:03d}" for number in range(N_PVS)]


def samples(first: int, n_samples: int) -> Iterable[Sample]:
    """Yield samples of all PVs in turn, a millisecond apart."""
    pvs = names()
    for number in range(first, first + n_samples):
        time_ns = START_NS + number * STEP_NS
        yield Sample(
            pv=pvs[number % N_PVS],
            time_ns=time_ns,
            value=number / 7,
            value_type=ValueType.FLOAT64,
            severity=Severity.NO_ALARM,
            status=0,
            protocol=PvProtocol.CA,
            received_ns=time_ns,
        )


def median_s(measure: Callable[[], object]) -> tuple[float, float, float]:
    """Return median, lowest and highest time of several calls [s]."""
    times_s = []
    for _ in range(N_TIMES):
        began_s = time.perf_counter()
        measure()
        times_s.append(time.perf_counter() - began_s)
    return statistics.median(times_s), min(times_s), max(times_s)


def show(what: str, times_s: tuple[float, float, float], per: str = "", amount: float = 0) -> None:
    """Print one line."""
    median, lowest, highest = times_s
    rate = f"{amount / median:>14,.0f} {per}" if amount else ""
    print(f"{what:<52}{median * 1e3:>10.2f}{lowest * 1e3:>9.2f}{highest * 1e3:>9.2f} ms{rate}")


def connect(writer: ArchiveWriter) -> None:
    """Tell the archive that every PV is there."""
    for pv in names():
        writer.recorder.receive(Connection(pv, True, IOC, START_NS, START_NS, PvProtocol.CA))
    writer.recorder.commit()


def take_in(writer: ArchiveWriter, batch: list[Sample]) -> None:
    """Receive samples and make them durable in one commit."""
    for sample in batch:
        writer.recorder.receive(sample)
    writer.recorder.commit()


def main() -> int:
    """Measure and print a table."""
    base = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="nualley-bench-", dir=base) as name:
        folder = Path(name) / "archive"
        writer = open_archive_writer(folder)
        connect(writer)
        print(f"{'in ' + str(folder.parent):<52}{'median':>10}{'lowest':>9}{'highest':>9}")
        _measure_writing(writer)
        writer.close()
        _measure_reading(folder)
    return 0


def _measure_writing(writer: ArchiveWriter) -> None:
    batches = [list(samples(part * N_SAMPLES, N_SAMPLES)) for part in range(N_TIMES)]
    remaining = iter(batches)
    show(
        f"receive and commit {N_SAMPLES:,} samples of {N_PVS} PVs",
        median_s(lambda: take_in(writer, next(remaining))),
        "samples/s",
        N_SAMPLES,
    )
    first = N_TIMES * N_SAMPLES
    small = iter([list(samples(first + part * 50, 50)) for part in range(N_TIMES)])
    show("receive and commit 50 samples (one sync)", median_s(lambda: take_in(writer, next(small))))
    began_s = time.perf_counter()
    writer.seal()
    seconds = time.perf_counter() - began_s
    n_sealed = N_TIMES * (N_SAMPLES + 50)
    show(f"seal {n_sealed:,} samples into Parquet (once)", (seconds, seconds, seconds), "samples/s", n_sealed)


def _measure_reading(folder: Path) -> None:
    stop_ns = START_NS + (N_TIMES + 1) * N_SAMPLES * STEP_NS
    show("open a reader and take all last values", median_s(lambda: open_archive_reader(folder).last()))
    reader = open_archive_reader(folder)
    pv = names()[42]
    n_rows = reader.read(pv, START_NS, stop_ns).num_rows
    show(f"read one PV whole, {n_rows:,} rows", median_s(lambda: reader.read(pv, START_NS, stop_ns)), "rows/s", n_rows)
    middle_ns = START_NS + N_SAMPLES * STEP_NS
    show("read one PV, 10 s", median_s(lambda: reader.read(pv, middle_ns, middle_ns + 10 * SECOND_NS)))


if __name__ == "__main__":
    sys.exit(main())
