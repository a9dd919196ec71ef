"""``nualley runs``: what was taken, by every detector."""

import getpass
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nualley import __version__
from nualley.app.remarks import change_tags, enter_note
from nualley.app.site import Site, open_site
from nualley.catalog import Activity, FileRecord, Run, Totals, diff_settings
from nualley.cli import run_flags
from nualley.cli.options import Output, Time, Whole, bounds_ns, full_run_id, time_ns
from nualley.cli.output import print_json, print_note, print_table, print_text, shown_time
from nualley.core import ExitCode, NualleyError, SystemClock, UsageError, format_duration, format_size

app = App(name="runs", help="Runs of all detectors: ingest, list, show, compare, correct, flag, validate.")
app.command(run_flags.flag_, name="flag")
app.command(run_flags.unflag)
app.command(run_flags.flags)
app.command(run_flags.type_, name="type")
app.command(run_flags.validate)
_NOTHING = Totals()


@app.command
def ingest(  # each is an option of its own
    *path: Path,
    detector: str,
    run: Whole | None = None,
    start: Time = None,
    stop: Time = None,
    output: Output = Output(),
) -> ExitCode:
    """Take raw files in: count events, verify, copy durably, register.

    Example: nualley runs ingest run00042/ --detector cenns-10

    Parameters
    ----------
    path : Path
        Raw files, or directories of them.
    detector : str
        Whose they are.
    run : int
        Run number; by default the one in the path (run00042/wave0.dat).
    start : str
        When the run began, where no archived PV tells it.
    stop : str
        When it stopped.
    """
    from nualley.app.ingest import make_ingest  # readers and adapters are heavy
    from nualley.cli.progress import copy_progress

    if not path:
        raise UsageError("no file to ingest", where="PATH", do="name raw files or their directory")
    now_ns = SystemClock().now_ns()
    start_ns, stop_ns = (
        None if text is None else time_ns(text, now_ns, where=option)
        for text, option in ((start, "--start"), (stop, "--stop"))
    )
    site = open_site(output.experiment)
    site.check_detector(detector, may_be_recorded=False)
    with copy_progress(is_shown=not output.is_json) as progress:
        report = make_ingest(site).ingest_paths(
            path,
            detector,
            run=run,
            start_ns=start_ns,
            stop_ns=stop_ns,
            progress=progress,
        )
    if output.is_json:
        print_json(report.to_json())
    else:
        print_text(str(report))
    return report.exit_code


@app.command(name="list")
def list_(
    *,
    detector: str | None = None,
    tag: str | None = None,
    from_: Annotated[Time, Parameter(name="--from")] = None,
    to: Time = None,
    output: Output = Output(),
) -> None:
    """List runs.

    Example: nualley runs list --detector cenns-10 --from -7d

    Parameters
    ----------
    detector : str
        Only its runs.
    tag : str
        Only runs with this tag.
    from_ : str
        Only runs that reach beyond this time; runs without times are left out then.
    to : str
        Only runs that began before this time.
    """
    start_ns, stop_ns = bounds_ns(from_, to)
    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    catalog = site.catalog()
    found = catalog.runs(detector=detector, tag=tag, start_ns=start_ns, stop_ns=stop_ns)
    totals = catalog.totals_by_run()
    if output.is_json:
        livetimes_s = _livetimes_s(site, found)
        print_json(
            [
                _summary(run, totals.get(run.run_id, _NOTHING), livetime_s)
                for run, livetime_s in zip(found, livetimes_s, strict=True)
            ]
        )
        return
    print_table(
        ("run", "start (UTC)", "duration", "files", "events", "size", "verified", "defects", "tags"),
        [
            [
                run.run_id,
                shown_time(run.start_ns) or "unknown",
                _duration(run),
                totals.get(run.run_id, _NOTHING).n_files,
                totals.get(run.run_id, _NOTHING).n_events,
                format_size(totals.get(run.run_id, _NOTHING).size_B),
                totals.get(run.run_id, _NOTHING).n_verified_replicas,
                totals.get(run.run_id, _NOTHING).n_defects,
                " ".join(run.tags),
            ]
            for run in found
        ],
        right=range(2, 8),
    )
    print_note(_how_many(len(found), len(totals)))


def _livetimes_s(site: Site, runs: Sequence[Run]) -> Sequence[float | None]:
    try:
        return site.livetimes_s(runs)
    except NualleyError as error:  # the record is told all the same
        print_note(f"live times are not known: {error.what}")
        return [None] * len(runs)


def _how_many(n_found: int, n_all: int) -> str:
    if n_found:
        return f"{n_found} run" if n_found == 1 else f"{n_found} runs"
    if n_all:
        return "the only run does not match" if n_all == 1 else f"none of the {n_all} runs matches"
    return "no runs yet; next: nualley runs ingest PATH --detector ID"


@app.command
def show(run: str, /, *, detector: str | None = None, output: Output = Output()) -> None:
    """Show a run: times, files with their replicas and defects, notes.

    Example: nualley runs show cenns-10-42

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    detector : str
        Whose run a bare number is.
    """
    site = open_site(output.experiment)
    catalog = site.catalog()
    found = site.run(full_run_id(run, detector))
    files = catalog.files(found.run_id)
    notes = catalog.notes(found.run_id)
    replicas = {file.file_id: catalog.replicas(file.file_id) for file in files}
    totals = catalog.totals(found.run_id)
    (livetime_s,) = _livetimes_s(site, [found])
    if output.is_json:
        shown_files = [
            {**_file(file), "replicas": [asdict(replica) for replica in replicas[file.file_id]]} for file in files
        ]
        print_json(
            {
                **_summary(found, totals, livetime_s),
                "start_reason": found.start_reason or None,
                "stop_reason": found.stop_reason or None,
                "files": shown_files,
                "notes": [asdict(note) for note in notes],
            }
        )
        return
    live = "unknown" if livetime_s is None else format_duration(livetime_s)
    print_text(f"{found.run_id}  {_times(found)}, live time {live}")
    print_text(f"times from: {found.time_source}    tags: {' '.join(found.tags) or '-'}\n")
    print_table(
        ("file", "format", "events", "size", "xxh3_128", "defects", "replicas"),
        [
            [
                file.name,
                file.format,
                file.n_events,
                format_size(file.size_B),
                file.xxh3_128,
                len(file.defects),
                ", ".join(f"{replica.drive} ({replica.state})" for replica in replicas[file.file_id]),
            ]
            for file in files
        ],
        right=(2, 3, 5),
    )
    for file in files:
        for defect in file.defects:
            print_text(f"  {file.name}: {defect['kind']} at byte {defect['offset_B']}: {defect['detail']}")
    for note in notes:
        print_text(f"\n{shown_time(note.time_ns)} {note.author}: {note.text}")


@app.command
def settings(run: str, /, *, detector: str | None = None, output: Output = Output()) -> None:
    """Show the DAQ settings of a run, as its files say them.

    Example: nualley runs settings cenns-10-42

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    detector : str
        Whose run a bare number is.
    """
    found = open_site(output.experiment).run(full_run_id(run, detector))
    if output.is_json:
        print_json({"run_id": found.run_id, "settings": found.settings})
        return
    for key, value in _flat(found.settings):
        print_text(f"{key} = {value}")


@app.command
def diff(
    left: str,
    right: str,
    /,
    *,
    detector: str | None = None,
    output: Output = Output(),
) -> None:
    """Compare the DAQ settings of two runs.

    Example: nualley runs diff cenns-10-41 cenns-10-42

    Parameters
    ----------
    left : str
        <detector>-<number>, or a number with --detector.
    right : str
        The other run.
    detector : str
        Whose runs bare numbers are.
    """
    site = open_site(output.experiment)
    runs = [site.run(full_run_id(run, detector)) for run in (left, right)]
    differences = diff_settings(runs[0].settings, runs[1].settings)
    if output.is_json:
        print_json(
            {"left": runs[0].run_id, "right": runs[1].run_id, "differences": [found._asdict() for found in differences]}
        )
        return
    if not differences:
        print_note(f"{runs[0].run_id} and {runs[1].run_id} have the same settings")
        return
    head = ("setting", runs[0].run_id, runs[1].run_id)
    print_table(head, [[found.key, found.left, found.right] for found in differences])


@app.command
def note(
    run: str,
    text: str,
    /,
    *,
    detector: str | None = None,
    author: str | None = None,
    output: Output = Output(),
) -> None:
    """Write a note to a run; notes are never changed or deleted.

    Example: nualley runs note cenns-10-42 "beam tripped twice"

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    text : str
        What is to be remembered.
    detector : str
        Whose run a bare number is.
    author : str
        Who says so; by default who is logged in.
    """
    site = open_site(output.experiment)
    run_id = site.run(full_run_id(run, detector)).run_id
    written = enter_note(site, run_id, text, author=getpass.getuser() if author is None else author)
    if output.is_json:
        print_json(asdict(written))
    else:
        print_note(f"noted; nualley runs show {written.run_id} shows it")


@app.command(name="tag")
def tag_(run: str, /, *tag: str, remove: bool = False, detector: str | None = None, output: Output = Output()) -> None:
    """Give a run tags, or take them away.

    Example: nualley runs tag cenns-10-42 calibration co-57

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    tag : str
        Lower-case letters and digits, joined by single hyphens.
    remove : bool
        Take them away.
    detector : str
        Whose run a bare number is.
    """
    site = open_site(output.experiment)
    run_id = site.run(full_run_id(run, detector)).run_id
    tags = list(change_tags(site, run_id, **{"remove" if remove else "add": tag}).tags)
    if output.is_json:
        print_json({"run_id": run_id, "tags": tags})
    else:
        print_note(f"{run_id} has the tags: {' '.join(tags) or '-'}")


@app.command
def times(
    run: str,
    /,
    *,
    start: Annotated[str, Parameter(allow_leading_hyphen=True)],
    stop: Annotated[str, Parameter(allow_leading_hyphen=True)],
    reason: str,
    detector: str | None = None,
    author: str | None = None,
    output: Output = Output(),
) -> None:
    """Correct when a run was; the old times and the reason stay in its notes, and no PV changes them again.

    Example: nualley runs times cenns-10-42 --start 2026-11-20T04:00Z --stop 2026-11-20T05:00Z --reason "typing error"

    Parameters
    ----------
    run : str
        <detector>-<number>, or a number with --detector.
    start : str
        When it really began.
    stop : str
        When it really stopped.
    reason : str
        How that is known.
    detector : str
        Whose run a bare number is.
    author : str
        Who says so; by default who is logged in.
    """
    _check_words({"--reason": reason, "--author": author})
    now_ns = SystemClock().now_ns()
    start_ns, stop_ns = time_ns(start, now_ns, where="--start"), time_ns(stop, now_ns, where="--stop")
    site = open_site(output.experiment)
    run_id = site.run(full_run_id(run, detector)).run_id
    corrected = site.catalog().correct_run_times(
        run_id,
        start_ns=start_ns,
        stop_ns=stop_ns,
        reason=reason,
        author=author or getpass.getuser(),
        activity=Activity(
            kind="correct-times",
            inputs=(run_id,),
            outputs=(run_id,),
            code=f"nualley {__version__}",
            host=socket.gethostname(),
            start_ns=now_ns,
            stop_ns=now_ns,
        ),
    )
    if output.is_json:
        print_json({key: getattr(corrected, key) for key in ("run_id", "start_ns", "stop_ns", "time_source")})
    else:
        print_note(f"{run_id}  {_times(corrected)}; nualley runs show {run_id} shows what it was before")


def _check_words(text_by_name: Mapping[str, str | None]) -> None:
    for name, words in text_by_name.items():
        if words is not None and not words.strip():
            raise UsageError(f"{name} is blank: {words!r}, expected words", where=name, do="write what is to be read")


def _summary(run: Run, totals: Totals, livetime_s: float | None) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "detector": run.detector,
        "number": run.number,
        "start_ns": run.start_ns,
        "stop_ns": run.stop_ns,
        "time_source": run.time_source,
        "livetime_s": livetime_s,
        "n_files": totals.n_files,
        "n_events": totals.n_events,
        "size_B": totals.size_B,
        "n_verified_replicas": totals.n_verified_replicas,
        "n_defects": totals.n_defects,
        "run_type": run.run_type or None,
        "tags": list(run.tags),
    }


def _file(file: FileRecord) -> dict[str, object]:
    keys = ("name", "format", "n_events", "channels", "record_length", "size_B", "xxh3_128", "adler32", "defects")
    return {key: getattr(file, key) for key in keys}


def _times(run: Run) -> str:
    if run.start_ns is None:
        return "start and duration unknown"
    return f"{shown_time(run.start_ns)}  {_duration(run)}"


def _duration(run: Run) -> str | None:
    if run.start_ns is None:
        return None
    return "goes on" if run.stop_ns is None else format_duration((run.stop_ns - run.start_ns) / 1e9)


def _flat(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return found
