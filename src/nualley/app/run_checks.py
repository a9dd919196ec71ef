"""What is doubtful about the recorded runs and flags, all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nualley.catalog import Flag, Run, RunList, RunType, Totals
from nualley.core import ExitCode, format_duration
from nualley.exposure import DefectKind, ExposureReport, RunExposure

if TYPE_CHECKING:
    from nualley.app.site import Site

NOT_INTACT = frozenset({"no-files", "no-verified-replica", "overlap", "live-time"})
"""Kinds for which `nualley runs validate` ends with 5: bytes that may be lost, accounts that do not add up."""


class RunFacts:
    """What is known of all runs, each thing asked for once, when somebody wants it.

    Parameters
    ----------
    site : Site
        The experiment.
    detector : str, optional
        Only its runs.
    """

    def __init__(self, site: "Site", detector: str | None = None) -> None:
        self.site = site
        self.detector = detector

    @cached_property
    def runs(self) -> RunList:
        """The runs, by start."""
        return self.site.catalog().runs(detector=self.detector)

    @cached_property
    def totals_by_run(self) -> Mapping[str, Totals]:
        """Counts of each run."""
        return self.site.catalog().totals_by_run()

    @cached_property
    def exposures(self) -> ExposureReport:
        """What each run got of the beam."""
        return self.site.exposures().exposures(self.detector)


@dataclass(frozen=True, slots=True)
class RunProblem:
    """Something doubtful about a run or a flag.

    Parameters
    ----------
    kind : str
        What it is.
    subject : str
        The run, or the flag.
    detail : str
        What was found, and what is expected.
    do : str
        What to do.
    """

    kind: str
    subject: str
    detail: str
    do: str

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {"kind": self.kind, "subject": self.subject, "detail": self.detail, "do": self.do}


def examine_runs(facts: RunFacts) -> tuple[int, int, list[RunProblem]]:
    """Look at runs and flags.

    Parameters
    ----------
    facts : RunFacts
        The runs; flags are those of the same detector.

    Returns
    -------
    n_runs, n_flags : int
        What was looked at.
    problems : list of RunProblem
        What was found.
    """
    site, catalog = facts.site, facts.site.catalog()
    flags = [flag for flag in catalog.run_lists.flags(facts.detector) if flag.counts]
    exposures = {row.run_id: row for row in facts.exposures.runs}
    problems = [problem for run in facts.runs for problem in _of_run(run, facts.totals_by_run, exposures)]
    problems += _of_flags(flags, site, facts.runs if facts.detector is None else catalog.runs())
    return len(facts.runs), len(flags), problems


def exit_code(problems: Sequence[RunProblem]) -> ExitCode:
    """Return how a command ends that found these."""
    if any(problem.kind in NOT_INTACT for problem in problems):
        return ExitCode.NOT_INTACT
    return ExitCode.FAILED if problems else ExitCode.DONE


def _of_run(run: Run, totals: Mapping[str, Totals], exposures: Mapping[str, RunExposure]) -> Iterator[RunProblem]:
    found, exposure = totals.get(run.run_id, Totals()), exposures.get(run.run_id)
    if not found.n_files:
        do = f"nualley runs ingest PATH --detector {run.detector} --run {run.number}"
        yield RunProblem("no-files", run.run_id, "the catalog has no file of it", do)
    elif not found.n_verified_replicas:
        detail = f"none of {found.n_replicas} replicas of {found.n_files} files is verified"
        yield RunProblem("no-verified-replica", run.run_id, detail, "nualley runs ingest reads them back")
    if exposure is not None and not exposure.has_times:
        do = f"nualley runs times {run.run_id} --start T --stop T --reason TEXT"
        yield RunProblem("no-times", run.run_id, exposure.reason, do)
    if run.run_type and run.run_type not in list(RunType):
        detail = f"{run.run_type!r} is no type, expected one of {', '.join(RunType)}"
        yield RunProblem("unknown-type", run.run_id, detail, f"nualley runs type {run.run_id} physics")
    for defect in exposure.defects if exposure else ():
        if defect.kind is DefectKind.OVERLAP:
            yield RunProblem("overlap", run.run_id, defect.detail, "nualley runs times corrects the wrong one")
    yield from _live_time(run, exposure)


def _live_time(run: Run, exposure: RunExposure | None) -> Iterator[RunProblem]:
    interval = exposure.interval if exposure else None
    livetime_s = exposure.amounts.livetime_s if exposure else None
    # float seconds of exact sums: equal ones may differ by rounding
    if interval and livetime_s is not None and livetime_s > interval.duration_s * (1 + 1e-9):
        detail = f"live time {livetime_s:.9g} s is longer than the run ({format_duration(interval.duration_s)})"
        yield RunProblem("live-time", run.run_id, detail, "look at the PV of the live fraction")


def _of_flags(flags: Sequence[Flag], site: "Site", runs: Sequence[Run]) -> Iterator[RunProblem]:
    vocabulary = site.configuration.vocabulary.flag
    numbers: dict[str, set[int]] = {}
    for run in runs:
        numbers.setdefault(run.detector, set()).add(run.number)
    for flag in flags:
        subject = f"flag {flag.flag_id}"
        if flag.name not in vocabulary:
            yield RunProblem("unknown-flag", subject, f"{flag.name!r} is not in flags.toml", "describe it there")
        if flag.detector not in site.configuration.detectors and flag.detector not in numbers:
            yield RunProblem("unknown-detector", subject, f"nobody knows {flag.detector!r}", "nualley runs unflag")
        elif flag.first_run is not None and not any(
            flag.first_run <= number <= (flag.last_run or 0) for number in numbers.get(flag.detector, ())
        ):
            detail = f"{flag.detector} has no run from {flag.first_run} to {flag.last_run}"
            yield RunProblem("unknown-run", subject, detail, f"nualley runs unflag {flag.flag_id} --reason TEXT")
