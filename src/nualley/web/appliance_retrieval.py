"""``/retrieval``: samples and names, as the Archiver Appliance's retrieval answers them."""

from collections.abc import Iterable, Iterator, Sequence

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from nualley import __version__
from nualley.app.appliance import Appliance, Stretch, check_form
from nualley.app.appliance_reports import facts, type_info
from nualley.archive import PvNotArchivedError
from nualley.core import NualleyError, UsageError
from nualley.web.answers import StrictJsonResponse
from nualley.web.appliance_service import ApplianceService, asked_or_posted, body_of, refusal
from nualley.web.appliance_words import names_of, number_of, period_ns, question_of, time_of
from nualley.web.ports import Site

VERSION = f"nualley {__version__}, answering as an Archiver Appliance"
MOST_NAMES = 1_000_000
_FEW_NAMES = 500
_FORMS_OF_SEVERAL = ("json", "qw", "raw")
_MEDIA = {
    "json": "application/json",
    "qw": "application/json",
    "raw": "application/x-protobuf",
    "csv": "text/csv",
    "txt": "text/plain; charset=utf-8",
}


def add_retrieval_routes(app: FastAPI, service: ApplianceService, site: Site) -> None:
    """Register what answers at ``/retrieval``.

    Parameters
    ----------
    app : FastAPI
        The application.
    service : ApplianceService
        Who answers.
    site : Site
        Its clock says what now is.
    """

    async def data(request: Request, form: str, posted: Sequence[str] = ()) -> Response:
        def answer(appliance: Appliance) -> Iterator[bytes]:
            return appliance.data(question_of(request.query_params, site.clock.now_ns(), posted), form)

        def damaged(appliance: Appliance) -> Iterable[str]:
            return appliance.damaged(question_of(request.query_params, site.clock.now_ns(), posted))

        return await service.stream(answer, _MEDIA.get(form, "application/json"), damaged)

    @app.get("/retrieval/data/getData.{form}", summary="Samples, as an Archiver Appliance gives them")
    async def get_data(request: Request, form: str) -> Response:
        return await data(request, form)

    @asked_or_posted(app, "/retrieval/data/getDataForPVs.{form}", summary="The same of several PVs, or of a list")
    async def get_data_for_pvs(request: Request, form: str) -> Response:
        try:
            # the appliance's forms of several PVs; the others are of one
            check_form(form, _FORMS_OF_SEVERAL, "getDataForPVs")
            posted = names_of(await body_of(request))
        except NualleyError as error:
            return refusal(error)
        return await data(request, form, posted)

    @app.post("/retrieval/data/getDataAtTime", summary="What PVs were at a moment")
    async def get_data_at_time(request: Request) -> Response:
        query, now_ns = request.query_params, site.clock.now_ns()
        try:
            names = names_of(await body_of(request), query.get("pv", ""))
            time_ns = time_of(query["at"], now_ns, "at") if query.get("at") else now_ns
            longest_ns = period_ns(query["searchPeriod"]) if query.get("searchPeriod") else None
        except NualleyError as error:
            return refusal(error)
        return await service.ask(
            lambda appliance: appliance.at(names, time_ns, longest_ns),
            lambda appliance: appliance.damaged_files(names, [Stretch(time_ns, time_ns + 1)]),
        )

    _add_names(app, service)


def _add_names(app: FastAPI, service: ApplianceService) -> None:
    @app.get("/retrieval/bpl/getMatchingPVs", summary="Names of PVs: pv (with * and ?) or regex, limit")
    async def get_matching(request: Request) -> Response:
        return await service.ask(lambda appliance: matching_names(appliance, request))

    @app.get("/retrieval/bpl/searchForPVsRegex", summary="Names of PVs that a regular expression matches, a line each")
    async def search(request: Request) -> Response:
        try:
            names = await service.do(lambda appliance: appliance.matching(_regex(request), is_glob=False))
        except NualleyError as error:
            return refusal(error)
        return PlainTextResponse("".join(f"{name}\n" for name in names))

    @app.get("/retrieval/bpl/getVersion", summary="Who answers")
    async def get_version() -> Response:
        return StrictJsonResponse({"retrieval_version": VERSION})

    @app.get("/retrieval/bpl/areWeArchivingPV", summary="Whether there is a history of a PV")
    async def are_we(pv: str) -> Response:
        def answer(appliance: Appliance) -> dict[str, str]:
            return {"status": str(appliance.known_names([pv])[pv] in set(appliance.names())).lower()}

        return await service.ask(answer)

    @app.get("/retrieval/bpl/getMetadata", summary="What is known of a PV")
    async def get_metadata(pv: str) -> Response:
        return await service.ask(lambda appliance: known_info(appliance, pv))


def _regex(request: Request) -> str:
    regex = request.query_params.get("regex", "")
    if not regex:
        raise UsageError("no regex", where="searchForPVsRegex", do="add ?regex=LAB:.*")
    return regex


def matching_names(appliance: Appliance, request: Request) -> list[str]:
    """Return the names that ``pv`` (with wildcards) or ``regex`` matches, as many as ``limit`` says.

    Parameters
    ----------
    appliance : Appliance
        The archive.
    request : Request
        The question; without both all names are meant, limit -1 means no limit.

    Raises
    ------
    UsageError
        Where a word makes no sense.
    """
    query = request.query_params
    limit = number_of(query.get("limit", str(_FEW_NAMES)), "limit", least=-1, most=MOST_NAMES)
    most = limit if limit > 0 else None
    if query.get("pv"):
        return appliance.matching(query["pv"], is_glob=True, most=most)
    if query.get("regex"):
        return appliance.matching(query["regex"], is_glob=False, most=most)
    return appliance.matching("*", is_glob=True, most=most)


def known_info(appliance: Appliance, pv: str) -> dict[str, str]:
    """Return how a PV is archived.

    Raises
    ------
    PvNotArchivedError
        Where nobody knows it.
    """
    (found,) = facts(appliance, [pv])
    info = type_info(found, appliance)
    if info is None:
        raise PvNotArchivedError(f"{pv[:40]!r} is not archived", where="pv", do="nualley archive pvs lists all")
    return info
