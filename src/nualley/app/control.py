"""Orders to a running process: one object of JSON a line, over a local socket that this user alone can open."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from nualley.app.errors import NoControlError, OrderError
from nualley.core import ExitCode, NualleyError, dump_json, end_tasks, nearest, reason

LONGEST_B = 32 * 2**20
"""An order or an answer has at most so many bytes."""

MOST_CLIENTS = 64
"""So many are served at a time."""

PATIENCE_S = 30.0
"""Who connects and says nothing is sent away after so long, and so is who does not read its answer [s]."""

_MODE = 0o600
_log = structlog.get_logger(__name__)

Orders: TypeAlias = Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]]


@contextlib.asynccontextmanager
async def control_socket(path: Path, orders: Orders) -> AsyncIterator[None]:
    """Take orders for the length of a ``with`` block.

    Parameters
    ----------
    path : Path
        The socket; what a dead process left there is replaced. The caller holds the role's lock and owns the folder.
    orders : mapping of str to coroutine function
        What can be ordered: each takes the order's fields and returns those of the answer; a `NualleyError` that it
        raises is the answer.

    Raises
    ------
    OSError
        Where the socket cannot be made.
    """
    clerk, listener = _Clerk(orders), _listener(path)
    server = await asyncio.start_unix_server(clerk.serve, sock=listener, limit=LONGEST_B)
    try:
        yield
    finally:
        server.close()
        await clerk.stop()
        _forget(path)


def _listener(path: Path) -> socket.socket:
    _forget(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(_MODE)  # nobody else is in the folder, and nobody is served before it listens
    except OSError:
        listener.close()
        raise
    return listener


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


class _Clerk:
    """Serves who connects, one order after the other."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= MOST_CLIENTS:
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._follow(reader, writer)
        except (OSError, TimeoutError) as error:  # who asked is gone
            _log.debug("control.gone", what=str(error))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            is_whole = True
            answer: Mapping[str, Any]
            try:
                line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
            except ValueError:
                is_whole, answer = False, {"error": _too_long().to_json()}
            else:
                if not line.endswith(b"\n"):  # nothing, or an order that was cut short
                    return
                answer = await self._answer(line)
            writer.write((dump_json(answer) + "\n").encode())
            await asyncio.wait_for(writer.drain(), PATIENCE_S)
            if not is_whole:
                return

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            order, fields = _order(line, self._orders)
            return {"done": await self._orders[order](fields)}
        except NualleyError as error:
            return {"error": error.to_json()}
        except Exception:  # noqa: BLE001  # the outermost loop of a service: one bad order must not end the archive
            _log.exception("order failed")
            do = "look into the log of this process, and report it"
            return {"error": NualleyError("the order failed for a reason that nobody foresaw", do=do).to_json()}

    async def stop(self) -> None:
        await end_tasks(self._tasks)


def _order(line: bytes, orders: Orders) -> tuple[str, Mapping[str, Any]]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OrderError(f"{line[:80]!r} is no order: {error}", do='send {"order": "...", ...} on one line') from error
    order = found.pop("order", None) if isinstance(found, dict) else None
    if not isinstance(order, str) or order not in orders:
        near = nearest(order, orders) if isinstance(order, str) else ""
        raise OrderError(
            f"{order!r} is no order of this process, expected one of {', '.join(orders)}",
            do=f"did you mean {near!r}?" if near else "both ends must be of one version of nualley",
        )
    return order, found


def _too_long() -> OrderError:
    return OrderError(f"an order of more than {LONGEST_B} B", do="send less at a time")


async def send_order(path: Path | str, order: str, fields: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Let a running process do something, and return its answer.

    Parameters
    ----------
    path : Path
        Its socket.
    order : str
        What to do.
    fields : mapping
        With what; JSON-able.
    timeout_s : float
        How long the answer may take [s].

    Returns
    -------
    dict
        The fields of the answer.

    Raises
    ------
    NoControlError
        Where nobody answers there, or not in time: then nothing is known of what became of the order.
    NualleyError
        What the process answered, in its words and with its exit code.
    """
    line = (dump_json({"order": order, **fields}) + "\n").encode()
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _exchange(path, line)
    except TimeoutError as error:
        raise NoControlError(
            f"the archive process did not answer within {timeout_s:g} s, and may still do what it was asked",
            where=str(path),
            do="nualley doctor says how it stands; then look, and ask again",
        ) from error
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise NoControlError(
            f"the archive process cannot be asked: {why}",
            where=str(path),
            do="ask as the account that runs it" if isinstance(error, PermissionError) else "nualley doctor",
        ) from error
    if "error" in answer:
        raise _told(answer["error"])
    return dict(answer["done"])


async def _exchange(path: Path | str, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=LONGEST_B)
    try:
        writer.write(line)
        await writer.drain()
        told = await reader.readline()
    finally:
        writer.close()
    if not told.endswith(b"\n"):
        raise ConnectionResetError(None, "it ended before it answered; the order may have been carried out")
    return dict(json.loads(told))


def _told(fields: Mapping[str, Any]) -> NualleyError:
    error = NualleyError(fields["what"], where=fields["where"], do=fields["do"])
    error.exit_code = ExitCode(fields["code"])
    return error
