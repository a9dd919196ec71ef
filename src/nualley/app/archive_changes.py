"""Changing what is archived: in the running process at once, or for its next start."""

import asyncio
import getpass
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from nualley.app.archive_plan import check_expression, read_plan
from nualley.app.control import send_order
from nualley.app.errors import NoControlError, OrderError, RoleTakenError
from nualley.app.locks import RoleState, hold_role, role_state
from nualley.app.site import Site
from nualley.archive import ArchiveMissingError, PvDefaults, PvPolicy, split_protocol
from nualley.archive.changes import LONGEST_TEXT, Change, Plan, Verb
from nualley.archive.names import without_protocol
from nualley.core import UsageError, refused_value, strict_text

ORDER = "change"
"""The order that carries a change."""

START_S = 10.0
"""A process that has just started gets so long until it takes orders [s]."""

ANSWER_S = 30.0
"""The answer to a change may take so long: the store's drive may be slow [s]."""

_RETRY_S = 0.05
_PERSONS = frozenset(Verb) - {Verb.SETTLE}


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is kept.

    Parameters
    ----------
    change : mapping
        Its fields, JSON-able.
    is_live : bool
        Whether the running archive follows it already; else its next start does.
    """

    change: Mapping[str, Any]
    is_live: bool

    @property
    def is_alias(self) -> bool:
        """Whether it was an alias that was taken away."""
        return bool(self.change["was_alias"])


def change_from(
    fields: Mapping[str, Any], now_ns: int, plan: Plan, is_stored: Callable[[str], bool] = lambda _: False
) -> Change:
    """Return a change as somebody asks for it.

    Parameters
    ----------
    fields : mapping
        ``verb``, ``pv``, ``name``, ``policy``, ``who`` and ``note``; of a policy only what is to be set.
    now_ns : int
        The time now [ns since 1970 UTC].
    plan : Plan
        What is archived: an option that is not given stays as it is there.
    is_stored : callable, optional
        Says whether the archive holds anything under a name.

    Raises
    ------
    OrderError
        Where the fields are not those of a change.
    """
    found = {key: fields.get(key, "") for key in ("verb", "pv", "name", "who", "note")}
    for key, value in found.items():
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise OrderError(
                f"{value!r:.60}, expected text of at most {LONGEST_TEXT} characters", where=key, do="shorten it"
            )
    verb = found.pop("verb")
    if verb not in _PERSONS:
        raise OrderError(f"{verb!r:.60}, expected one of {', '.join(sorted(_PERSONS))}", where="verb", do="mend it")
    if not found["pv"] or bool(found["name"]) != (verb in {Verb.RENAME, Verb.ALIAS}):
        raise OrderError(
            f"{verb} of {found['pv']!r} with the new name {found['name']!r}",
            where="pv, name",
            do="a rename and an alias need both, the others only pv",
        )
    found["pv"] = plan.known_as(found["pv"], is_stored)
    if (name := plan.known_as(found["name"], is_stored)) != found["pv"]:  # PV.VAL may become PV
        found["name"] = name
    policy = _policy(found["pv"], fields.get("policy", {}), plan) if verb == Verb.ADD else None
    return Change(verb=Verb(verb), time_ns=now_ns, policy=policy, **found)


def _policy(pv: str, given: object, plan: Plan) -> PvPolicy:
    try:
        return plan.with_options(pv, PvDefaults.model_validate(given))
    except ValidationError as error:
        raise _refused_policy(error) from None


def _refused_policy(error: ValidationError) -> OrderError:
    """Return what is wrong with a policy in the words of the command's options."""
    what, do = refused_value(error.errors()[0], "nualley archive add --help")
    return OrderError(what, where="nualley archive add", do=do)


def shown_change(change: Change, plan: Plan) -> dict[str, Any]:
    """Return a change that was not yet applied to a plan as a mapping that JSON carries."""
    policy = None if change.policy is None else change.policy.model_dump(mode="json", exclude_defaults=True)
    return {
        "verb": change.verb,
        "pv": change.pv,
        "name": change.name or None,
        "policy": policy,
        "time_ns": change.time_ns,
        "who": change.who,
        "note": change.note,
        "was_alias": change.verb is Verb.REMOVE and change.pv in plan.aliases.pv_by_alias,
        "changed": _changed(change, plan),
    }


def _changed(change: Change, plan: Plan) -> dict[str, dict[str, Any]]:
    """Return what an ``add`` changes of a PV that is archived: of each option what it was and is."""
    before = plan.policy(change.pv)
    if change.verb is not Verb.ADD or change.policy is None or before is None:
        return {}
    was, now = before.model_dump(mode="json"), change.policy.model_dump(mode="json")
    found = {key: {"was": was[key], "is": now[key]} for key in now if was[key] != now[key]}
    if plan.is_paused(change.pv):
        found["paused"] = {"was": True, "is": False}
    return found


# ------------------------------------------------------------------ from another process
def change_archive(site: Site, verb: Verb, pv: str, **others: Any) -> Changed:
    """Change what is archived, in the running process or for the next start.

    Parameters
    ----------
    site : Site
        The experiment.
    verb : Verb
        What to do.
    pv : str
        With which PV; of a rename the old name. ``pva://PV`` is the PV, and of an ``add`` its protocol.
    **others
        ``name``, ``policy`` (a mapping), ``note``; as `change_from` takes them.

    Returns
    -------
    Changed
        The change, durable.

    Raises
    ------
    NualleyError
        As `nualley.app.change_desk.ChangeDesk.change`; `NoControlError` where the process cannot be asked.
    """
    plan = read_plan(site).plan
    given = _without_protocol({"verb": verb, "pv": pv, "who": getpass.getuser(), **others}, plan)
    fields = {key: strict_text(value) if isinstance(value, str) else value for key, value in given.items()}
    change_from(fields, 0, plan)  # what is no change is refused before anybody is asked
    store, stop_s = site.configuration.store, time.monotonic() + START_S
    while True:
        state = role_state(store, "archive")
        try:
            if not state.is_held:
                return Changed(_change_without_process(site, fields), is_live=False)
            return Changed(_ask(state, fields), is_live=True)
        except (RoleTakenError, _NotYetError) as error:
            # a process that starts, or one that has just ended
            if time.monotonic() > stop_s:
                raise NoControlError(
                    f"the archive runs as {state.holder}, and takes no orders",
                    where=state.control or str(store / "run" / "archive.lock"),
                    do="look into its log, and start it again: nualley up archive",
                ) from error
        time.sleep(_RETRY_S)


def _without_protocol(given: Mapping[str, Any], plan: Plan) -> Mapping[str, Any]:
    """Return what is asked for with names alone: a protocol before one is an option of an ``add``."""
    verb, pv, name = given["verb"], given["pv"], given.get("name", "")
    protocol, bare = split_protocol(pv)
    if split_protocol(name)[0]:
        raise UsageError(
            f"{name} is a name with a protocol before it",
            where=f"archive {verb} {pv}",
            do=f"write {split_protocol(name)[1]}",
        )
    # an older version took the protocol for a part of the name: such a one can be taken away
    if not protocol or (verb is not Verb.ADD and (plan.policy(pv) is not None or pv in plan.aliases.pv_by_alias)):
        return given
    if verb is not Verb.ADD:
        return {**given, "pv": bare}
    try:
        bare, policy = without_protocol(pv, given.get("policy") or {})
    except UsageError as error:
        raise UsageError(error.what, where=f"archive {verb} {pv}", do=error.do) from None
    return {**given, "pv": bare, "policy": policy}


class _NotYetError(Exception):
    """Nobody takes orders at this moment."""


def _ask(state: RoleState, fields: Mapping[str, Any]) -> dict[str, Any]:
    if not state.control:
        raise _NotYetError
    try:
        return asyncio.run(send_order(state.control, ORDER, fields, timeout_s=ANSWER_S))
    except NoControlError as error:
        if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):  # nothing was sent
            raise _NotYetError from error
        raise


def _change_without_process(site: Site, fields: Mapping[str, Any]) -> dict[str, Any]:
    with hold_role(site.configuration.store, "archive", site.clock):
        kept = read_plan(site)
        is_stored = cache(lambda name: _is_stored(site, name))
        asked = change_from(fields, site.clock.now_ns(), kept.plan, is_stored)
        change = kept.plan.checked(asked, is_stored)
        check_expression(kept.plan, change)
        kept.file.append([change])
        return shown_change(change, kept.plan)


def _is_stored(site: Site, name: str) -> bool:
    try:
        record = site.archive().registry().by_name.get(name)
    except ArchiveMissingError:
        return False
    return record is not None and record.ledger.received > 0
