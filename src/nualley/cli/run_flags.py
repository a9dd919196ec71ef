"""``nualley runs``: flags, types, and what is doubtful about runs."""

import getpass
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from nualley.app.remarks import enter_flag, take_flag_back
from nualley.app.site import Site, open_site
from nualley.catalog import Flag, RunType
from nualley.cli.options import Output, Time, Whole, full_run_id, parse_whole, time_ns
from nualley.cli.output import print_json, print_note, print_table, shown_time
from nualley.core import ExitCode, SystemClock, UsageError, split_run_id

_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Stretch:
    """What is flagged, where it is no run as a whole."""

    from_: Annotated[Time, Parameter(name="--from", allow_leading_hyphen=True)] = None
    """Begin of the stretch."""

    to: Time = None
    """Its end, not included; by default it goes on."""

    runs: str | None = None
    """First and last run instead, such as 10-50."""

    blocks: str | None = None
    """First and last block (subrun) of the one run, such as 3-7; without their times the whole run bears the flag."""


def flag_(
    *word: str,
    reason: str,
    detector: str | None = None,
    stretch: Stretch = Stretch(),  # frozen
    supersedes: Whole | None = None,
    author: str | None = None,
    output: Output = Output(),
) -> None:
    """Flag a run, several runs, or a stretch of time of a detector; flags are never changed or deleted.

    Example: nualley runs flag cenns-10-42 beam-trip --reason "three trips, logbook 3 page 12"

    Parameters
    ----------
    word : str
        RUN NAME, or NAME with --detector: the run, and the word of flags.toml.
    reason : str
        Why.
    detector : str
        Whose data, where no run is named.
    supersedes : int
        Number of the flag in whose place it stands.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(output.experiment)
    owner, numbers, name = _subject(site, word, detector, stretch.runs)
    now_ns = SystemClock().now_ns()
    first_block, last_block = _range(stretch.blocks, "--blocks") if stretch.blocks else (None, None)
    entered = enter_flag(
        site,
        Flag(
            detector=owner,
            name=name,
            start_ns=None if stretch.from_ is None else time_ns(stretch.from_, now_ns, where="--from"),
            stop_ns=None if stretch.to is None else time_ns(stretch.to, now_ns, where="--to"),
            first_run=numbers[0] if numbers else None,
            last_run=numbers[1] if numbers else None,
            first_block=first_block,
            last_block=last_block,
            reason=reason,
            author=author or getpass.getuser(),
            supersedes=supersedes,
        ),
    )
    _told(entered, output)


def _subject(
    site: Site, words: Sequence[str], detector: str | None, runs: str | None
) -> tuple[str, tuple[int, int] | None, str]:
    """Return whose data are meant, which runs (None: a stretch of time), and the name of the flag."""
    if len(words) == 2:
        if runs is not None:
            raise UsageError(
                f"run {words[0]} and --runs {runs}: which?", where="RUN, --runs", do="leave one of them out"
            )
        owner, number = split_run_id(site.run(full_run_id(words[0], detector)).run_id)
        return owner, (number, number), words[1]
    if len(words) != 1 or detector is None:
        raise UsageError(
            f"{len(words)} words, expected RUN NAME, or NAME with --detector",
            where="RUN NAME",
            do="nualley runs flag cenns-10-42 NAME --reason TEXT, or --detector ID --from T --to T NAME",
        )
    site.check_detector(detector)
    return detector, None if runs is None else _range(runs, "--runs"), words[0]


def _range(text: str, where: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no range", where=where, do="write first and last, such as 10-50")
    try:
        return parse_whole(match[1]), parse_whole(match[2] or match[1])
    except ValueError as error:
        raise UsageError(str(error), where=where, do="write smaller numbers") from None


def unflag(number: Whole, /, *, reason: str, author: str | None = None, output: Output = Output()) -> None:
    """Take a flag back: it stays in the record, superseded by the withdrawal, and counts no more.

    Example: nualley runs unflag 7 --reason "the wrong run"

    Parameters
    ----------
    number : int
        Number of the flag, as 'nualley runs flags' shows it.
    reason : str
        Why.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(output.experiment)
    _told(take_flag_back(site, number, reason=reason, author=author or getpass.getuser()), output)


def _told(entered: Flag, output: Output) -> None:
    if output.is_json:
        print_json(entered.to_json())
    else:
        said = f"{_name(entered)}, {entered.detector} {_stretch(entered)}"
        replaced = "" if entered.supersedes is None else f"; in the place of flag {entered.supersedes}"
        print_note(f"flag {entered.flag_id}: {said}{replaced}")


def _name(flag: Flag) -> str:
    return f"{flag.name} (taken back)" if flag.is_withdrawal else flag.name


def flags(
    *,
    detector: str | None = None,
    name: str | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    output: Output = Output(),
) -> None:
    """List flags.

    Example: nualley runs flags --detector cenns-10

    Parameters
    ----------
    detector : str
        Only its flags.
    name : str
        Only this word.
    everything : bool
        Also flags that were superseded or taken back.
    """
    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    found = [
        flag
        for flag in site.catalog().run_lists.flags(detector)
        if (everything or flag.counts) and name in (None, flag.name)
    ]
    if output.is_json:
        print_json([flag.to_json() for flag in found])
        return
    words = site.configuration.vocabulary.flag
    print_table(
        ("flag", "detector", "name", "severity", "stretch", "by", "at (UTC)", "reason", "superseded by"),
        [
            [
                flag.flag_id,
                flag.detector,
                _name(flag),
                words[flag.name].severity if flag.name in words else "unknown",
                _stretch(flag),
                flag.author,
                shown_time(flag.time_ns),
                flag.reason,
                flag.superseded_by,
            ]
            for flag in found
        ],
        right=(0,),
    )
    if not found:
        print_note("no flags; next: nualley runs flag RUN NAME --reason TEXT")


def _stretch(flag: Flag) -> str:
    if flag.start_ns is not None:
        return f"{shown_time(flag.start_ns)} to {shown_time(flag.stop_ns) or 'now and on'}"
    which = f"run {flag.first_run}" if flag.first_run == flag.last_run else f"runs {flag.first_run} to {flag.last_run}"
    return which if flag.first_block is None else f"{which}, blocks {flag.first_block} to {flag.last_block}"


def type_(
    run: str, run_type: RunType, /, *, detector: str | None = None, author: str | None = None, output: Output = Output()
) -> None:
    """Say what a run was taken for; what was said before stays in its notes.

    Example: nualley runs type cenns-10-42 physics

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    run_type : RunType
        What for.
    detector : str
        Whose run a bare number is.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(output.experiment)
    run_id = site.run(full_run_id(run, detector)).run_id
    found = site.catalog().run_lists.set_type(run_id, run_type, author=author or getpass.getuser())
    if output.is_json:
        print_json({"run_id": found.run_id, "run_type": found.run_type})
    else:
        print_note(f"{found.run_id} is of type {found.run_type}")


def validate(*, detector: str | None = None, output: Output = Output()) -> ExitCode:
    """Look for runs that overlap, without times or verified replicas, and for flags with unknown words; all at once.

    Example: nualley runs validate --detector cenns-10

    Parameters
    ----------
    detector : str
        Only its runs and flags.
    """
    from nualley.app.run_checks import RunFacts, examine_runs, exit_code  # NumPy is heavy

    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    n_runs, n_flags, problems = examine_runs(RunFacts(site, detector))
    if output.is_json:
        print_json({"n_runs": n_runs, "n_flags": n_flags, "problems": [problem.to_json() for problem in problems]})
    else:
        print_table(
            ("problem", "of", "what", "do"), [[each.kind, each.subject, each.detail, each.do] for each in problems]
        )
        print_note(f"{n_runs} runs, {n_flags} flags: {len(problems) or 'no'} problems")
    return exit_code(problems)
