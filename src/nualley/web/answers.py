"""What is answered in JSON."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from nualley.core import ExitCode, NualleyError, dump_json, to_json
from nualley.web.models import Status

_CODES = {ExitCode.USAGE: 400, ExitCode.UNREACHABLE: 503}


def status_json(status: Status) -> dict[str, Any]:
    """Return the status as a JSON object; every time also has its age.

    Parameters
    ----------
    status : Status
        What the page says.

    Returns
    -------
    dict
        The fields of `Status`; beside ``time_ns`` of the power and of each value stands ``age_s``.
    """
    found: dict[str, Any] = to_json(status)
    for row in (found["beam"], *found["values"]["rows"]):
        row["age_s"] = None if row["time_ns"] is None else (status.time_ns - row["time_ns"]) / 1e9
    return found


class StrictJsonResponse(Response):
    """An answer in JSON that every parser reads."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes of the answer."""
        return dump_json(content).encode()


def refused(error: NualleyError, code: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as an answer.

    Parameters
    ----------
    error : NualleyError
        What is wrong.
    code : int, optional
        The HTTP status; by default 400 where the question is wrong, 503 where somebody does not answer, else 500.
    headers : mapping, optional
        Further headers.
    """
    if code is None:
        # what another process raised comes with its exit code alone
        code = _CODES.get(error.exit_code, 500)
    return StrictJsonResponse({"error": error.to_json()}, status_code=code, headers=headers)
