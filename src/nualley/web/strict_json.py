"""Values as strict JSON: ns stay integers, NaN and inf become null."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from nualley.web.models import Status


def plain(value: object) -> Any:
    """Return a value as JSON may carry it.

    Parameters
    ----------
    value : object
        Dataclasses, mappings, sequences, numbers, texts and None; of a dataclass, fields alone count.

    Returns
    -------
    object
        Made of None, bool, int, float, str, list and dict only.
    """
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, str) else value


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
    found: dict[str, Any] = plain(status)
    for row in (found["beam"], *found["values"]["rows"]):
        row["age_s"] = None if row["time_ns"] is None else (status.time_ns - row["time_ns"]) / 1e9
    return found


class StrictJsonResponse(Response):
    """An answer in JSON that every parser reads."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes of the answer."""
        text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")
