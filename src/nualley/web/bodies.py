"""What is posted: read up to a limit, as strict JSON."""

import json
from typing import Any, NoReturn

from fastapi import Request

from nualley.core import UsageError
from nualley.web.errors import TooLargeError


async def read_body(request: Request, most_B: int, do: str) -> bytes:
    """Return the bytes of what was posted.

    Parameters
    ----------
    request : Request
        The question.
    most_B : int
        Bytes that it may have at most [B]; what lies behind them is not read.
    do : str
        What to do about one that has more.

    Raises
    ------
    TooLargeError
        Where it has more bytes.
    """
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > most_B:
            raise TooLargeError(f"a body of more than {most_B} B", where="body", do=do)
    return bytes(raw)


async def read_json(request: Request, most_B: int, do: str) -> Any:
    """Return what was posted.

    Parameters
    ----------
    request : Request
        The question.
    most_B : int
        Bytes that it may have at most [B]; what lies behind them is not read.
    do : str
        What to do about one that has more.

    Returns
    -------
    object
        As JSON has it.

    Raises
    ------
    TooLargeError
        Where it has more bytes.
    UsageError
        Where it is no strict JSON.
    """
    raw = await read_body(request, most_B, do)
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{raw[:40]!r} is no JSON: {error}", where="body", do="send strict JSON in UTF-8") from error


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of strict JSON")
