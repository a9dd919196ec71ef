"""A plan as text that a person reviews: lines may be taken out, and nothing else may be changed."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import xxhash

from nualley.core import dump_json, format_size, format_time, parse_time_ns
from nualley.replicas.errors import PlanDamaged
from nualley.replicas.removals import Removal, RemovalPlan

FORMAT = "nualley-reclaim-1"

_CHECK = "check"


def new_plan_id() -> str:
    """Return a name that no other plan has."""
    return secrets.token_hex(8)


def plan_text(plan: RemovalPlan) -> str:
    """Return a plan as text: a line of JSON for each file, below a head.

    Parameters
    ----------
    plan : RemovalPlan
        What is proposed.

    Notes
    -----
    Each line carries a digest of itself and of the plan's id: a line that was cut, edited or taken from another plan is
    found out; a whole line may be taken out. It is no signature, and need not be one: whoever executes the plan looks
    at each file anew and believes nothing of it.
    """
    head = {"format": FORMAT, "plan": plan.plan_id, "experiment": plan.experiment, "created": _time(plan.created_ns)}
    when, n_files = format_time(plan.created_ns, digits=0), len(plan.removals)
    size = format_size(plan.size_B)
    lines = [
        f"# Proposed for {plan.experiment} at {when}: {n_files} files, {size}; nothing was touched.",
        f"# {format_size(plan.single_B)} of it have no second home: these lines say {_SINGLE}.",
        "# Take out the lines of files that have to stay; any other change makes the plan worthless. Then:",
        "# nualley drives reclaim --apply THIS_FILE --yes",
        _line(head, plan.plan_id),
        *(_line(each.to_json(), plan.plan_id) for each in plan.removals),
    ]
    return "\n".join(lines) + "\n"


_SINGLE = '"has_second_home": false'


def read_plan(text: str, where: str) -> RemovalPlan:
    """Return a plan from its text.

    Parameters
    ----------
    text : str
        The text.
    where : str
        Its name, for errors.

    Raises
    ------
    PlanDamaged
        Where a line is not as it was written; names the line.
    """
    lines = list(_numbered(text))
    if not lines:
        raise _damaged(where, 1, "no plan is in it")
    number, first = lines[0]
    head = _read(first, None, where, number)
    if head.get("format") != FORMAT:
        raise _damaged(where, number, f"its first line is not the head of a plan ({FORMAT})")
    plan_id = str(head["plan"])
    removals = tuple(_removal(line, plan_id, where, number) for number, line in lines[1:])
    paths = [each.path for each in removals]
    if len(set(paths)) != len(paths):
        raise _damaged(where, number, "a file stands in it twice")
    created_ns = parse_time_ns(str(head["created"]), 0)
    return RemovalPlan(plan_id=plan_id, experiment=str(head["experiment"]), created_ns=created_ns, removals=removals)


def _time(time_ns: int) -> str:
    return format_time(time_ns)


def _line(values: dict[str, Any], plan_id: str) -> str:
    return dump_json({**values, _CHECK: _digest(values, plan_id)})


def _digest(values: dict[str, Any], plan_id: str) -> str:
    canonical = json.dumps(json.loads(dump_json(values)), sort_keys=True)
    return xxhash.xxh3_64_hexdigest(f"{plan_id} {canonical}".encode())


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _read(line: str, plan_id: str | None, where: str, number: int) -> dict[str, Any]:
    try:
        values = dict(json.loads(line))
        check = values.pop(_CHECK)
        wanted = _digest(values, str(values["plan"]) if plan_id is None else plan_id)
    except (ValueError, KeyError, TypeError):
        raise _damaged(where, number, "the line is cut, or was never one of a plan") from None
    if check != wanted:
        raise _damaged(where, number, "the line was changed, or is of another plan")
    return values


def _removal(line: str, plan_id: str, where: str, number: int) -> Removal:
    values = _read(line, plan_id, where, number)
    try:
        return Removal.from_json(values)
    except (ValueError, KeyError, TypeError):
        raise _damaged(where, number, "the line is of another version") from None


def _damaged(where: str, number: int, what: str) -> PlanDamaged:
    return PlanDamaged(
        f"line {number} of the plan: {what}; nothing was touched",
        where=f"{where}:{number}",
        do="make a new one: nualley drives reclaim --out FILE; whole lines may be taken out of it",
    )
