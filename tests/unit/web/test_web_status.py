"""What is said of what was seen."""

import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from nualley.archive import Ledger, PvState
from nualley.catalog import Totals
from nualley.config import Configuration
from nualley.core import DAY_NS, SECOND_NS, CheckResult, CheckState
from nualley.exposure import Amounts, DefectKind, ExposureDefect
from nualley.storage import Drive, DriveUsage, NotedUsage
from nualley.web.models import BeamState, DriveState, Status, Trouble, ValueState
from nualley.web.observations import LiveSeen, Observations, Observed, RunsSeen
from nualley.web.pages import Pages
from nualley.web.status import day_start_ns, status
from tests.unit.web.fakes import NOW_NS, POWER, delivered, exposure_of, last_value, run_of, seen


# ---------------------------------------------------------------- nothing yet
def test_a_site_of_which_nothing_was_seen_says_so(configuration: Configuration) -> None:
    said = status(configuration, Observations(), NOW_NS)

    assert not said.live.is_live
    assert said.live.message_ns is None
    assert said.beam.state is BeamState.UNKNOWN
    assert said.beam.power_W is None
    assert said.beam.today is None
    assert said.runs.rows == ()
    assert said.archive.received is None
    assert said.archive.is_balanced is None
    assert said.archive.trouble == Trouble("being read")
    assert said.drives.rows == ()
    assert {row.state for row in said.values.rows} == {ValueState.NOT_ARCHIVED}
    assert {row.pv for row in said.values.rows} == {pv for group in configuration.pv_groups.values() for pv in group.pv}


# ---------------------------------------------------------------- live
@pytest.mark.parametrize(("silence_s", "is_live"), [(0.0, True), (2.9, True), (3.1, False)])
def test_data_are_live_for_three_seconds_after_a_message(
    configuration: Configuration, silence_s: float, is_live: bool
) -> None:
    live = LiveSeen(message_ns=NOW_NS - round(silence_s * 1e9))
    assert status(configuration, Observations(live=live), NOW_NS).live.is_live is is_live


# ---------------------------------------------------------------- processes
def html_of(part: str, said: Status) -> str:
    """Return a part of the page."""
    return next(fragment.html for fragment in Pages().fragments(said) if fragment.target == part)


def test_an_archive_that_does_not_run_is_an_alarm_above_the_others(configuration: Configuration) -> None:
    found = [
        CheckResult("process.worker", CheckState.FAILED, "could not go on: no drive"),
        CheckResult("process.archive", CheckState.WARNING, "does not run", "nualley up archive"),
    ]
    said = status(configuration, seen(processes=Observed(found, NOW_NS)), NOW_NS).processes
    assert [(trouble.what.split(":")[0], trouble.is_alarm) for trouble in said] == [
        ("process.archive", True),
        ("process.worker", False),
    ]
    html = html_of("processes", status(configuration, seen(processes=Observed(found, NOW_NS)), NOW_NS))
    assert '<div class="down" role="alert"><p><strong>NOT ARCHIVING</strong> process.archive: does not run' in html


def test_a_process_that_does_not_run_is_told_with_what_to_do(configuration: Configuration) -> None:
    found = [
        CheckResult("process.archive", CheckState.OK, "runs as process 12"),
        CheckResult("process.worker", CheckState.FAILED, "could not go on: no drive", "mount it; nualley up worker"),
    ]
    said = status(configuration, seen(processes=Observed(found, NOW_NS)), NOW_NS)
    assert said.processes == (Trouble("process.worker: could not go on: no drive", "mount it; nualley up worker"),)


# ---------------------------------------------------------------- beam
def test_power_is_in_watts_of_the_declared_unit(configuration: Configuration) -> None:
    beam = status(configuration, seen(last_value(POWER, 1.4)), NOW_NS).beam
    assert beam.power_W == pytest.approx(1.4e6)
    assert beam.state is BeamState.ON
    assert beam.time_ns == NOW_NS - 10 * SECOND_NS


@pytest.mark.parametrize(("power_MW", "state"), [(0.049, BeamState.OFF), (0.0501, BeamState.ON), (0.0, BeamState.OFF)])
def test_beam_is_on_from_the_declared_power_on(configuration: Configuration, power_MW: float, state: BeamState) -> None:
    assert status(configuration, seen(last_value(POWER, power_MW)), NOW_NS).beam.state is state


@pytest.mark.parametrize("state", [PvState.STALE, PvState.DISCONNECTED, PvState.NEVER_CONNECTED])
def test_power_of_a_pv_that_is_not_heard_is_unknown_and_the_last_one_is_kept_apart(
    configuration: Configuration, state: PvState
) -> None:
    beam = status(configuration, seen(last_value(POWER, 1.4, state=state)), NOW_NS).beam
    assert beam.power_W is None
    assert beam.last_power_W == pytest.approx(1.4e6)
    assert beam.state is BeamState.UNKNOWN
    assert beam.value_state == state


def test_invalid_power_is_unknown(configuration: Configuration) -> None:
    beam = status(configuration, seen(last_value(POWER, 1.4, severity=3)), NOW_NS).beam
    assert (beam.power_W, beam.last_power_W, beam.state) == (None, None, BeamState.UNKNOWN)


def test_a_proton_energy_that_is_not_heard_is_unknown(configuration: Configuration) -> None:
    energy = "DEMO:BEAM:ENERGY"
    held = status(configuration, seen(last_value(energy, 1003.2)), NOW_NS).beam
    lost = status(configuration, seen(last_value(energy, 1003.2, state=PvState.STALE)), NOW_NS).beam
    assert held.proton_energy_MeV == pytest.approx(1003.2)
    assert lost.proton_energy_MeV is None


def test_today_in_megawatt_hours_and_share_of_what_is_known(configuration: Configuration) -> None:
    today = status(configuration, seen(today=Observed(delivered(unknown_s=400.0), NOW_NS)), NOW_NS).beam.today
    assert today is not None
    assert today.pot == pytest.approx(4.2e20)
    assert today.energy_MWh == pytest.approx(18.9)
    assert today.beam_on_fraction == pytest.approx(13_000 / (4 * 3600 - 1 - 400))
    assert today.unknown_s == pytest.approx(400.0)


@pytest.mark.parametrize(
    ("known", "pot", "is_mostly_unknown", "shown"),
    [
        (0.6, 0.0, False, "0"),
        (0.6, 4.2e20, False, "4.200 × 10²⁰"),
        (0.4, 0.0, True, "–"),
        (0.4, None, True, "–"),
        (0.4, 4.2e20, True, "≥ 4.200 × 10²⁰"),
    ],
)
def test_of_a_day_that_is_mostly_unknown_what_is_known_is_a_lower_bound_and_never_a_big_0(
    configuration: Configuration, known: float, pot: float | None, is_mostly_unknown: bool, shown: str
) -> None:
    unknown_s = (1 - known) * 4 * 3600
    found = status(configuration, seen(today=Observed(delivered(unknown_s=unknown_s, pot=pot), NOW_NS)), NOW_NS)
    assert found.beam.today is not None
    assert found.beam.today.is_mostly_unknown is is_mostly_unknown
    html = html_of("beam", found)
    assert html.split('id="pot-today" class="figure">')[1].split("</dd>")[0] == shown
    assert ("mostly not known" in html) is is_mostly_unknown
    assert ("18.9 MWh in what is known" in html) is is_mostly_unknown


def test_after_the_end_of_what_is_known_today_is_unknown(configuration: Configuration) -> None:
    stopped = replace(delivered(), stop_ns=NOW_NS - 900 * SECOND_NS)
    today = status(configuration, seen(today=Observed(stopped, NOW_NS)), NOW_NS).beam.today
    assert today is not None
    assert today.unknown_s == pytest.approx(900.0)


def test_after_midnight_the_total_of_yesterday_is_not_that_of_today(configuration: Configuration) -> None:
    observations = seen(today=Observed(delivered(), NOW_NS))
    assert status(configuration, observations, NOW_NS + DAY_NS).beam.today is None


def test_a_day_begins_at_midnight_utc() -> None:
    assert day_start_ns(NOW_NS) == NOW_NS - 4 * 3600 * SECOND_NS


# ---------------------------------------------------------------- runs
def observed_runs(*runs: object, **totals: int) -> Observed[RunsSeen]:
    last = tuple(runs)
    return Observed(RunsSeen(last, {run.run_id: Totals(**totals) for run in last}, 1234), NOW_NS)  # type: ignore[attr-defined,arg-type]


def test_runs_with_counts_and_protons(configuration: Configuration) -> None:
    run = run_of(7)
    runs = observed_runs(run, n_files=2, n_events=500, n_verified_replicas=4, n_defects=1)
    said = status(configuration, seen(runs=runs, exposures=Observed({run.run_id: exposure_of(run)})), NOW_NS).runs
    (row,) = said.rows
    assert (row.run_id, row.n_files, row.n_events, row.n_verified_replicas, row.n_defects) == (
        "cenns-10-7",
        2,
        500,
        4,
        1,
    )
    assert (row.duration_s, row.is_open, row.pot, row.pot_words) == (100.0, False, 1.5e18, "")
    assert said.n_runs == 1234


def test_a_run_without_times_has_no_protons_and_the_reason(configuration: Configuration) -> None:
    run = replace(run_of(7), start_ns=None, stop_ns=None)
    exposure = exposure_of(run, amounts=Amounts(), reason="its start is not known")
    said = status(
        configuration, seen(runs=observed_runs(run), exposures=Observed({run.run_id: exposure})), NOW_NS
    ).runs.rows[0]
    assert (said.duration_s, said.is_open, said.pot, said.pot_words) == (None, False, None, "its start is not known")


def test_a_run_that_goes_on_is_open(configuration: Configuration) -> None:
    run = replace(run_of(7), stop_ns=None)
    assert status(configuration, seen(runs=observed_runs(run)), NOW_NS).runs.rows[0].is_open


def test_protons_say_what_is_doubtful_about_them_and_nothing_else(configuration: Configuration) -> None:
    run = run_of(7)
    defects = (
        ExposureDefect(DefectKind.CHARGE_DIFFERS, "3 %"),
        ExposureDefect(DefectKind.RATE_UNKNOWN, "no rate"),
    )
    exposure = exposure_of(run, amounts=Amounts(pot=1.0, unknown_s=175.0), defects=defects)
    row = status(
        configuration, seen(runs=observed_runs(run), exposures=Observed({run.run_id: exposure})), NOW_NS
    ).runs.rows[0]
    assert row.pot_words == "charge per pulse disagrees; beam unknown for 2 min 55 s"


def test_of_a_beam_that_nobody_knew_no_protons_are_told(configuration: Configuration) -> None:
    run = run_of(7)
    made = exposure_of(run)
    assert made.interval is not None
    exposure = replace(made, amounts=Amounts(pot=0.0, unknown_s=made.interval.duration_ns / 1e9))
    row = status(
        configuration, seen(runs=observed_runs(run), exposures=Observed({run.run_id: exposure})), NOW_NS
    ).runs.rows[0]
    assert row.pot is None
    assert row.pot_words.startswith("beam unknown for ")


def test_protons_that_were_not_counted_yet_say_why(configuration: Configuration) -> None:
    failed: Observed[dict[str, object]] = Observed(failure=Trouble("nothing was archived yet"))
    row = status(configuration, seen(runs=observed_runs(run_of(7)), exposures=failed), NOW_NS).runs.rows[0]
    assert row.pot_words == "nothing was archived yet"


# ---------------------------------------------------------------- archive
def test_the_account_balances(configuration: Configuration) -> None:
    said = status(configuration, seen(last_value(POWER, 1.4)), NOW_NS).archive
    assert (said.received, said.stored, said.quarantined, said.filtered, said.gaps) == (1000, 990, 4, 6, 2)
    assert said.is_balanced
    assert said.difference == 0
    assert not said.is_late


def test_an_account_that_does_not_balance_says_by_how_much(configuration: Configuration) -> None:
    wrong = Ledger(received=1000, stored=990, quarantined=4, filtered=3)
    live = LiveSeen(message_ns=NOW_NS, synced_ns=NOW_NS, ledger=wrong)
    said = status(configuration, seen(live=live), NOW_NS).archive
    assert said.is_balanced is False
    assert said.difference == 3


@pytest.mark.parametrize(("bus_ahead_s", "received"), [(1, 2000), (-5, 1000)])
def test_the_newer_account_counts(configuration: Configuration, bus_ahead_s: int, received: int) -> None:
    live = LiveSeen(
        message_ns=NOW_NS, synced_ns=NOW_NS + (bus_ahead_s - 1) * SECOND_NS, ledger=Ledger(received=2000, stored=2000)
    )
    assert status(configuration, seen(live=live), NOW_NS).archive.received == received


def test_an_archive_that_was_not_synced_for_long_is_late(configuration: Configuration) -> None:
    heard = seen(last_value(POWER, 1.4))
    assert not status(configuration, heard, NOW_NS + 13 * SECOND_NS).archive.is_late
    assert status(configuration, heard, NOW_NS + 16 * SECOND_NS).archive.is_late
    # where every IOC is silent there is nothing to sync
    silent = seen(last_value(POWER, 1.4, state=PvState.DISCONNECTED))
    assert not status(configuration, silent, NOW_NS + 16 * SECOND_NS).archive.is_late


# ---------------------------------------------------------------- drives
def usage(**changes: object) -> DriveUsage:
    drive = Drive("data1", Path("/data1"), limit_fraction=0.97)
    made = DriveUsage(drive, size_B=1000, used_B=500, available_B=500, is_mounted=True, is_writable=True)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, DriveState.OK),
        ({"used_B": 969, "available_B": 31}, DriveState.OK),
        ({"used_B": 970, "available_B": 30}, DriveState.ABOVE_LIMIT),
        ({"is_writable": False}, DriveState.READ_ONLY),
        ({"is_mounted": False, "error": "nothing is mounted there"}, DriveState.MISSING),
    ],
)
def test_state_of_a_drive(configuration: Configuration, changes: dict[str, object], state: DriveState) -> None:
    said = status(configuration, seen(drives=Observed((usage(**changes),))), NOW_NS).drives.rows[0]
    assert said.state is state


def test_a_drive_that_is_not_there_shows_what_was_noted_of_it(configuration: Configuration) -> None:
    noted = NotedUsage(size_B=124 * 2**40, used_fraction=0.95, on=date(2021, 3, 1), source="table")
    missing = DriveUsage(Drive("data1", Path("/data1"), noted=noted), error="No such file or directory")
    row = status(configuration, seen(drives=Observed((missing,))), NOW_NS).drives.rows[0]
    assert (row.fill_fraction, row.noted_fraction, row.noted_on) == (None, 0.95, "2021-03-01")
    assert row.words == "No such file or directory"


def test_what_was_noted_of_a_drive_is_not_shown_where_it_can_be_measured(configuration: Configuration) -> None:
    noted = NotedUsage(size_B=1000, used_fraction=0.95)
    there = usage(drive=Drive("data1", Path("/data1"), noted=noted))
    row = status(configuration, seen(drives=Observed((there,))), NOW_NS).drives.rows[0]
    assert (row.fill_fraction, row.noted_fraction) == (0.5, None)


def test_an_empty_file_system_has_no_fill(configuration: Configuration) -> None:
    empty = usage(used_B=0, available_B=0, size_B=0)
    row = status(configuration, seen(drives=Observed((empty,))), NOW_NS).drives.rows[0]
    assert row.fill_fraction is not None
    assert math.isnan(row.fill_fraction)


# ---------------------------------------------------------------- parts that do not answer
def test_a_part_that_hangs_is_told_of_after_its_patience() -> None:
    waiting: Observed[int] = Observed(value=1, time_ns=NOW_NS, busy_since_ns=NOW_NS)
    assert waiting.trouble(NOW_NS + 14 * SECOND_NS) is None
    late = waiting.trouble(NOW_NS + 40 * SECOND_NS)
    assert late is not None
    assert late.what == "no answer for 40 s"


def test_a_part_that_failed_says_why_and_keeps_what_it_saw(configuration: Configuration) -> None:
    held = replace(seen().archive, failure=Trouble("the index cannot be read", "look at the drive"))
    said = status(configuration, seen(archive=held), NOW_NS).archive
    assert said.trouble == Trouble("the index cannot be read", "look at the drive")
    assert said.received == 1000
