"""``nualley selection``: run lists that can be trusted and cited."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from nualley.app.selections import (
    Definition,
    Difference,
    Piece,
    Resolution,
    check_documents,
    lone_documents,
    mirror,
    read_text,
    write_text,
)
from nualley.app.site import open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Answer, Output, Repository
from nualley.cli.output import print_exact, print_json, print_note, print_table, print_text, shown_number, shown_time
from nualley.core import ExitCode, UsageError, escape_name, format_duration
from nualley.selection import ListFormat

app = App(name="selection", help="Run lists: define, show, compare, freeze, import and export.")
_N_SHOWN = 200


@app.command
def define(name: str, expression: str, /, *, author: str | None = None, output: Output = Output()) -> None:
    """Define a selection by an expression; a draft may be defined anew, and what it was stays in its history.

    Example: nualley selection define ar-2026 "run in 10..50 and time >= 2026-01-01"

    Parameters
    ----------
    name : str
        Its name.
    expression : str
        What it selects; the language is in docs/reference/selections.md.
    author : str
        Who says so; by default who is logged in.
    """
    found = open_site(output.experiment).selections().define(name, expression, author=author or getpass.getuser())
    if output.is_json:
        print_json(found.to_json())
    else:
        print_note(f"{name}: revision {found.revision}; next: nualley selection show {name}")


@app.command(name="list")
def list_(*, output: Output = Output()) -> None:
    """List selections: those of the catalog, and those that the experiment repository defines by text.

    Example: nualley selection list
    """
    found = open_site(output.experiment).selections().definitions()
    if output.is_json:
        print_json([definition.to_json() for definition in found])
        return
    print_table(
        ("selection", "state", "revision", "source", "by", "at (UTC)", "sha256", "what"),
        [
            [
                each.name,
                each.state,
                each.revision,
                each.source,
                each.author or None,
                shown_time(each.time_ns),
                each.sha256 and each.sha256[:16],
                " ".join(_what(each).split()),
            ]
            for each in found
        ],
        right=(2,),
    )
    if not found:
        print_note("no selections; next: nualley selection define NAME EXPRESSION")


def _what(found: Definition) -> str:
    if found.imported is not None:
        return f"list of {found.imported['file']} ({found.imported['format']})"
    return (found.expression or "").strip()


@app.command
def show(name: str, /, *, output: Output = Output()) -> int:
    """Show a selection: runs and stretches, live time and protons; a draft as of now, a frozen one as it was.

    Example: nualley selection show ar-2026

    Parameters
    ----------
    name : str
        The selection.
    """
    site = open_site(output.experiment)
    selections = site.selections()
    found, resolution, today = selections.definition(name), selections.resolution(name), selections.today(name)
    if output.is_json:
        history = [
            {key: getattr(each, key) for key in ("number", "expression", "author", "time_ns", "sha256")}
            for each in selections.revisions(name)
        ]
        differs = None if today is None else today.to_json()
        print_json({**found.to_json(), **resolution.to_json(), "revisions": history, "today": differs})
    else:
        _print_definition(found)
        _print_resolution(resolution)
        if today is not None and not today.is_same:
            print_text("\nToday it would be another one:")
            _print_difference(today)
    return told_losses(site)


def _print_definition(found: Definition) -> None:
    print_text(f"{found.name}: {found.state}, revision {found.revision}, from {found.source}")
    print_text(_what(found))
    if found.sha256:
        print_text(f"frozen by {found.author} at {shown_time(found.time_ns)}, sha256 {found.sha256}")
    if found.remark:
        print_text(found.remark)
    print_text("")


def _print_resolution(resolution: Resolution) -> None:
    rows = [
        [
            run.listed.run_id or run.listed.number,
            _stretches(None if run.intervals is None else len(run.intervals.intervals), run.is_whole),
            None if run.intervals is None else format_duration(run.intervals.duration_s),
            None if run.amounts.livetime_s is None else format_duration(run.amounts.livetime_s),
            shown_number(run.amounts.pot, 5),
            run.remark,
        ]
        for run in resolution.runs[:_N_SHOWN]
    ]
    print_table(("run", "selected", "duration", "live time", "POT", "remarks"), rows, right=(2, 3, 4))
    if len(resolution.runs) > _N_SHOWN:
        print_note(f"and {len(resolution.runs) - _N_SHOWN} more runs; --json shows all")
    print_text("")
    sums = [
        [
            name or "(not said)",
            found.n_runs,
            format_duration(found.duration_s),
            None if found.amounts.livetime_s is None else format_duration(found.amounts.livetime_s),
            shown_number(found.amounts.pot, 5),
        ]
        for name, found in resolution.detectors.items()
    ]
    print_table(("detector", "runs", "duration", "live time", "POT"), sums, right=(1, 2, 3, 4))
    for warning in resolution.warnings:
        print_note(f"warning: {warning}")


def _stretches(n: int | None, is_whole: bool) -> str:  # two facts of one run
    if n is None:
        return "times not known"
    return "whole" if is_whole else f"{n} stretch" if n == 1 else f"{n} stretches"


@app.command
def diff(left: str, right: str, /, *, output: Output = Output()) -> int:
    """Compare two selections: what is in one only, why, and what that is of the beam.

    Example: nualley selection diff ar-2026 ar-2026-v2 --json

    Parameters
    ----------
    left : str
        A selection.
    right : str
        Another one.
    """
    site = open_site(output.experiment)
    found = site.selections().diff(left, right)
    if output.is_json:
        print_json(found.to_json())
    elif found.is_same:
        print_note(f"{left} and {right} select the same")
    else:
        _print_difference(found)
    return told_losses(site)


def _print_difference(found: Difference) -> None:
    for name, pieces in ((found.left, found.only_left), (found.right, found.only_right)):
        if pieces:
            print_text(f"\nonly in {name}:")
            print_table(
                ("run", "duration", "live time", "POT", "why not in the other"), [_row(each) for each in pieces]
            )


def _row(piece: Piece) -> list[object]:
    why = [
        reason.text + "".join(f" (flag {flag.flag_id}: {flag.reason})" for flag in reason.flags)
        for reason in piece.reasons
    ]
    return [
        piece.run.run_id or piece.run.number,
        None if piece.intervals is None else format_duration(piece.intervals.duration_s),
        None if piece.amounts.livetime_s is None else format_duration(piece.amounts.livetime_s),
        shown_number(piece.amounts.pot, 5),
        "; ".join(why),
    ]


@app.command
def freeze(name: str, /, *, author: str | None = None, output: Output = Output()) -> int:
    """Make a selection what it is now, for good: it gets a sha256 by which it is cited.

    Example: nualley selection freeze ar-2026

    Parameters
    ----------
    name : str
        The selection.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(output.experiment)
    found, resolution = site.selections().freeze(name, author=author or getpass.getuser())
    if output.is_json:
        print_json({**found.to_json(), "warnings": list(resolution.warnings)})
    else:
        print_text(f"{name} sha256:{found.sha256}")
        for warning in resolution.warnings:
            print_note(f"warning: {warning}")
    return told_losses(site)


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ListInput:
    """Which experiment is meant, what is read, and how the answer is written."""

    format: ListFormat
    """Format of the list."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Answer in JSON."""

    experiment: Repository = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ListOutput:
    """Which experiment is meant, and how the selection is written."""

    format: Literal["json", "cms-golden", "legend-yaml", "csv"] = "json"
    """Format; json is the canonical document of a frozen selection, whose sha256 is cited."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    experiment: Repository = None


@app.command(name="import")
def import_(
    file: Path,
    /,
    *,
    name: str,
    detector: str | None = None,
    author: str | None = None,
    source: ListInput,
) -> None:
    """Define a selection by a list of runs that others wrote; runs that the catalog does not know are kept.

    Example: nualley selection import golden.json --format cms-golden --name cms-2012

    Parameters
    ----------
    file : Path
        The list.
    name : str
        Name of the selection.
    detector : str
        Whose runs bare numbers are; without it they stay as they are read.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(source.experiment)
    if detector is not None:
        site.check_detector(detector)
    found = site.selections().import_list(
        name,
        read_text(file),
        source.format,
        file=escape_name(file.name),
        detector=detector,
        author=author or getpass.getuser(),
    )
    if source.json:
        print_json(found.to_json())
    else:
        print_note(f"{name}: revision {found.revision}; next: nualley selection show {name}")


@app.command
def export(
    name: str,
    /,
    *,
    detector: str | None = None,
    out: Path | None = None,
    target: ListOutput = ListOutput(),  # frozen
) -> None:
    """Write a selection as a list of runs for other programs; a list that was imported is written as it was read.

    Example: nualley selection export ar-2026 --format csv --out ar-2026.csv

    Parameters
    ----------
    name : str
        The selection.
    detector : str
        Only its runs.
    out : Path
        File that it goes to; by default stdout. An existing one is replaced when the new one is whole.
    """
    site = open_site(target.experiment)
    if detector is not None:
        site.check_detector(detector)
    selections = site.selections()
    if target.json or target.format == "json":
        if detector is not None:
            raise UsageError("a document is whole", where="--detector", do="leave it out, or choose another --format")
        text = selections.export_json(name)
    else:
        text = selections.export(name, target.format, detector=detector)
    if out is None:
        print_exact(text)
    else:
        write_text(out, text)
        print_note(f"written: {out}")


@app.command(name="mirror")
def mirror_(folder: Path | None = None, /, *, output: Output = Output()) -> None:
    """Write flags and selections of the catalog as text, a file each, so that git keeps their history too.

    Example: nualley selection mirror

    Parameters
    ----------
    folder : Path
        Where; selections/record in the experiment repository by default.
    """
    found = mirror(open_site(output.experiment), folder)
    if output.is_json:
        print_json({"folder": str(found.folder), "written": found.written, "kept": found.kept})
        return
    for name in found.written:
        print_text(name)
    print_note(f"{found.folder}: {len(found.written)} files written, {len(found.kept)} were right already")


@app.command
def validate(*file: Path, output: Answer = Answer()) -> ExitCode:
    """Check files of selections, of flags and of lists of runs: for a hook before a commit.

    Example: nualley selection validate selections/ar-2026.toml

    Parameters
    ----------
    file : Path
        A selection or flags.toml (.toml), a frozen selection or a golden JSON (.json), a list (.yaml, .csv).
    """
    if not file:
        raise UsageError(
            "no file is named",
            where="FILE",
            do="nualley selection validate selections/*.toml, or nualley check for all that the repository says",
        )
    mistakes = check_documents(file)
    for lone in lone_documents(file):
        print_note(
            f"{escape_name(str(lone))}: no experiment repository reads it; what it names is compared with nothing"
        )
    if output.is_json:
        print_json({"n_files": len(file), "mistakes": [mistake.to_json() for mistake in mistakes]})
    else:
        for mistake in mistakes:
            print_text(f"{mistake}\n")
        print_note(f"{len(file)} files: {len(mistakes) or 'no'} mistakes")
    return ExitCode.CONFIGURATION if mistakes else ExitCode.DONE
