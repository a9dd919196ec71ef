"""``/mgmt``: what is archived and how it stands; with a token, also changing it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from nualley.app.appliance import Appliance, checked_name
from nualley.app.appliance_reports import REPORTS, details, facts, status
from nualley.archive import ChangeRefusedError, Verb
from nualley.core import NualleyError, UsageError
from nualley.web.answers import StrictJsonResponse
from nualley.web.appliance_retrieval import VERSION, known_info, matching_names
from nualley.web.appliance_service import ApplianceService, asked_or_posted, body_of, refusal
from nualley.web.appliance_words import names_of, number_of
from nualley.web.errors import NotAllowedError
from nualley.web.ports import Site
from nualley.web.tokens import Tokens

_MOST_ROWS = 1_000_000


def add_mgmt_routes(app: FastAPI, service: ApplianceService, site: Site) -> None:
    """Register what answers at ``/mgmt``.

    Parameters
    ----------
    app : FastAPI
        The application.
    service : ApplianceService
        Who answers.
    site : Site
        Its settings name the file of the tokens.
    """

    @app.get("/mgmt/bpl/getAllPVs", summary="Names of archived PVs: pv (with * and ?) or regex, limit")
    async def get_all(request: Request) -> Response:
        return await service.ask(lambda appliance: matching_names(appliance, request))

    @asked_or_posted(app, "/mgmt/bpl/getPVStatus", summary="How PVs stand")
    async def get_status(request: Request) -> Response:
        try:
            names = names_of(await body_of(request), request.query_params.get("pv", ""))
        except NualleyError as error:
            return refusal(error)
        return await service.ask(
            lambda appliance: [status(found) for found in facts(appliance, expanded(appliance, names))]
        )

    @app.get("/mgmt/bpl/getPVTypeInfo", summary="How a PV is archived")
    async def get_type_info(pv: str) -> Response:
        return await service.ask(lambda appliance: known_info(appliance, pv))

    @app.get("/mgmt/bpl/getPVDetails", summary="All that is known of a PV")
    async def get_details(pv: str) -> Response:
        def answer(appliance: Appliance) -> object:
            known_info(appliance, pv)
            (found,) = facts(appliance, [pv])
            return details(found, appliance)

        return await service.ask(answer)

    @app.get("/mgmt/bpl/getVersions", summary="Who answers")
    async def get_versions() -> Response:
        return StrictJsonResponse({"mgmt_version": VERSION, "retrieval_version": VERSION})

    for name in REPORTS:
        _add_report(app, service, name)
    _add_changes(app, service, Tokens(site.configuration.web.manage_tokens_file))


def _add_report(app: FastAPI, service: ApplianceService, name: str) -> None:
    @app.get(f"/mgmt/bpl/{name}", summary=f"Report {name}", name=name)
    async def report(limit: str = "-1") -> Response:
        def answer(appliance: Appliance) -> object:
            most = number_of(limit, "limit", least=-1, most=_MOST_ROWS)
            rows = REPORTS[name](appliance)
            return rows if most < 0 else rows[:most]

        return await service.ask(answer)


def expanded(appliance: Appliance, names: list[str]) -> list[str]:
    """Return names with those that have wildcards replaced by what they match, each once."""
    known: list[str] = []
    for name in names:
        if "*" in name or "?" in name:
            known += appliance.matching(name, is_glob=True)
        else:
            checked_name(name)
            known.append(name)
    return list(dict.fromkeys(known))


# ------------------------------------------------------------------ with a token
def _add_changes(app: FastAPI, service: ApplianceService, tokens: Tokens) -> None:
    async def changed(request: Request, answer: Callable[[Appliance, bytes, str], object]) -> Response:
        try:
            who = _manager(tokens, request)
            body = await body_of(request)
        except NualleyError as error:
            return refusal(error)
        return await service.ask(lambda appliance: answer(appliance, body, f"over HTTP by {who}"))

    @asked_or_posted(app, "/mgmt/bpl/archivePV", summary="Archive PVs; needs a token")
    async def archive(request: Request) -> Response:
        def answer(appliance: Appliance, body: bytes, note: str) -> object:
            return [_archive(appliance, wish, note) for wish in _wishes(request, body)]

        return await changed(request, answer)

    def add_pausing(path: str, verb: Verb, done: str) -> None:
        @asked_or_posted(app, path, summary=f"{verb.capitalize()} archiving PVs; needs a token")
        async def change(request: Request) -> Response:
            def answer(appliance: Appliance, body: bytes, note: str) -> object:
                text = request.query_params.get("pv", "")
                names = names_of(body, text)
                if not names:
                    raise UsageError("no pv", where="pv", do="add ?pv=NAME")
                rows = [_pause(appliance, verb, pv, done, note) for pv in expanded(appliance, names)]
                is_one = not body and not any(mark in text for mark in ",*?")
                return rows[0] if is_one else rows

            return await changed(request, answer)

    add_pausing("/mgmt/bpl/pauseArchivingPV", Verb.PAUSE, "Successfully paused the archiving of PV")
    add_pausing("/mgmt/bpl/resumeArchivingPV", Verb.RESUME, "Successfully resumed the archiving of PV")


def _manager(tokens: Tokens, request: Request) -> str:
    if not tokens.are_kept:
        raise NotAllowedError(
            "nobody may change over HTTP what is archived",
            where="experiment.toml",
            do="set web.manage_tokens_file and restart web, or use nualley archive add, pause, resume",
        )
    who = tokens.owner(request.headers.get("authorization", ""))
    if who is None:
        raise NotAllowedError(
            "no token, or one that is not known", where="Authorization", do='send "Authorization: Bearer TOKEN"'
        )
    return who


def _wishes(request: Request, body: bytes) -> list[Mapping[str, Any]]:
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


def _archive(appliance: Appliance, wish: Mapping[str, Any], note: str) -> dict[str, str]:
    pv = checked_name(wish["pv"])
    if appliance.plan().policy(pv) is not None:
        return {"pvName": pv, "status": "Already submitted"}
    appliance.change(Verb.ADD, wish["pv"], policy=_policy(wish), note=note)
    return {"pvName": pv, "status": "Archive request submitted"}


def _policy(wish: Mapping[str, Any]) -> dict[str, object]:
    method = str(wish.get("samplingmethod") or "MONITOR")
    if method not in ("MONITOR", "SCAN"):
        raise UsageError(f"{method[:20]!r}", where="samplingmethod", do="write MONITOR or SCAN")
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
        raise UsageError(f"{text[:20]!r}", where="samplingperiod", do="write seconds, such as 1.0") from None


def _pause(appliance: Appliance, verb: Verb, pv: str, done: str, note: str) -> dict[str, str]:
    try:
        made = appliance.change(verb, pv, note=note)
    except ChangeRefusedError as error:
        return {"pvName": pv, "validation": f"{error.what}: {error.do}"}
    applied = "now" if made.is_live else "at the archive's next start"
    return {"pvName": pv, "status": "ok", "engine_pvName": pv, "engine_status": "ok", "desc": f"{done} {pv}, {applied}"}
