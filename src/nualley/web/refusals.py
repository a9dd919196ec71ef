"""What the framework itself refuses, said as we say it: no such address, another method, parameters that do not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nualley.core import NualleyError, UsageError, nearest
from nualley.web.answers import refused

ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["what", "where", "do", "code"],
            "properties": {
                "what": {"type": "string"},
                "where": {"type": "string"},
                "do": {"type": "string"},
                "code": {"type": "integer"},
            },
        }
    },
}
"""What every refusal is, as JSON Schema."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "What is wrong, where, and what to do",
        "content": {"application/json": {"schema": ERROR_SCHEMA}},
    }
}
"""The same for the description of the API, in the place of what the framework would say there."""

_LONGEST = 100
_DESCRIPTION = "/api/openapi.json"


def add_refusals(app: FastAPI) -> None:
    """Let an application say what it refuses as JSON with what, where and do.

    Parameters
    ----------
    app : FastAPI
        The application.
    """

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        return refused(_told(request, error, _paths(app)), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_words(request: Request, error: RequestValidationError) -> Response:
        return refused(_mistake(error.errors()[0], request.url.path))


def _paths(app: FastAPI) -> list[str]:
    return [str(getattr(route, "path", "")) for route in app.routes]


def _told(request: Request, error: HTTPException, paths: Sequence[str]) -> NualleyError:
    path, method = request.url.path[:_LONGEST], request.method[:_LONGEST]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return UsageError(f"{method} of {path!r}", where="method", do=f"use {allowed or 'another method'}")
    if error.status_code == 404:
        near = next((known for known in paths if known.startswith(f"{path}.")), "") or nearest(path, paths)
        do = f"did you mean {near!r}?" if near and near != path else f"GET {_DESCRIPTION} lists what there is"
        return UsageError(f"there is nothing at {path!r}", where="address", do=do)
    return UsageError(str(error.detail)[:_LONGEST], where=path, do=f"GET {_DESCRIPTION} tells what can be asked")


def _mistake(found: Mapping[str, Any], path: str) -> UsageError:
    name = str(found["loc"][-1])[:_LONGEST]
    if found["type"] == "missing":
        return UsageError(f"no {name}", where=path, do=f"add ?{name}={name.upper()}")
    what = f"{name} is {str(found['input'])[:_LONGEST]!r}: {found['msg']}"
    return UsageError(what, where=name, do=f"GET {_DESCRIPTION} tells what can be asked")
