"""``nualley beam``: what a person reads of the beam."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nualley.cli import beam, beam_trace
from nualley.cli.main import main
from nualley.core import SECOND_NS
from nualley.exposure import Amounts, DefectKind, ExposureDefect, ExposureReport, RunExposure, RunTrace


def exposure_of(unknown_s: float, **changes: object) -> RunExposure:
    amounts = Amounts(pot=0.0, energy_GWh=0.0, beam_on_s=0.0, livetime_s=90.0, unknown_s=unknown_s, n_pulses=0)
    return RunExposure("a-1", "a", 0, 100 * SECOND_NS, amounts, **changes)


def shown(run: RunExposure, capsys: pytest.CaptureFixture[str]) -> str:
    beam._print_exposures(ExposureReport((run,), {"a": run.amounts}))
    return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("a-1"))


def test_of_a_beam_that_nobody_knew_there_is_no_number(capsys):
    assert shown(exposure_of(100.0), capsys).split() == [
        "a-1", "1970-01-01T00:00:00Z", "-", "-", "-", "-", "1", "min", "30", "s", "1", "min", "40", "s", "-",
        "beam", "not", "known",
    ]  # fmt: skip
    assert shown(exposure_of(12.0), capsys).endswith("beam not known for 12 % of it")
    assert shown(exposure_of(0.05), capsys).endswith("beam not known for less than 0.1 % of it")
    assert shown(exposure_of(99.99), capsys).endswith("beam not known for 99.9 % of it")
    assert shown(exposure_of(0.0), capsys).split()[2] == "0"


@pytest.mark.parametrize(("unknown_s", "pot"), [(100.0, "-"), (12.0, "0")])
def test_neither_is_there_in_the_sum(unknown_s, pot, capsys):
    run = exposure_of(unknown_s)
    beam._print_exposures(ExposureReport((run,), {"a": run.amounts}))
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.split()[:2] == ["a", pot]
    assert said.endswith("beam not known" if pot == "-" else "beam not known for 12 % of it")
    report = ExposureReport((run,), {"a": run.amounts}).to_json()
    for told in (report["detectors"]["a"], report["runs"][0]):
        assert (told["pot"], told["livetime_s"], told["unknown_s"]) == (None if pot == "-" else 0, 90, unknown_s)


def test_what_the_table_says_of_the_beam_it_says_once(capsys):
    unknown = ExposureDefect(DefectKind.BEAM_UNKNOWN, "the beam is not known in 12 s of 1 min 40 s")
    differs = ExposureDefect(DefectKind.CHARGE_DIFFERS, "")
    said = shown(exposure_of(12.0, defects=(unknown, differs)), capsys)
    assert said.endswith("beam not known for 12 % of it; charge-differs")
    assert "beam-unknown" not in said


def test_a_sum_of_runs_that_overlap_says_why_it_is_not_theirs(capsys):
    one = exposure_of(0.0)
    for start_s, words in ((60, "runs overlap: each second counts once"), (100, "0")):
        two = replace(one, run_id="a-2", start_ns=start_s * SECOND_NS, stop_ns=200 * SECOND_NS)
        beam._print_exposures(ExposureReport((one, two), {"a": one.amounts}))
        assert capsys.readouterr().out.splitlines()[-1].endswith(words)


def test_the_ledger_says_until_when_it_counts(experiment: Path, capsys):
    capsys.readouterr()
    assert main(["beam", "ledger", "--from", "-1h", "--to", "2100-01-01"]) == 0
    said = capsys.readouterr()
    stop = said.out.splitlines()[0].split()[2]
    assert said.err == (
        f"counted until {stop} (UTC): what the beam did later is not in the archive yet; ask again in a while\n"
    )
    assert main(["beam", "ledger", "--from", "-2h", "--to", "-1h"]) == 0
    assert capsys.readouterr().err == ""


def test_an_overlap_is_told_with_the_other_run(capsys):
    overlap = ExposureDefect(DefectKind.OVERLAP, "40 s of it are also in a-2: in sums they count once")
    assert shown(exposure_of(0.0, defects=(overlap,)), capsys).endswith(f"overlap: {overlap.detail}")


def test_a_stretch_without_runs_says_so(experiment: Path, capsys):
    capsys.readouterr()
    assert main(["beam", "exposure", "--from", "2030-01-01"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no run is recorded then; nualley runs list shows all\n")
    assert main(["beam", "exposure", "--from", "2030-01-01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


def test_a_trace_of_thousands_of_samples_is_a_short_table(capsys):
    mean = np.zeros(2000)
    mean[700] = 80.0
    time_us = np.arange(2000) * 1.0 / 1000
    beam_trace._print_trace(RunTrace("a-1", "A", time_us, mean, np.full(2000, 3.0), n=60, n_vetoed=2))
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[:3] == ["a-1: mean of 60 traces, 2 vetoed", "highest at 0.7 us: 80 A", ""]
    assert len(lines[3:]) == 41
    assert "each row is the mean over 50 of 2000 samples" in said.err
    assert lines[18].split() == ["0.7", "1.6", "3"]
    beam_trace._print_trace(RunTrace("a-1", "A", time_us[:0], mean[:0], mean[:0], n=0, n_vetoed=2))
    assert "highest" not in capsys.readouterr().out
