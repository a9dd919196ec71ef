"""``nualley drives reclaim`` and the trash: what could go, what goes once somebody says so, and how it comes back."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nualley.cli.options import Output
from nualley.cli.output import print_error, print_json, print_note, print_table, print_text, shown_time
from nualley.core import (
    SECOND_NS,
    ExitCode,
    NualleyError,
    UsageError,
    escape_name,
    format_duration,
    format_size,
    parse_quantity,
    reason,
)
from nualley.replicas import Done, Ground, Proposal, Removal, RemovalPlan, TrashItem, plan_text, read_plan, waits_until

if TYPE_CHECKING:
    from nualley.app.reclaim import Reclaim

_N_SHOWN = 20
_WORDS = {
    Ground.COPIES: "enough verified copies elsewhere",
    Ground.DERIVABLE: "can be made again",
    Ground.STALE: "files of users, long untouched",
}


def reclaim(
    *,
    drive: str | None = None,
    free: str | None = None,
    out: Path | None = None,
    apply: Path | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    trust_clock: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Propose what could go to make room, the safest first, or execute a proposal that was reviewed. Deletes nothing.

    Example: nualley drives reclaim --drive data3 --free 5TiB --out plan.jsonl

    Parameters
    ----------
    drive : str, optional
        Only on this drive; by default on all that are there.
    free : str, optional
        How much room is wanted, such as 5TiB; by default all that could go is proposed.
    out : Path, optional
        Write the plan to this new file, a line for each file; lines can be taken out of it.
    apply : Path, optional
        Move the files of this plan to the trash, each judged anew; what changed since stays.
    yes : bool
        With --apply: do it. Without, it is only told what the plan says.
    trust_clock : bool
        The clock is right, although nothing was recorded for a month.
    """
    _check_words(drive, free, out, apply, yes=yes)
    free_B = None if free is None else round(parse_quantity(free, "B"))
    if free_B is not None and free_B <= 0:
        raise UsageError(f"{free!r} is no room", where="--free", do="such as --free 5TiB")
    with _open(output) as parts:
        if apply is not None:
            return _apply(parts, apply, yes=yes, trusts_clock=trust_clock, output=output)
        found = parts.propose(drive, free_B, trusts_clock=trust_clock)
        waiting_B = _size_B(item.removal for item in parts.reclaimer.items())
    if out is not None:
        _write(out, plan_text(found.plan))
    if output.is_json:
        print_json(_proposal_json(found, out))
    else:
        _show_proposal(found, free_B, out)
        if waiting_B:
            print_note(f"{format_size(waiting_B)} are in the trash already: nualley drives empty-trash")
    return ExitCode.DONE


def _check_words(drive: str | None, free: str | None, out: Path | None, apply: Path | None, *, yes: bool) -> None:
    given = {"--drive": drive, "--free": free, "--out": out}
    beside = [name for name, value in given.items() if value is not None]
    if apply is not None and beside:
        raise UsageError(
            f"{', '.join(beside)} and --apply do not go together: a plan says by itself what it is about",
            where="--apply",
            do="leave out one or the other",
        )
    if yes and apply is None:
        raise UsageError("--yes goes with --apply", where="--yes", do="nualley drives reclaim --apply PLAN --yes")


@contextmanager
def _open(output: Output) -> "Iterator[Reclaim]":
    from nualley.app.reclaim import open_reclaim  # the catalog and pyarrow are heavy
    from nualley.app.site import open_site

    with open_reclaim(open_site(output.experiment)) as parts:
        yield parts


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        shown = escape_name(os.fspath(path))
        raise UsageError(
            f"{shown} cannot be written: {reason(error)}", where="--out", do="name a new file in a folder that is there"
        ) from error


def _read(path: Path) -> RemovalPlan:
    shown = escape_name(os.fspath(path))
    try:
        return read_plan(path.read_text(encoding="utf-8"), shown)
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{shown} cannot be read: {why}", where="--apply", do="name the plan's file") from error


# ---------------------------------------------------------------- a proposal
def _show_proposal(found: Proposal, free_B: int | None, out: Path | None) -> None:
    plan = found.plan
    print_table(
        ("why it may go", "files", "size", "no second home", "to make it again"),
        [
            [
                _WORDS[ground],
                len(of),
                format_size(_size_B(of)),
                format_size(_size_B(each for each in of if not each.elsewhere)),
                _cost(of),
            ]
            for ground in _WORDS
            if (of := [each for each in plan.removals if each.ground is ground])
        ],
        right=(1, 2, 3),
    )
    for each in plan.removals[:_N_SHOWN]:
        print_text(_told(each))
    if len(plan.removals) > _N_SHOWN:
        print_text(f"and {len(plan.removals) - _N_SHOWN} more: --out FILE writes all of them")
    for why, size_B in sorted(found.held_B_by_reason.items(), key=lambda held: -held[1]):
        print_note(f"stays: {format_size(size_B)}, {why}")
    _show_errors(found.problems)
    if free_B is not None and plan.size_B < free_B:
        print_note(f"{format_size(plan.size_B)} could go; {format_size(free_B)} were asked for")
    if out is not None and plan.removals:
        print_note(f"nothing was touched; look at the plan, then: nualley drives reclaim --apply {out} --yes")
    else:
        print_note(
            "nothing was touched; --out FILE writes the plan" if plan.removals else "nothing could go by these rules"
        )


def _size_B(removals: Iterable[Removal]) -> int:
    return sum(each.size_B for each in removals)


def _cost(removals: Sequence[Removal]) -> str | None:
    costs = [each.cost_s for each in removals if each.cost_s is not None]
    return format_duration(sum(costs)) if costs else None


def _told(removal: Removal) -> str:
    if removal.elsewhere:
        also = "also on " + ", ".join(
            f"{each.drive} (read back {shown_time(each.verified_ns) or 'never'})" for each in removal.elsewhere
        )
    else:
        also = "NO SECOND HOME"
    made = f"; {removal.derived_by}, {format_duration(removal.cost_s)}" if removal.cost_s is not None else ""
    whose = f"; of {removal.owner}" if removal.owner else ""
    since = f", untouched since {shown_time(removal.mtime_ns)}" if removal.ground is Ground.STALE else ""
    return f"{removal.path}  {format_size(removal.size_B)}  {also}{made}{whose}{since}"


def _proposal_json(found: Proposal, out: Path | None) -> dict[str, Any]:
    plan = found.plan
    return {
        "plan": plan.plan_id,
        "created_ns": plan.created_ns,
        "file": out,
        "n_files": len(plan.removals),
        "size_B": plan.size_B,
        "no_second_home_B": plan.single_B,
        "available_B_by_ground": {str(ground): found.available_B_by_ground.get(ground, 0) for ground in _WORDS},
        "held_B_by_reason": found.held_B_by_reason,
        "removals": [each.to_json() for each in plan.removals],
        "problems": [error.to_json() for error in found.problems],
    }


# ---------------------------------------------------------------- doing it
def _apply(parts: "Reclaim", path: Path, *, yes: bool, trusts_clock: bool, output: Output) -> int:
    plan = _read(path)
    if not yes:
        if output.is_json:
            print_json(_applied_json(plan, [], is_done=False))
        else:
            print_text(
                f"{len(plan.removals)} files, {format_size(plan.size_B)}, would go to the trash of their drives; "
                f"{format_size(plan.single_B)} of it have no second home"
            )
            print_note("nothing was touched: --yes executes the plan")
        return ExitCode.DONE
    done = _all_done(parts.reclaimer.apply(plan, trusts_clock=trusts_clock), output)
    if output.is_json:
        print_json(_applied_json(plan, done, is_done=True))
    else:
        _show_done(done, "went to the trash")
        if any(each.error is None for each in done):
            print_note(f"back again: nualley drives untrash {plan.plan_id}")
            print_note("they still take their room, until: nualley drives empty-trash --yes")
    return _code(done)


def _applied_json(plan: RemovalPlan, done: Sequence[Done], *, is_done: bool) -> dict[str, Any]:
    return {"plan": plan.plan_id, "is_executed": is_done, "n_files": len(plan.removals), **_done_json(done)}


def _done_json(done: Sequence[Done]) -> dict[str, Any]:
    went = [each.removal.size_B for each in done if each.error is None]
    return {"n_done": len(went), "done_B": sum(went), "files": [each.to_json() for each in done]}


def _all_done(done: Iterable[Done], output: Output) -> list[Done]:
    """Do it, and tell on the way what stays."""
    all_done = []
    for each in done:
        all_done.append(each)
        if each.error is not None and not output.is_json:
            print_error(each.error, is_json=False)
    return all_done


def _show_done(done: Sequence[Done], what: str) -> None:
    went = [each.removal.size_B for each in done if each.error is None]
    stayed = len(done) - len(went)
    print_text(f"{len(went)} files, {format_size(sum(went))}, {what}" + (f"; {stayed} did not" if stayed else ""))


def _code(done: Sequence[Done]) -> int:
    return ExitCode.FAILED if any(each.error for each in done) else ExitCode.DONE


def _show_errors(errors: Sequence[NualleyError]) -> None:
    for error in errors[:_N_SHOWN]:
        print_error(error, is_json=False)
    if len(errors) > _N_SHOWN:
        print_note(f"and {len(errors) - _N_SHOWN} more")


# ---------------------------------------------------------------- the trash
def trash(*, recover: Annotated[bool, Parameter(negative="")] = False, output: Output = Output()) -> int:
    """List what is in the trash of drives and drop directories, and what a killed process left half done.

    Example: nualley drives trash

    Parameters
    ----------
    recover : bool
        Finish, or take back, what a killed process left half done; every other command that moves files does so too.
    """
    with _open(output) as parts:
        problems = parts.reclaimer.recover() if recover else []
        items = parts.reclaimer.items()
    if output.is_json:
        print_json([parts.waiting(item) for item in items])
    else:
        print_table(
            ("item", "path", "size", "why", "since", "to stay for", "plan"),
            [
                [
                    *(item.item_id, item.removal.path, format_size(item.removal.size_B), item.removal.ground),
                    *(shown_time(item.moved_ns), _left(parts, item), item.plan_id),
                ]
                for item in items
            ],
            right=(0, 2),
        )
        size_B = _size_B(item.removal for item in items)
        print_note(f"{len(items)} files, {format_size(size_B)}: they still take their room")
        if items:
            print_note("back again: nualley drives untrash ITEM; for good: nualley drives empty-trash --yes")
    _show_errors(problems)
    return ExitCode.FAILED if problems else ExitCode.DONE


def _left(parts: "Reclaim", item: TrashItem) -> str:
    if item.stage != "in trash":
        return str(item.stage).upper()
    if item.removal.ground is Ground.PURGE:
        return "as purge says"
    return waits_until(item, parts.trash_ns, parts.now_ns()) or "may be deleted"


def untrash(*what: str, output: Output = Output()) -> int:
    """Put files in the trash back in their places; their replicas count again as they did.

    Example: nualley drives untrash 12

    Parameters
    ----------
    what : str
        Items by number or by their old path, or whole plans by their id.
    """
    if not what:
        raise UsageError("WHAT is missing", where="WHAT", do="nualley drives trash lists items, paths and plans")
    with _open(output) as parts:
        done = _all_done(parts.reclaimer.restore(what), output)
    if output.is_json:
        print_json(_done_json(done))
    else:
        _show_done(done, "are back in their places")
    return _code(done)


def empty_trash(
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    trust_clock: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Delete for good what lay in the trash long enough (replicas.reclaim.trash) and may still go.

    Example: nualley drives empty-trash

    Parameters
    ----------
    yes : bool
        Do it. Without, it is only told what would be deleted.
    trust_clock : bool
        The clock is right, although nothing was recorded for a month.
    """
    with _open(output) as parts:
        if not yes:
            items = parts.reclaimer.expired()
            if output.is_json:
                print_json({"is_executed": False, "n_files": len(items), **_done_json([])})
            else:
                size_B = _size_B(item.removal for item in items)
                print_text(f"{len(items)} files, {format_size(size_B)}, would be deleted for good")
                n_young = len(parts.reclaimer.items()) - len(items)
                if n_young:
                    kept_for = format_duration(parts.trash_ns / SECOND_NS)
                    print_note(
                        f"{n_young} more stay: replicas.reclaim.trash is {kept_for}, and purges go by themselves"
                    )
                print_note("nothing was touched: --yes deletes them" if items else "nothing may be deleted yet")
            return ExitCode.DONE
        done = _all_done(parts.reclaimer.empty(trusts_clock=trust_clock), output)
    if output.is_json:
        print_json({"is_executed": True, "n_files": len(done), **_done_json(done)})
    else:
        _show_done(done, "were deleted for good")
    return _code(done)


def purges(*, output: Output = Output()) -> None:
    """List the drop directories whose files go by themselves, and what the worker's last look at each came to.

    Example: nualley drives purges
    """
    from nualley.app.removals import purge_states  # the catalog is heavy
    from nualley.app.site import open_site

    reports = purge_states(open_site(output.experiment))
    if output.is_json:
        print_json([report.to_json() for report in reports])
        return
    print_table(
        ("directory", "mode", "due", "size", "in 24 h", "in the trash", "looked"),
        [
            [
                *(report.path, report.mode, report.n_due, format_size(report.due_B), format_size(report.day_B)),
                *(format_size(report.trash_B), shown_time(report.looked_ns or None)),
            ]
            for report in reports
        ],
        right=(2, 3, 4, 5),
    )
    for report in reports:
        for said in filter(None, (report.why, *report.problems)):
            print_note(f"{report.path}: {said}")
    if not reports:
        print_note("no drop directory has purge: nothing is ever deleted by itself")
