"""Rows over a real archive on disk: they answer, and not one of them where what it rests on is no longer the same."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, open_importer
from nualley.archive.importing import ImportedRows
from nualley.core import SECOND_NS, IntervalSet, parse_time_ns
from nualley.experiment import Beam
from nualley.exposure import Exposures
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.exposure.adapters.row_files import RowFolder
from nualley.exposure.models import BEAM_SERIES, Series
from nualley.exposure.row_keeper import Look, RowKeeper, RowsReport
from nualley.exposure.row_reader import KeptRows
from nualley.exposure.sources import beam_sources
from nualley.physics import PvRows
from nualley.pv import Connection, Life, Sample, ValueType
from tests.unit.exposure.fakes import BEAM, FakeClock, FakeRun, FakeRuns, detector

DAY0_NS = parse_time_ns("2026-11-20", 0)
N_DAYS = 3
STEP_S = 60
HOUR_S = 3600
LIVE = Series("live-a", "a:LIVE")


class CountingHistory(ArchiveHistory):
    """The port over an archive, which notes how much is read."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        super().__init__(open_archive_reader(folder, clock=clock))
        self.read_ns = 0

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        self.read_ns += stop_ns - start_ns if pv != "a:STATE" else 0
        return super().read(pv, start_ns, stop_ns)


class Alley:
    """An archive, rows of it, and two runs of a detector with a live fraction and a pause."""

    def __init__(self, folder: Path) -> None:
        self.archive, self.rows = folder / "archive", folder / "exposure"
        self.clock = FakeClock(ns(N_DAYS * 86400 + 7200))
        self.beam: Mapping[str, object] = BEAM

    def take_in(self, pv: str, time_ns: Any, value: Any, severity: Any = None, **kind: Any) -> None:
        times = np.asarray(time_ns, dtype=np.int64)
        values = pa.array(value)
        with open_importer(self.archive, self.clock) as importer:
            importer.store(
                ImportedRows(
                    pv=pv,
                    value_type=kind.get("value_type", ValueType.FLOAT64),
                    time_ns=times,
                    value=values,
                    severity=np.zeros(times.size, np.int8) if severity is None else severity,
                    status=np.zeros(times.size, np.int16),
                    links=kind.get("links", ()),
                )
            )

    def _kept(self, history: ArchiveHistory) -> KeptRows:
        return KeptRows(RowFolder(self.rows), history, {LIVE.live_fraction or "": LIVE})

    def keeper(self) -> RowKeeper:
        history = ArchiveHistory(open_archive_reader(self.archive, clock=self.clock))
        return RowKeeper(history, beam_sources(Beam.model_validate(self.beam)), self._kept(history), self.clock)

    def update(self, look: Look = Look.AT_NAMES) -> RowsReport:
        return self.keeper().update(look)

    def service(self, *, with_rows: bool) -> tuple[Exposures, CountingHistory, KeptRows]:
        history = CountingHistory(self.archive, self.clock)
        kept = self._kept(history)
        runs = [FakeRun("a-1", ns(5000.5), ns(100_000.25)), FakeRun("a-2", ns(100_000.25), ns(200_001))]
        exposures = Exposures(
            history,
            FakeRuns(runs),
            beam=Beam.model_validate(self.beam),
            detectors={"a": detector("a")},
            clock=self.clock,
            rows=kept if with_rows else None,
        )
        return exposures, history, kept

    def answers(self, *, with_rows: bool) -> tuple[dict[str, Any], int, list[str]]:
        """Return what is answered, how much of the beam's PVs was read for it [ns], and damages."""
        service, history, kept = self.service(with_rows=with_rows)
        found = {
            "whole": service.delivered(ns(-4000), ns(N_DAYS * 86400 + 3000)).to_json(),
            "cut": service.delivered(ns(7777.123), ns(222_222.777)).to_json(),
            "runs": service.exposures().to_json(),
            "ledger": service.ledger(ns(0), ns(N_DAYS * 86400)).to_json(),
            "curve": [curve.total_pot for curve in service.cumulative(n_points=20)],
        }
        return found, history.read_ns, list(kept.files.damages)

    def of_samples(self) -> tuple[dict[str, Any], int]:
        """Return what samples alone answer, and how much of them is read for it [ns]: the same until one more comes."""
        return self.answers(with_rows=False)[:2]

    def check(self, of_samples: tuple[dict[str, Any], int] | None = None) -> float:
        """Compare answers with those from samples alone; return how much was read of what these need."""
        found, read_ns, _ = self.answers(with_rows=True)
        expected, all_ns = of_samples or self.of_samples()
        assert found == expected
        return read_ns / all_ns


def ns(seconds: float) -> int:
    return DAY0_NS + round(seconds * SECOND_NS)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    alley = Alley(folder)
    rng = np.random.default_rng(7)
    n = N_DAYS * 86400 // STEP_S
    time_ns = DAY0_NS + np.arange(n) * STEP_S * SECOND_NS + rng.integers(0, SECOND_NS, n)
    power = np.where(rng.random(n) < 0.02, 0.0, 1.4 + rng.normal(0, 0.01, n))
    alley.take_in("POWER", time_ns, power, np.where(rng.random(n) < 0.01, 3, 0).astype(np.int8))
    alley.take_in("ENERGY", time_ns[::30], 1.0 + rng.normal(0, 1e-3, n)[::30])
    alley.take_in("RATE", time_ns, np.where(power > 0, 60.0, 0.0))
    alley.take_in("CHARGE", time_ns[::2], 23 + rng.normal(0, 0.1, n)[::2], links=((ns(50_000), "disconnect"),))
    alley.take_in("a:LIVE", time_ns[::3], np.clip(0.97 + rng.normal(0, 0.02, n)[::3], 0, 1))
    alley.take_in("a:STATE", [ns(0), ns(90_000), ns(93_000), ns(250_000)], ["Running", "Paused", "Running", "Running"],
                  value_type=ValueType.STRING)  # fmt: skip
    assert alley.update().series[0].n_made == N_DAYS
    return folder


@pytest.fixture(scope="module")
def of_samples(told: Path) -> tuple[dict[str, Any], int]:
    """What samples alone answer while nobody adds or forgets one, and how much of them is read for it [ns]."""
    return Alley(told).of_samples()


@pytest.fixture
def alley(told: Path, tmp_path: Path) -> Alley:
    shutil.copytree(told, tmp_path / "store")
    return Alley(tmp_path / "store")


def test_rows_answer_the_same_and_samples_are_hardly_read(alley: Alley, of_samples: tuple[dict[str, Any], int]) -> None:
    assert alley.check(of_samples) < 1 / 5
    assert alley.update().series[0].n_made == 0


def test_late_samples_change_the_past_at_once(alley: Alley) -> None:
    before = alley.answers(with_rows=True)[0]
    alley.take_in("POWER", [ns(40_003)], [0.0])
    late = alley.of_samples()
    assert late[0]["whole"] != before["whole"]
    alley.check(late)
    report = alley.update()
    assert [found.n_made for found in report.series] == [1, 1]
    assert alley.check(late) < 1 / 5


def test_an_import_behind_midnight_changes_the_day_that_it_does_not_touch(alley: Alley) -> None:
    # what holds at the begin of a day is the last sample of the day before
    alley.take_in("POWER", [ns(86_399.999_9)], [0.001])
    alley.check()
    assert alley.update().series[0].n_made == 2


def test_a_released_or_imported_disconnect_changes_the_past(alley: Alley) -> None:
    alley.take_in("POWER", [ns(100_000.1)], [1.4], links=((ns(100_100), "disconnect"),))
    of_samples = alley.of_samples()
    alley.check(of_samples)
    alley.update()
    assert alley.check(of_samples) < 1 / 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beam_on_min", "1.4 MW"),
        ("proton_energy", {"value": "1010 MeV"}),
        ("proton_energy", {"pv": "ENERGY", "unit": "MeV"}),
        ("power", {"pv": "POWER", "unit": "kW"}),
        ("power", {"pv": "RATE", "unit": "MW"}),
        ("rate", None),
        ("charge_per_pulse", None),
    ],
)
def test_a_changed_beam_toml_makes_all_rows_stale(alley: Alley, key: str, value: object) -> None:
    alley.beam = {name: entry for name, entry in {**BEAM, key: value}.items() if entry is not None}
    of_samples = alley.of_samples()
    assert alley.check(of_samples) > 1 / 2
    assert alley.update().series[0].n_made == N_DAYS
    alley.check(of_samples)


def test_rows_stay_and_count_where_samples_are_kept_for_a_while_only(alley: Alley) -> None:
    before = alley.service(with_rows=True)[0].delivered(ns(0), ns(2 * 86400)).amounts
    inner = alley.service(with_rows=True)[0].delivered(ns(3660), ns(7200)).amounts
    forget(alley)
    service, _, _ = alley.service(with_rows=True)
    assert service.delivered(ns(0), ns(2 * 86400)).amounts == before
    # half a minute at each end cannot be counted any more, and that is said
    cut = service.delivered(ns(3630), ns(7230)).amounts
    assert (cut.pot, cut.beam_on_s) == (inner.pot, inner.beam_on_s)
    assert cut.unknown_s == pytest.approx((inner.unknown_s or 0) + 60, abs=1e-9)
    report = alley.update()
    assert [(found.n_made, found.n_current, found.n_without) for found in report.series] == [(0, 3, 0)] * 2
    assert alley.update(Look.AT_NOTHING).series[0].n_current == N_DAYS
    assert service.delivered(ns(0), ns(2 * 86400)).amounts == before


def test_without_rows_samples_that_are_gone_are_unknown_and_do_not_seem_to_hold(alley: Alley) -> None:
    forget(alley)
    found = alley.service(with_rows=False)[0].delivered(ns(0), ns(86400)).amounts
    assert (found.pot, found.unknown_s) == (0.0, 86400.0)


def test_rows_are_not_made_of_what_is_left(alley: Alley) -> None:
    shutil.rmtree(alley.rows)
    forget(alley)
    report = alley.update()
    assert report.series[0].n_without >= 2
    assert report.series[0].n_current <= 1


def test_samples_that_come_where_others_are_gone_make_the_rows_stale_for_good(alley: Alley) -> None:
    forget(alley)
    alley.take_in("POWER", [ns(40_003)], [0.0])
    assert alley.update().series[0].n_without == 1
    first_day = [alley.service(with_rows=with_rows)[0].delivered(ns(0), ns(86400)) for with_rows in (True, False)]
    assert first_day[0] == first_day[1]


def forget(alley: Alley) -> None:
    kept_ns = dict.fromkeys(("POWER", "ENERGY", "RATE", "CHARGE", "a:LIVE"), 8 * HOUR_S * SECOND_NS)
    compactor = open_compactor(alley.archive, alley.clock, kept_ns)
    for _ in range(2):
        for job in compactor.due(is_all=True):
            compactor.run(job)


# ------------------------------------------------------------------ damage
def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_day(path: Path) -> None:
    shutil.copy(next(other for other in path.parent.glob("*.parquet") if other != path), path)


def changed_number(path: Path) -> None:
    table = pq.read_table(path)
    start = table.schema.get_field_index("beam_on_s")
    column = pa.array(table["beam_on_s"].to_numpy() * 0.5)
    pq.write_table(table.set_column(start, "beam_on_s", column), path)


@pytest.mark.parametrize(
    ("width", "hurt"),
    [
        *(("1min", hurt) for hurt in (flip, truncate, empty, changed_number, other_day)),
        *(("1h", hurt) for hurt in (flip, other_day)),
    ],
)
def test_a_damaged_file_is_told_not_used_and_made_anew(
    alley: Alley, of_samples: tuple[dict[str, Any], int], width: str, hurt: Callable[[Path], None]
) -> None:
    folder = alley.rows / width / "beam"
    path = min(folder.glob("*.parquet"))
    if hurt is other_day and width == "1h":
        shutil.copy(alley.rows / "1h" / "live-a" / path.name, path)
    else:
        hurt(path)
    found, _, damages = alley.answers(with_rows=True)
    assert found == of_samples[0]
    assert [str(path) in damage for damage in damages] == [True]
    assert not alley.keeper().verify().is_intact
    alley.update(Look.INTO_FILES)
    assert alley.keeper().verify().is_intact
    assert alley.check(of_samples) < 1 / 5


def test_every_flipped_byte_of_a_file_is_told(alley: Alley) -> None:
    path = alley.rows / "1h" / "beam" / "2026.parquet"
    data = path.read_bytes()
    intact = RowFolder(alley.rows).hours(BEAM_SERIES, ns(0), ns(N_DAYS * 86400))
    assert intact is not None
    expected = intact.between(ns(0), ns(N_DAYS * 86400))
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(data), 150).tolist():
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.integers(8))]) + data[at + 1 :])
        rows = RowFolder(alley.rows).hours(BEAM_SERIES, ns(0), ns(N_DAYS * 86400))
        assert rows is None or rows.between(ns(0), ns(N_DAYS * 86400)) == expected


def test_hours_are_healed_from_minutes_where_samples_are_gone(alley: Alley) -> None:
    before = alley.service(with_rows=True)[0].delivered(ns(0), ns(2 * 86400)).amounts
    forget(alley)
    empty(alley.rows / "1h" / "beam" / "2026.parquet")
    alley.update()
    assert alley.service(with_rows=True)[0].delivered(ns(0), ns(2 * 86400)).amounts == before


@pytest.mark.parametrize("what", ["times", "sums"])
def test_verify_finds_rows_that_are_not_what_samples_say(alley: Alley, what: str) -> None:
    assert alley.keeper().verify().is_intact
    files = RowFolder(alley.rows)
    minutes = files.minutes(BEAM_SERIES, ns(0))
    assert minutes is not None
    if what == "times":
        wrong = replace(minutes, times_ns={name: column * 2 for name, column in minutes.times_ns.items()})
    else:
        pot = minutes.sums["pot"]
        wrong = replace(minutes, sums={**minutes.sums, "pot": replace(pot, parts=pot.parts * (1 + 1e-15))})
    files.put_minutes(BEAM_SERIES, ns(0), wrong)
    report = alley.keeper().verify()
    assert [found.n_differing for found in report.series] == [1, 0]


# ------------------------------------------------------------------ live
def test_a_hang_that_is_noticed_after_the_hour_makes_its_rows_stale(tmp_path: Path) -> None:
    alley = Alley(tmp_path)
    alley.clock.time_ns = ns(0)
    writer = open_archive_writer(alley.archive, clock=alley.clock)
    pvs = {"POWER": 1.0, "ENERGY": 1.0, "RATE": 60.0, "CHARGE": 23.0, "a:LIVE": 0.9}

    def post(seconds: float, *, stamp_s: float | None = None, names: tuple[str, ...] = tuple(pvs)) -> None:
        alley.clock.time_ns = ns(seconds)
        stamp_ns = ns(seconds if stamp_s is None else stamp_s)
        for pv in names:
            sample = Sample(pv, stamp_ns, pvs[pv], ValueType.FLOAT64, 0, 0, "ca", alley.clock.time_ns)
            writer.recorder.receive(sample)
        # the IOC lives, for all of its PVs: a sample of old alone must make the difference
        writer.recorder.receive(Life("ioc", alley.clock.time_ns))
        writer.recorder.commit()

    def link(seconds: float, heard_s: float | None = None) -> None:
        alley.clock.time_ns = ns(seconds)
        heard_ns = ns(seconds if heard_s is None else heard_s)
        for pv in pvs:
            change = Connection(pv, heard_s is None, "ioc", alley.clock.time_ns, heard_ns, "ca")
            writer.recorder.receive(change)
        writer.recorder.commit()

    late = ("CHARGE",)
    link(0)
    for seconds in range(10, 4 * HOUR_S - 30, 300):
        post(seconds, names=tuple(pv for pv in pvs if pv not in late))
    assert alley.update().series[0].n_current == 0, "nothing is sealed yet"
    writer.seal()
    post(4 * HOUR_S + 40, names=())
    assert alley.update().series[0].stop_ns == ns(4 * HOUR_S)
    alley.check()
    # a sample of before the full hour comes behind it, and waits in the log: no cell tells of it
    pvs["POWER"] = 0.0
    post(4 * HOUR_S + 45, stamp_s=4 * HOUR_S - 100, names=("POWER",))
    alley.check()
    pvs["POWER"] = 1.0
    # the first sample of a PV is stored however old it is: it waits in the log, and no cell tells of it
    post(4 * HOUR_S + 50, stamp_s=2 * HOUR_S, names=late)
    alley.check()
    assert alley.update().series[0].stop_ns == ns(2 * HOUR_S)
    writer.seal()
    assert alley.update().series[0].stop_ns == ns(4 * HOUR_S)
    alley.check()
    # three hours later the archive finds that nothing was heard since 03:30
    link(7 * HOUR_S, heard_s=3.5 * HOUR_S)
    alley.check()
    link(7 * HOUR_S + 10)
    post(7 * HOUR_S + 20)
    writer.seal()
    post(8 * HOUR_S + 20)
    alley.update()
    alley.check()
    found = alley.service(with_rows=True)[0].delivered(ns(3 * HOUR_S), ns(7 * HOUR_S)).amounts
    assert found.unknown_s == 3.5 * HOUR_S
    writer.close()


def test_texts_are_read_and_have_no_rows(tmp_path: Path) -> None:
    alley = Alley(tmp_path)
    alley.take_in("POWER", [ns(0), ns(50_000)], ["1.4", "1.3"], value_type=ValueType.STRING)
    alley.take_in("ENERGY", [ns(0)], [1.0])
    assert alley.update().series[0].n_days == 0
    alley.check()


def test_an_update_that_is_stopped_goes_on_where_it_was(alley: Alley, of_samples: tuple[dict[str, Any], int]) -> None:
    shutil.rmtree(alley.rows)
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 2

    report = alley.keeper().update(should_stop=should_stop)
    assert report.series[0].n_made == 2
    alley.check(of_samples)
    assert alley.update().series[0].n_made == N_DAYS - 2
    assert alley.check(of_samples) < 1 / 5


def test_a_kill_between_minutes_and_hours_leaves_no_row_that_is_wrong(alley: Alley) -> None:
    alley.take_in("POWER", [ns(40_003)], [0.0])
    keeper = alley.keeper()
    files = RowFolder(alley.rows)

    class Killed(RowFolder):
        def put_hours(self, series: Series, rows: Mapping[int, Any]) -> None:
            raise KeyboardInterrupt

    history = ArchiveHistory(open_archive_reader(alley.archive, clock=alley.clock))
    kept = KeptRows(Killed(alley.rows), history, {})
    with pytest.raises(KeyboardInterrupt):
        RowKeeper(history, beam_sources(Beam.model_validate(BEAM)), kept, alley.clock).update()
    assert files.days(BEAM_SERIES)
    of_samples = alley.of_samples()
    alley.check(of_samples)
    keeper.update()
    assert alley.check(of_samples) < 1 / 5


def test_any_table_reader_sees_the_rows(alley: Alley) -> None:
    import duckdb  # only here

    hours = alley.rows / "1h" / "beam" / "*.parquet"
    sums = duckdb.sql(f"SELECT sum(pot), sum(energy_J), sum(beam_on_s), sum(n_pulses) FROM '{hours}'").fetchall()[0]
    found = alley.service(with_rows=False)[0].delivered(ns(0), ns(N_DAYS * 86400)).amounts
    assert sums[0] == pytest.approx(found.pot, rel=1e-12)
    assert sums[1] / 3.6e12 == pytest.approx(found.energy_GWh, rel=1e-12)
    assert sums[2] == pytest.approx(found.beam_on_s, rel=1e-12)
    assert round(sums[3]) == found.n_pulses


def test_pauses_are_counted_apart(alley: Alley) -> None:
    service, _, _ = alley.service(with_rows=True)
    first = service.exposures().runs[0].amounts
    assert first.livetime_s is not None
    paused_s = IntervalSet.of(ns(90_000), ns(93_000)).duration_s
    assert first.livetime_s < 95_000 - paused_s


def test_minutes_of_another_making_than_the_hours_are_not_used(alley: Alley) -> None:
    files = RowFolder(alley.rows)
    minutes = files.minutes(BEAM_SERIES, ns(0))
    assert minutes is not None
    doubled = {name: column * 2 for name, column in minutes.times_ns.items()}
    files.put_minutes(BEAM_SERIES, ns(0), replace(minutes, footing=("0" * 32,) * len(minutes), times_ns=doubled))
    alley.check()
