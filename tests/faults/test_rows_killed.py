"""``kill -9`` while rows are written: no row is wrong afterwards, and the next update finishes them."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nualley.app.archive import open_archive_reader, open_importer
from nualley.archive.importing import ImportedRows
from nualley.core import DAY_NS, SECOND_NS, parse_time_ns
from nualley.experiment import Beam
from nualley.exposure import Exposures
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.exposure.adapters.row_files import RowFolder
from nualley.exposure.models import BEAM_SERIES
from nualley.exposure.row_keeper import RowKeeper
from nualley.exposure.row_reader import KeptRows
from nualley.exposure.sources import beam_sources
from nualley.pv import ValueType
from tests.unit.exposure.fakes import BEAM, FakeClock, FakeRuns

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]

DAY0_NS = parse_time_ns("2026-11-20", 0)
N_DAYS = 4
VICTIM = """
import sys
from pathlib import Path
from tests.faults.test_rows_killed import keeper
from nualley.exposure.row_keeper import Look
print("begins", flush=True)
while True:
    keeper(Path(sys.argv[1])).update(Look.AT_NOTHING)
"""


def clock() -> FakeClock:
    return FakeClock(DAY0_NS + (N_DAYS + 1) * DAY_NS)


def kept(folder: Path) -> tuple[ArchiveHistory, KeptRows]:
    history = ArchiveHistory(open_archive_reader(folder / "archive", clock=clock()))
    return history, KeptRows(RowFolder(folder / "exposure"), history, {})


def keeper(folder: Path) -> RowKeeper:
    history, rows = kept(folder)
    return RowKeeper(history, beam_sources(Beam.model_validate(BEAM)), rows, clock())


def delivered(folder: Path, *, with_rows: bool) -> dict[str, object]:
    history, rows = kept(folder)
    service = Exposures(
        history,
        FakeRuns([]),
        beam=Beam.model_validate(BEAM),
        detectors={},
        clock=clock(),
        rows=rows if with_rows else None,
    )
    return service.delivered(DAY0_NS + 123_456_789, DAY0_NS + N_DAYS * DAY_NS - 1).to_json()


def take_in(folder: Path, pv: str, time_ns: list[int], value: list[float]) -> None:
    with open_importer(folder / "archive", clock()) as importer:
        n = len(time_ns)
        importer.store(
            ImportedRows(
                pv,
                ValueType.FLOAT64,
                np.array(time_ns, dtype=np.int64),
                pa.array(value),
                np.zeros(n, np.int8),
                np.zeros(n, np.int16),
            )
        )


def test_no_row_is_wrong_after_a_kill(tmp_path: Path, seed: int, is_soak: bool) -> None:
    rng = random.Random(seed)
    times = [DAY0_NS + n * 120 * SECOND_NS for n in range(N_DAYS * 720)]
    take_in(tmp_path, "POWER", times, [1.4 + rng.gauss(0, 0.01) for _ in times])
    take_in(tmp_path, "ENERGY", times[:1], [1.0])
    for _ in range(100 if is_soak else 4):
        # what the rows rest on changes each time: those of before and of now lie side by side
        take_in(tmp_path, "POWER", [DAY0_NS + rng.randrange(N_DAYS * DAY_NS)], [rng.random()])
        expected = delivered(tmp_path, with_rows=False)
        command = [sys.executable, "-c", VICTIM, str(tmp_path)]
        root = Path(__file__).resolve().parents[2]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"begins\n"
            time.sleep(rng.uniform(0, 1.5))
            victim.send_signal(signal.SIGKILL)
        assert delivered(tmp_path, with_rows=True) == expected
    report = keeper(tmp_path).update()
    assert (report.series[0].n_current, report.damages) == (N_DAYS, ())
    assert keeper(tmp_path).verify().is_intact
    assert delivered(tmp_path, with_rows=True) == expected
    assert RowFolder(tmp_path / "exposure").days(BEAM_SERIES) == {DAY0_NS + day * DAY_NS for day in range(N_DAYS)}
