"""``nualley files adopt``: what lies on a drive and belongs to a run becomes known to the catalog."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from nualley.cli.options import Output
from nualley.cli.output import print_error, print_json, print_note, print_table
from nualley.cli.progress import copy_progress, count_progress
from nualley.core import ExitCode, format_size

if TYPE_CHECKING:
    from nualley.app.adoption import DarkFiles
    from nualley.replicas import Adopted

_ENTERED = ("adopted", "replica")


def adopt(
    path: Path | None = None,
    /,
    *,
    drive: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    rate: str | None = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 50,
    output: Output = Output(),
) -> int:
    """Enter files into the catalog where they lie: those to which a rule of drives.toml gives detector, stage and run.

    Example: nualley files adopt --drive data1 --dry-run

    Parameters
    ----------
    path : Path, optional
        A file, or a directory of which all files are meant and are finished. By default drives are scanned, and files
        that were changed less than ingest.settle_s ago wait for the next time.
    drive : str, optional
        Name of a drive in drives.toml; by default all that are there.
    dry_run : bool
        Only say what would become known; nothing is read, and nothing entered.
    rate : str, optional
        Most bytes to read in a second, such as "200 MB/s"; by default replicas.rate.
    limit : int
        So many files of each kind are shown that did not become known; 0 for all. JSON has all of them.
    """
    from nualley.app.adoption import adopt_files, find_dark_files, plan_adoption  # pyarrow is heavy
    from nualley.app.site import open_site
    from nualley.app.stopping import run_coroutine
    from nualley.replicas import parse_rate_B_per_s

    rate_B_per_s = parse_rate_B_per_s(rate) if rate else None
    site = open_site(output.experiment)
    with count_progress(is_shown=not output.is_json) as told:
        found = run_coroutine(find_dark_files(site, told, path=path, drive=drive))
    if dry_run:
        results = plan_adoption(site, found)
    else:
        with copy_progress(is_shown=not output.is_json) as progress:
            results = list(adopt_files(site, found, rate_B_per_s=rate_B_per_s, told=progress))
    results += found.too_new
    if output.is_json:
        print_json(_json(found, results, is_dry=dry_run))
    else:
        _print(found, results, limit, is_dry=dry_run)
    for error in found.errors:
        print_error(error, is_json=False)
    return _exit_code(found, results)


def _exit_code(found: "DarkFiles", results: "Sequence[Adopted]") -> ExitCode:
    if any(each.result == "refused" for each in results):
        return ExitCode.NOT_INTACT
    if found.unread or found.errors or any(each.result == "failed" for each in results):
        return ExitCode.FAILED
    return ExitCode.DONE


def _json(found: "DarkFiles", results: "Sequence[Adopted]", *, is_dry: bool) -> dict[str, Any]:
    return {
        "drives": found.drives,
        "is_dry_run": is_dry,
        "n_known": found.n_known,
        "counts": dict(Counter(str(each.result) for each in results)),
        "files": [each.to_json() for each in results],
        "left": [asdict(each) for each in found.left],
        "unnamed": {"n_files": found.n_unnamed, "size_B": found.unnamed_B},
        "unread": [asdict(each) for each in found.unread],
    }


def _print(found: "DarkFiles", results: "Sequence[Adopted]", limit: int, *, is_dry: bool) -> None:
    entered = [each for each in results if each.result in _ENTERED]
    _print_entered(entered, "would become known" if is_dry else "became known")
    for result, title in (
        ("refused", "refused: other bytes than the file of that name"),
        ("failed", "could not be read"),
        ("written", "left for the next time"),
    ):
        rows = [
            [each.candidate.path, each.candidate.run_id, format_size(each.candidate.size_B), each.detail]
            for each in results
            if each.result == result
        ]
        _print_rows(title, ("run", "size", "why"), rows, limit)
    _print_rows(
        "left out", ("size", "why"), [[each.path, format_size(each.size_B), each.detail] for each in found.left], limit
    )
    _print_rows("not looked into", ("why",), [[each.path or ".", each.detail] for each in found.unread], limit)
    if found.n_unnamed:
        print_note(
            f"{found.n_unnamed} files ({format_size(found.unnamed_B)}) stay dark: no rule of drives.toml gives them "
            "detector, stage and run; nualley drives unowned names directories"
        )
    if not results and not found.n_unnamed and not found.left:
        print_note(f"{', '.join(found.drives)}: every file is known ({found.n_known})")
    elif is_dry and entered:
        print_note("nothing was read or entered: without --dry-run it is")


def _print_entered(entered: "Sequence[Adopted]", title: str) -> None:
    groups: dict[tuple[str, str, str], list[Adopted]] = defaultdict(list)
    for each in entered:
        groups[each.candidate.drive, each.candidate.detector, each.candidate.stage].append(each)
    if not groups:
        return
    print_table(
        (title, "detector", "stage", "runs", "new files", "more replicas", "size"),
        [
            [
                *key,
                len({each.candidate.run_id for each in group}),
                sum(each.result == "adopted" for each in group),
                sum(each.result == "replica" for each in group),
                format_size(sum(each.candidate.size_B for each in group)),
            ]
            for key, group in sorted(groups.items())
        ],
        right=(3, 4, 5, 6),
    )


def _print_rows(title: str, columns: tuple[str, ...], rows: list[list[str]], limit: int) -> None:
    if rows:
        print_table((title, *columns), rows[: limit or None])
    if limit and len(rows) > limit:
        print_note(f"{len(rows) - limit} more: --limit 0")
