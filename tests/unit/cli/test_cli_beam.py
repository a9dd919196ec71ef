"""``nualley beam``: what a person reads of the beam."""

import json
from pathlib import Path

import numpy as np
import pytest

from nualley.cli import beam
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
    assert shown(exposure_of(12.0), capsys).endswith("beam not known for 12% of it")
    assert shown(exposure_of(0.0), capsys).split()[2] == "0"


@pytest.mark.parametrize(("unknown_s", "pot"), [(100.0, "-"), (12.0, "0")])
def test_neither_is_there_in_the_sum(unknown_s, pot, capsys):
    run = exposure_of(unknown_s)
    beam._print_exposures(ExposureReport((run,), {"a": run.amounts}))
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["a", pot]


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
    beam._print_trace(RunTrace("a-1", "A", time_us, mean, np.full(2000, 3.0), n=60, n_vetoed=2))
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 41
    assert "a-1: 60 traces, 2 vetoed" in said.err
    assert "highest at 0.7 us: 80 A" in said.err
    assert "each row is the mean over 50 of 2000 samples" in said.err
    assert said.out.splitlines()[15].split() == ["0.7", "1.6", "3"]
    beam._print_trace(RunTrace("a-1", "A", time_us[:0], mean[:0], mean[:0], n=0, n_vetoed=2))
    assert "highest" not in capsys.readouterr().err
