"""Values pushed over HTTP: taken from programs that have a token, answered once they are durable."""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from nualley.core import NualleyError
from nualley.pv import PushFormError, read_push
from nualley.web.allowance import Allowance
from nualley.web.answers import StrictJsonResponse, refused
from nualley.web.bodies import read_json
from nualley.web.errors import NotAllowedError, TokensError, TooLargeError
from nualley.web.ports import Site
from nualley.web.tokens import Tokens

PATH = "/api/archive/push"


class PushService:
    """Takes pushes over HTTP.

    Parameters
    ----------
    site : Site
        Whose archive they go to.
    """

    def __init__(self, site: Site) -> None:
        settings = site.configuration.web
        self._site = site
        self._most_B = settings.push_size_B
        self._tokens = Tokens(settings.push_tokens_file)
        self._allowance = Allowance(settings.push_rate_Hz, site.clock)

    async def take(self, request: Request) -> Response:
        """Take a push, and answer what became of it."""
        try:
            pusher = self._pusher(request)
            body = await read_json(request, self._most_B, "send less at a time, or web.push_size_B")
            push = read_push(body, self._site.clock.now_ns())
            wait_s = self._allowance.wait_s(pusher, len(push.samples))
            if wait_s > 0:
                return _too_many(len(push.samples), wait_s, self._allowance.rate_Hz)
            done = await self._site.push(push, pusher)
        except NotAllowedError as error:
            return refused(error, 401, {"WWW-Authenticate": "Bearer"})
        except TokensError as error:
            return refused(error, 500)
        except TooLargeError as error:
            return refused(error, 413)
        except NualleyError as error:
            return refused(error)
        # samples that are not taken must not look like a success to who does not read the answer
        left = {"error": _not_all(done).to_json()} if done["refused"] else {}
        return StrictJsonResponse({**done, **left}, status_code=422 if left else 200)

    def _pusher(self, request: Request) -> str:
        if not self._tokens.are_kept:
            raise NotAllowedError(
                "nobody may push values here", where="experiment.toml", do="set web.push_tokens_file, restart web"
            )
        pusher = self._tokens.owner(request.headers.get("authorization", ""))
        if pusher is None:
            raise NotAllowedError(
                "no token, or one that is not known", where="Authorization", do='send "Authorization: Bearer TOKEN"'
            )
        return pusher


def _not_all(done: Mapping[str, Any]) -> PushFormError:
    pvs = [row["pv"] for row in done["refused"]]
    return PushFormError(
        f"{len(pvs)} {'PVs were' if len(pvs) > 1 else 'PV was'} not taken",
        where=", ".join(pvs[:5]),
        do="refused says of each why",
    )


def _too_many(n: int, wait_s: float, rate_Hz: float) -> Response:  # the unit
    error = PushFormError(
        f"{n} samples are more than {rate_Hz:g} a second",
        where="web.push_rate_Hz",
        do=f"send them again after {wait_s:.1f} s",
    )
    return refused(error, 429, {"Retry-After": str(math.ceil(wait_s))})


def add_push_route(app: FastAPI, site: Site) -> None:
    """Register what takes pushes.

    Parameters
    ----------
    app : FastAPI
        The application.
    site : Site
        Whose archive they go to.
    """
    service = PushService(site)

    @app.post(
        PATH, summary="Samples of PVs that are archived by http: received, stored, filtered, quarantined, refused"
    )
    async def push(request: Request) -> Response:
        return await service.take(request)
