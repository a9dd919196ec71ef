"""What may be entered into the catalog over HTTP: flags, notes and tags, under the name of the token."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, TypeVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from nualley.app.remarks import change_tags, enter_flag, enter_note, take_flag_back
from nualley.app.site import Site
from nualley.catalog import API, Flag
from nualley.core import UsageError, parse_time_ns
from nualley.web.catalog_api import CatalogService

_Text = Annotated[str, Field(min_length=1, max_length=10_000)]
_Whole = Annotated[int, Field(ge=0, lt=2**63)]
_Pair = tuple[_Whole, _Whole]
_Body = TypeVar("_Body", bound=BaseModel)


class _Posted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    author: str = Field(default="", max_length=200, description="Who says so, beside the name of the token.")


class _PostedFlag(_Posted):
    detector: _Text
    name: _Text
    reason: _Text
    start: str | None = None
    stop: str | None = None
    runs: Annotated[_Pair, Field(strict=False)] | None = None
    blocks: Annotated[_Pair, Field(strict=False)] | None = None
    supersedes: _Whole | None = None


class _PostedWithdrawal(_Posted):
    reason: _Text


class _PostedNote(_Posted):
    text: _Text


class _PostedTags(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    add: list[_Text] = []
    remove: list[_Text] = []


def add_catalog_changes(app: FastAPI, service: CatalogService) -> None:
    """Register what enters something into the catalog.

    Parameters
    ----------
    app : FastAPI
        The application.
    service : CatalogService
        Who carries it out.
    """

    @app.post(f"{API}/flags", summary="A flag of runs or of a stretch of time, for good", status_code=201)
    async def flag(request: Request) -> Response:
        return await service.change(request, _enter_flag)

    @app.post(f"{API}/flags/{{flag_id}}/withdrawal", summary="A flag is taken back, and stays", status_code=201)
    async def withdrawal(request: Request, flag_id: int) -> Response:
        def take_back(site: Site, owner: str, body: object) -> Mapping[str, object]:
            posted = _read(_PostedWithdrawal, body)
            author = _author(posted, owner)
            return {"flag": take_flag_back(site, flag_id, reason=posted.reason, author=author).to_json()}

        return await service.change(request, take_back)

    @app.post(f"{API}/runs/{{run_id}}/notes", summary="A note to a run, for good", status_code=201)
    async def note(request: Request, run_id: str) -> Response:
        def enter(site: Site, owner: str, body: object) -> Mapping[str, object]:
            posted = _read(_PostedNote, body)
            return {"note": asdict(enter_note(site, run_id, posted.text, author=_author(posted, owner)))}

        return await service.change(request, enter)

    @app.post(f"{API}/runs/{{run_id}}/tags", summary="Tags that a run gets or loses", status_code=201)
    async def tags(request: Request, run_id: str) -> Response:
        def change(site: Site, owner: str, body: object) -> Mapping[str, object]:  # noqa: ARG001  # tags have no author
            posted = _read(_PostedTags, body)
            found = change_tags(site, run_id, add=posted.add, remove=posted.remove)
            return {"run_id": found.run_id, "tags": found.tags}

        return await service.change(request, change)


def _enter_flag(site: Site, owner: str, body: object) -> Mapping[str, object]:
    posted = _read(_PostedFlag, body)
    now_ns = site.clock.now_ns()
    first_run, last_run = posted.runs or (None, None)
    first_block, last_block = posted.blocks or (None, None)
    entered = enter_flag(
        site,
        Flag(
            detector=posted.detector,
            name=posted.name,
            start_ns=None if posted.start is None else parse_time_ns(posted.start, now_ns, "start"),
            stop_ns=None if posted.stop is None else parse_time_ns(posted.stop, now_ns, "stop"),
            first_run=first_run,
            last_run=last_run,
            first_block=first_block,
            last_block=last_block,
            reason=posted.reason,
            author=_author(posted, owner),
            supersedes=posted.supersedes,
        ),
        where="detector",
    )
    return {"flag": entered.to_json()}


def _author(posted: _Posted, owner: str) -> str:
    # whose token it was stays in the record, whoever is said to have sent it
    return f"{posted.author.strip()} ({owner})" if posted.author.strip() else owner


def _read(model: type[_Body], body: object) -> _Body:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors()[0]
        key = ".".join(map(str, found["loc"])) or "body"
        raise UsageError(
            f"{key}: {found['msg']}", where="body", do=f"send an object with {', '.join(model.model_fields)}"
        ) from None
