"""Changing what is archived as clients of an Archiver Appliance ask for it: one PV or many, each told by itself."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from nualley.app.appliance import Appliance, checked_name
from nualley.archive import Verb
from nualley.core import ExitCode, NualleyError, UsageError
from nualley.web.appliance_words import names_of

Told = dict[str, Any]
T = TypeVar("T")


def expanded(appliance: Appliance, names: list[str]) -> list[str]:
    """Return names with those that have wildcards replaced by what they match, each once.

    Parameters
    ----------
    appliance : Appliance
        The archive.
    names : list of str
        As they were asked for; none is looked at.
    """
    known: list[str] = []
    for name in names:
        known += appliance.matching(name, is_glob=True) if "*" in name or "?" in name else [name]
    return list(dict.fromkeys(known))


def wishes_of(request: Request, body: bytes) -> list[Mapping[str, Any]]:
    """Return the PVs that archivePV is asked for, each with its options.

    Parameters
    ----------
    request : Request
        The question; its parameters are those of every PV that it names.
    body : bytes
        What was posted: a JSON list of objects, or names.

    Raises
    ------
    UsageError
        Where it names none.
    """
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{body[:40]!r} is no JSON", where="body", do='post [{"pv": "NAME"}]') from error
        wishes = found if isinstance(found, list) else [found]
        if not all(isinstance(wish, dict) and isinstance(wish.get("pv"), str) for wish in wishes):
            raise UsageError("a list of other things than PVs", where="body", do='post [{"pv": "NAME"}]')
        return wishes
    names = names_of(body, request.query_params.get("pv", ""))
    if not names:
        raise UsageError("no pv", where="archivePV", do="add ?pv=NAME")
    return [{**request.query_params, "pv": name} for name in names]


def archive_all(appliance: Appliance, wishes: Sequence[Mapping[str, Any]], note: str) -> list[Told]:
    """Archive PVs, and return what became of each.

    Parameters
    ----------
    appliance : Appliance
        The archive.
    wishes : sequence of mapping
        As `wishes_of` returns them.
    note : str
        Who asks.

    Raises
    ------
    NualleyError
        Where there is one alone, and it cannot be; or as `one_by_one`.
    """
    if len(wishes) == 1:
        return [_archive(appliance, wishes[0], note)]
    return one_by_one(wishes, lambda wish: str(wish["pv"]), lambda wish: _archive(appliance, wish, note))


def change_all(appliance: Appliance, what: tuple[Verb, str], asked: tuple[bytes, str], note: str) -> Told | list[Told]:
    """Pause or resume PVs, and return what became of each: one row where one was asked for by its name.

    Parameters
    ----------
    appliance : Appliance
        The archive.
    what : tuple of Verb and str
        What to do, and what to say of a PV with which it was done.
    asked : tuple of bytes and str
        What was posted, and the parameter pv.
    note : str
        Who asks.

    Raises
    ------
    NualleyError
        Where no PV was named, or one alone that can be none; or as `one_by_one`.
    """
    body, text = asked
    names = names_of(body, text)
    if not names:
        raise UsageError("no pv", where="pv", do="add ?pv=NAME")
    is_one = not body and not any(mark in text for mark in ",*?")
    if is_one:
        checked_name(names[0])
    wanted = expanded(appliance, names)
    known = appliance.known_names(wanted)
    rows = one_by_one(wanted, str, lambda pv: _pause(appliance, what, (pv, known[pv]), note))
    return rows[0] if is_one else rows


def one_by_one(wishes: Sequence[T], pv_of: Callable[[T], str], change: Callable[[T], Told]) -> list[Told]:
    """Change what is archived, wish by wish: what is refused is told in its place, and keeps no other from being done.

    Parameters
    ----------
    wishes : sequence
        What is asked for.
    pv_of : callable
        Says of which PV a wish is.
    change : callable
        Does what is asked for, and says so.

    Raises
    ------
    NualleyError
        Where the archive cannot be asked at all, with the first wish; or where the only one fails and is not refused.
    """
    rows: list[Told] = []
    for number, wish in enumerate(wishes):
        try:
            rows.append(change(wish))
        except NualleyError as error:
            is_gone = error.exit_code is ExitCode.UNREACHABLE
            if not number and (is_gone or (len(wishes) == 1 and error.exit_code is not ExitCode.USAGE)):
                raise
            rows.append(_refused(pv_of(wish), error))
            if is_gone:  # each of the others would wait as long
                left = NualleyError(f"not tried: {error.what}", where=error.where, do=error.do)
                left.exit_code = error.exit_code
                return rows + [_refused(pv_of(later), left) for later in wishes[number + 1 :]]
    return rows


def _refused(pv: str, error: NualleyError) -> Told:
    return {"pvName": pv, "validation": f"{error.what}: {error.do}", "error": error.to_json()}


def _archive(appliance: Appliance, wish: Mapping[str, Any], note: str) -> Told:
    pv = wish["pv"]
    plan = appliance.plan()
    if plan.policy(plan.known_as(checked_name(pv))) is not None:
        return {"pvName": pv, "status": "Already submitted"}
    appliance.change(Verb.ADD, pv, policy=_policy(wish), note=note)
    return {"pvName": pv, "status": "Archive request submitted"}


def _policy(wish: Mapping[str, Any]) -> dict[str, object]:
    method = str(wish.get("samplingmethod") or "MONITOR")
    if method not in ("MONITOR", "SCAN"):
        what = f"samplingmethod is {method[:20]!r}, expected MONITOR or SCAN"
        raise UsageError(what, where="samplingmethod", do="write one of them")
    policy: dict[str, object] = {}
    if method == "SCAN":
        policy |= {"mode": "scan", "period_s": _seconds(str(wish.get("samplingperiod") or "1.0"))}
    if wish.get("controllingPV"):
        policy["only_while"] = checked_name(str(wish["controllingPV"]))
    return policy


def _seconds(text: str) -> float:
    try:
        return float(text[:20])
    except ValueError:
        what = f"samplingperiod is {text[:20]!r}, expected a number"
        raise UsageError(what, where="samplingperiod", do="write seconds, such as 1.0") from None


def _pause(appliance: Appliance, what: tuple[Verb, str], names: tuple[str, str], note: str) -> Told:
    (verb, done), (asked, pv) = what, names
    made = appliance.change(verb, pv, note=note)
    applied = "now" if made.is_live else "at the archive's next start"
    desc = f"{done} {pv}, {applied}"
    return {"pvName": asked, "status": "ok", "engine_pvName": pv, "engine_status": "ok", "desc": desc}
