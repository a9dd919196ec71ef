"""Structured logs on stderr: lines for a person at a terminal, JSON for machines."""

import logging
import sys

import structlog


def configure_logs(role: str, *, level: int = logging.INFO) -> None:
    """Set the process's logs up.

    Parameters
    ----------
    role : str
        Stands in every line.
    level : int
        Lowest level that is written, as `logging` numbers it.
    """
    is_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(role=role)
