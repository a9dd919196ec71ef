"""Logs that cannot be written cost nothing else."""

import errno
import io
import json
import sys

import pytest
import structlog

from nualley.app.logs import configure_logs, for_people


class Broken(io.StringIO):
    """A terminal that was closed, or a file on a full drive."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def own_logs():
    before = structlog.get_config()
    yield
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)


def test_a_process_goes_on_when_its_logs_cannot_be_written(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken())
    configure_logs("archive")
    structlog.get_logger().error("commit failed", what="no room")


def test_machines_read_json_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs("web")
    try:
        int("wrong")
    except ValueError:
        structlog.get_logger().exception("look failed", part="drives")
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["event"], found["role"], found["part"], found["level"]) == ("look failed", "web", "drives", "error")
    assert "ValueError: invalid literal" in found["exception"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_people_at_a_terminal_read_errors_in_three_lines(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logs("up")
    structlog.get_logger().error(
        "web DOES NOT RUN",
        what="port 9 is taken",
        where="",
        do="choose another",
        still_run=["archive", "worker"],
        name="a\x1b[2J\nb",
    )
    first, *others = stream.getvalue().splitlines()
    assert first.endswith("Z up       ERROR web DOES NOT RUN (still_run archive and worker, name a\\x1b[2J\\nb)")
    assert others == ["          what: port 9 is taken", "          do: choose another"]


def test_a_traceback_keeps_its_lines_and_marks_have_their_colour(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    event = {"event": "look failed", "level": "error", "role": "web", "exception": "Traceback:\n  line 3"}
    assert for_people(None, "error", event).splitlines()[1:] == ["Traceback:", "  line 3"]
    assert "\x1b[1;31mERROR \x1b[0mlook failed" in for_people(None, "error", event)
