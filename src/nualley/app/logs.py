"""Structured logs on stderr: lines for a person at a terminal, JSON for machines."""

import contextlib
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog


class LogStream:
    """A stream of logs that costs nothing else when it fails.

    Parameters
    ----------
    stream : TextIO
        Where the logs go: a terminal that may be closed, a pipe whose reader may end, a file on a drive that may fill.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a line, if that is possible; a process that takes data goes on without it."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()


_MARKS = {"warning": ("WARNING ", "33"), "error": ("ERROR ", "1;31"), "critical": ("ERROR ", "1;31")}
_LINES = ("what", "where", "do")


def for_people(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return an event as a person at a terminal reads it.

    Parameters
    ----------
    _logger, _method : object
        Not used; structlog hands them to every processor.
    event : mapping
        With ``event``, ``timestamp`` [ISO 8601, UTC], ``level`` and ``role``.

    Returns
    -------
    str
        Time of day (UTC), process, what happened and its values in one line; what, where and do of an error in further
        ones.

    Examples
    --------
    >>> event = {"event": "archiving", "n_pvs": 3, "role": "archive", "timestamp": "2026-11-23T04:05:06Z"}
    >>> for_people(None, "info", event)
    '04:05:06Z archive  archiving (n_pvs 3)'
    """
    values = dict(event)
    role, level, time = (str(values.pop(key, "")) for key in ("role", "level", "timestamp"))
    head = _printable(values.pop("event"))
    traceback = str(values.pop("exception", ""))
    lines = [f"          {key}: {_printable(values.pop(key))}" for key in _LINES if values.get(key)]
    details = ", ".join(f"{key} {_printable(value)}" for key, value in values.items() if key not in _LINES)
    first = f"{time[11:19]}Z {role:8} {_mark(level)}{head}" + (f" ({details})" if details else "")
    return "\n".join([first, *lines, *traceback.splitlines()])


def _mark(level: str) -> str:
    mark, colour = _MARKS.get(level, ("", ""))
    return f"\x1b[{colour}m{mark}\x1b[0m" if colour and "NO_COLOR" not in os.environ else mark


def _printable(value: object) -> str:
    # names of files and PVs may hold anything, the terminal must not obey it
    text = " and ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "".join(found if found.isprintable() else repr(found)[1:-1] for found in text)


def configure_logs(role: str, *, level: int = logging.INFO) -> None:
    """Set the process's logs up.

    Parameters
    ----------
    role : str
        Stands in every line.
    level : int
        Lowest level that is written, as `logging` numbers it.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            for_people if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LogStream(sys.stderr))),
    )
    structlog.contextvars.bind_contextvars(role=role)
