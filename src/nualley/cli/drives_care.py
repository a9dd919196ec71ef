"""``nualley drives consistency`` and ``scrub``: whether what should be there is there, and holds what was written."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nualley.cli.options import Output
from nualley.cli.output import print_error, print_json, print_note, print_table
from nualley.cli.progress import copy_progress, count_progress
from nualley.core import ExitCode, UsageError, format_size, parse_quantity
from nualley.storage import is_set_aside

if TYPE_CHECKING:
    from nualley.app.consistency import ConsistencyReport, LostReplica
    from nualley.app.site import Site
    from nualley.replicas import Scrubbed

_N_UNREAD_SHOWN = 5


def consistency(
    drive: str | None = None,
    /,
    *,
    enter: Annotated[bool, Parameter(negative="")] = False,
    limit: int = 50,
    output: Output = Output(),
) -> int:
    """Compare the catalog with what is on drives: what is there and not known, and what is known and not there.

    Example: nualley drives consistency data1

    Parameters
    ----------
    drive : str, optional
        Name of a drive in drives.toml; by default all that are there.
    enter : bool
        Enter what was found into the catalog: what is missing, of another size, or there again.
    limit : int
        So many lines of each kind are shown; 0 for all. JSON has all of them.
    """
    from nualley.app.consistency import check_consistency, enter_findings  # pyarrow is heavy
    from nualley.app.site import open_site
    from nualley.app.stopping import run_coroutine

    site = open_site(output.experiment)
    with count_progress() as told:
        report = run_coroutine(check_consistency(site, drive, told))
    if not report.drives and report.errors:
        raise report.errors[0]
    n_entered = enter_findings(site, report) if enter else 0
    if output.is_json:
        print_json(_consistency_json(report, n_entered))
    else:
        _print_consistency(report, limit)
        if drive is None:
            print_away(site, "compared")
        if enter:
            print_note(f"entered into the catalog: {n_entered} replicas")
        elif report.missing or report.wrong_size or report.returned:
            print_note("the catalog is as it was: --enter enters this")
    for error in report.errors:
        print_error(error, is_json=False)
    if not report.is_intact:
        return ExitCode.NOT_INTACT
    return max((int(error.exit_code) for error in report.errors), default=ExitCode.DONE)


def print_away(site: "Site", done: str) -> None:
    """Name the drives of which nothing is known now, because they are not there.

    Parameters
    ----------
    site : Site
        The experiment.
    done : str
        What was not done with them.
    """
    for usage in site.drive_usages():
        if not usage.is_mounted:
            print_note(f"{usage.drive.name} is not {done}: {usage.error}")


def _consistency_json(report: "ConsistencyReport", n_entered: int) -> dict[str, Any]:
    return {
        "drives": report.drives,
        "n_files": report.n_files,
        "n_known": report.n_known,
        "dark": [
            {
                "drive": dark.drive,
                "path": dark.file.path,
                "size_B": dark.file.size_B,
                "mtime_ns": dark.file.mtime_ns,
                "detector": dark.owner.detector,
                "stage": dark.owner.stage,
                "run": dark.owner.run,
                "owner": dark.owner.owner,
            }
            for dark in report.dark
        ],
        **{
            name: [_lost_json(row) for row in rows]
            for name, rows in (
                ("missing", report.missing),
                ("wrong_size", report.wrong_size),
                ("unseen", report.unseen),
                ("returned", report.returned),
            )
        },
        "unread": [asdict(each) for each in report.unread],
        "n_entered": n_entered,
    }


def _lost_json(row: "LostReplica") -> dict[str, Any]:
    return {
        "drive": row.drive,
        "path": row.placed.path,
        "run_id": row.placed.run_id,
        "file_id": row.placed.file_id,
        "size_B": row.placed.size_B,
        "detail": row.detail,
        "n_others": row.n_others,
    }


def _print_consistency(report: "ConsistencyReport", limit: int) -> None:
    for title, rows in (
        ("missing", report.missing),
        ("another size", report.wrong_size),
        ("not to be seen", report.unseen),
        ("there again", report.returned),
    ):
        _print_lost(title, rows, limit)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    is_adoptable = False
    for dark in report.dark:
        owner = dark.owner
        said = " ".join(filter(None, (owner.detector, owner.stage, owner.owner))) or "nobody's"
        if is_set_aside(dark.file.path.rpartition("/")[2]):
            said = f"{said}, set aside as damaged"
        else:
            is_adoptable |= None not in (owner.detector, owner.stage, owner.run)
        groups[dark.drive, said].append(dark.file.size_B)
    if groups:
        print_table(
            ("not in the catalog", "whose", "files", "size"),
            [
                [drive, said, len(sizes_B), format_size(sum(sizes_B))]
                for (drive, said), sizes_B in sorted(groups.items(), key=lambda item: -sum(item[1]))
            ],
            right=(2, 3),
        )
        if is_adoptable:
            print_note("nualley files adopt enters those to which a rule gives detector, stage and run")
    for each in report.unread[:_N_UNREAD_SHOWN]:
        print_note(f"{each.drive}: {each.path or '.'} was not read whole: {each.detail}")
    print_note(
        f"{', '.join(report.drives)}: {report.n_files} files, {report.n_known} known, {len(report.dark)} dark, "
        f"{len(report.missing)} missing, {len(report.wrong_size)} of another size"
    )


def _print_lost(title: str, rows: "Iterable[LostReplica]", limit: int) -> None:
    listed = list(rows)
    if not listed:
        return
    print_table(
        (title, "path", "run", "size", "found", "verified elsewhere"),
        [
            [row.drive, row.placed.path, row.placed.run_id, format_size(row.placed.size_B), row.detail, row.n_others]
            for row in listed[: limit or None]
        ],
        right=(3, 5),
    )
    if limit and len(listed) > limit:
        print_note(f"{len(listed) - limit} more: --limit 0")


def scrub(
    drive: str | None = None,
    /,
    *,
    budget: str | None = None,
    rate: str | None = None,
    repair: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Read replicas again and compare them with their digests, those never read first, then the longest unread.

    Example: nualley drives scrub --budget "2 TB"

    Parameters
    ----------
    drive : str, optional
        Name of a drive or remote in drives.toml; by default all drives that are there.
    budget : str, optional
        About so much of each drive, such as "500 GB"; by default all.
    rate : str, optional
        Most bytes to read in a second, such as "200 MB/s"; by default replicas.scrub_rate.
    repair : bool
        Put a verified replica from another drive in the place of one that is damaged, or missing since whenever. The
        damaged file is kept beside it.
    """
    from nualley.app import scrub as routine  # the catalog is heavy
    from nualley.app.site import open_site
    from nualley.replicas import parse_rate_B_per_s

    rate_B_per_s = parse_rate_B_per_s(rate) if rate else None
    budget_B = None if budget is None else round(parse_quantity(budget, "B"))
    if budget_B is not None and budget_B <= 0:
        raise UsageError(f"{budget!r} lets nothing be read", where="--budget", do='such as --budget "500 GB"')
    site = open_site(output.experiment)
    found: list[Scrubbed] = []
    if drive in site.configuration.storage.remotes and repair:
        do = "move the damaged copy away there, then: nualley transfer place"
        raise UsageError(f"{drive} is a remote: nothing is mended in its place", where="--repair", do=do)
    with copy_progress() as told:
        reads = routine.scrub(site, drive, budget_B=budget_B, rate_B_per_s=rate_B_per_s, repairs=repair, told=told)
        for each in reads:
            found.append(each)
            if each.detail and not output.is_json:
                print_note(f"{str(each.result).upper()} {each.path}: {each.detail}")
    results = Counter(str(each.result) for each in found)
    size_B = sum(each.size_B for each in found)
    if output.is_json:
        wrong = [each.to_json() for each in found if each.result != "intact"]
        print_json({"n_files": len(found), "size_B": size_B, "results": dict(results), "problems": wrong})
    else:
        said = ", ".join(f"{count} {result}" for result, count in sorted(results.items())) or "nothing to read"
        print_note(f"{format_size(size_B)} read in {len(found)} files: {said}")
        if drive is None:
            print_away(site, "read")
    is_intact = not {"damaged", "missing", "unreadable"} & set(results)
    return ExitCode.DONE if is_intact else ExitCode.NOT_INTACT
