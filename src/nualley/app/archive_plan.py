"""What is to be archived: the experiment repository, and on top of it the run-time changes that the store keeps."""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from nualley.app.site import Site
from nualley.app.standing import declared_policies
from nualley.archive import ChangeRefusedError, PvGroup, PvPolicy
from nualley.archive.adapters.changes_file import ChangesFile
from nualley.archive.changes import Change, Pending, Plan, Verb
from nualley.core import HOUR_NS, NualleyError, UsageError, nearest, reason, sync_folder
from nualley.pv import Expression, MqttPlace, PvRequest, input_faults

_SELF = "nualley"


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """What is archived, as the files say.

    Parameters
    ----------
    plan : Plan
        What is archived.
    file : ChangesFile
        Where the changes are kept.
    damages : tuple of str
        Lines of it that cannot be read, each as ``FILE:LINE: why``.
    """

    plan: Plan
    file: ChangesFile
    damages: tuple[str, ...]


def pv_request(pv: str, policy: PvPolicy) -> PvRequest:
    """Return what a source is asked for."""
    place = None
    if policy.topic:
        place = MqttPlace(**{field.name: getattr(policy, field.name) for field in fields(MqttPlace)})
    return PvRequest(pv, policy.events, queue=policy.queue, unit=policy.unit, mqtt=place, expression=policy.expression)


def check_expression(plan: Plan, change: Change) -> None:
    """Check that a PV that is to be computed can be.

    Raises
    ------
    ChangeRefusedError
        Where one of its inputs is not archived, or is computed from it.
    """
    if change.policy is None or not change.policy.expression:
        return
    archived = plan.archived()
    inputs = Expression.parse(change.policy.expression).inputs
    others = {pv: Expression.parse(policy.expression).inputs for pv, policy in archived.items() if policy.expression}
    faults = input_faults(change.pv, others | {change.pv: inputs}, archived.__contains__)
    if not faults:
        return
    do = "compute it from other PVs"
    if faults.missing:
        near = nearest(faults.missing[0], archived)
        do = f"did you mean {near!r}?" if near else f"nualley archive add {faults.missing[0]}"
    raise ChangeRefusedError(faults.what, where="--expression", do=do)


def pv_requests(plan: Plan) -> dict[str, list[PvRequest]]:
    """Return what is asked of the source of each protocol: every archived PV that is not paused, by name."""
    found: dict[str, list[PvRequest]] = {}
    for pv, policy in plan.archived().items():
        if not plan.is_paused(pv):
            found.setdefault(policy.protocol, []).append(pv_request(pv, policy))
    return found


def kept_ns(plan: Plan) -> dict[str, int]:
    """Return how long samples are kept of each PV for which that has an end, under each of its names [ns]."""
    return {
        part.name: round(policy.retention_h * HOUR_NS)
        for pv, policy in plan.archived().items()
        if policy.retention_h is not None
        for part in plan.aliases.resolve(pv)
    }


def read_plan(site: Site) -> KeptPlan:
    """Return what is archived now, by the experiment repository and the changes that the store keeps."""
    file = ChangesFile(site.archive_folder)
    kept = file.read()
    return KeptPlan(Plan(declared_policies(site.configuration), kept.changes), file, kept.damages)


def settle(kept: KeptPlan, now_ns: int) -> None:
    """Let changes go that the experiment repository tells by now as well: what it says later counts again.

    Parameters
    ----------
    kept : KeptPlan
        The plan; the caller holds the role ``archive``.
    now_ns : int
        The time now [ns since 1970 UTC].

    Raises
    ------
    ChangesWriteError
        Where the drive refuses.
    """
    changes = [Change(verb=Verb.SETTLE, pv=pv, time_ns=now_ns, who=_SELF) for pv in kept.plan.settled()]
    if changes:
        kept.file.append(changes)
    for change in changes:
        kept.plan.apply(change)


def pending_changes(site: Site) -> tuple[list[Pending], tuple[str, ...]]:
    """Return what is archived otherwise than the experiment repository says, and the damaged lines of the changes."""
    kept = read_plan(site)
    return kept.plan.pending(), kept.damages


# ------------------------------------------------------------------ as a file of the experiment repository
@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """What was written into a file of ``pvs/``.

    Parameters
    ----------
    path : Path
        The file.
    pvs : tuple of str
        The PVs in it.
    left : tuple of Pending
        What no new file can say: PVs that another file declares.
    """

    path: Path
    pvs: tuple[str, ...]
    left: tuple[Pending, ...]


def write_group(site: Site, path: Path, *, may_replace: bool) -> WrittenGroup:
    """Write the PVs that are archived and that no other file declares as a file of ``pvs/``.

    Parameters
    ----------
    site : Site
        The experiment.
    path : Path
        The file, with the ending ``.toml``.
    may_replace : bool
        Whether a file that is there is written anew; the PVs that only it declares stay in it.

    Raises
    ------
    UsageError
        Where the file is there and may not be replaced, has another ending, or there is nothing to write.
    NualleyError
        Where it cannot be written.
    """
    if path.suffix != ".toml" or not path.parent.is_dir():
        raise UsageError(f"{path} is no place for a group", where="--write", do="such as pvs/cryostat.toml")
    if path.exists() and not may_replace:
        raise UsageError(f"{path} is there already", where="--write", do="choose another name, or add --force")
    configuration, plan = site.configuration, read_plan(site).plan
    is_group = path.resolve().parent == (configuration.directory / "pvs").resolve()
    own = configuration.pv_groups.get(path.stem, PvGroup()) if is_group else PvGroup()
    elsewhere = {pv for pv in plan.declared if plan.written[pv] not in own.pv}
    found = {pv: policy for pv, policy in plan.archived().items() if pv not in elsewhere}
    if not found:
        raise UsageError(
            "every PV that is archived is declared already", where="--write", do="nualley check lists what differs"
        )
    _write(path, _group_text(own.description or "Added while the archive ran", found), may_replace=may_replace)
    left = tuple(pending for pending in plan.pending() if pending.pv not in found)
    return WrittenGroup(path, tuple(found), left)


def _group_text(description: str, found: Mapping[str, PvPolicy]) -> str:
    lines = [f"description = {_toml(description)}", "", "[pv]"]
    lines += [
        f"{_toml(pv)} = {_toml(policy.model_dump(mode='json', exclude_defaults=True))}" for pv, policy in found.items()
    ]
    text = "\n".join(lines) + "\n"
    # what is written here is read by every command from now on
    PvGroup.model_validate(tomllib.loads(text))
    return text


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    # JSON's texts and numbers are TOML's, but for DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(path: Path, text: str, *, may_replace: bool) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if may_replace:
            part.replace(path)
        else:
            os.link(part, path)  # never over a file that came meanwhile
            part.unlink()
        sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NualleyError(
            f"the group cannot be written: {reason(error)}", where=str(path), do="look at the folder's rights and room"
        ) from error


def told(pending: Iterable[Pending]) -> list[str]:
    """Return one line for each PV that is archived otherwise than declared."""
    return [f"{found.pv}: {found.what} ({found.change})" for found in pending]
