"""Bars of long work: where a person looks, with any name in them, and nowhere else."""

import io
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from nualley.cli.progress import copy_progress, count_progress, row_progress

ODD = "[/red] wave[0].dat"

Bars = Callable[..., AbstractContextManager[Callable[[str, int, int], None]]]


class Terminal(io.StringIO):
    """A text that a person looks at."""

    def isatty(self) -> bool:
        return True


def look(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let stderr be a terminal; not in a fixture, after which pytest sets its own."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "200"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


@pytest.mark.parametrize(
    ("bars", "text"),
    [
        (copy_progress, "1.0/3.0 KiB"),
        (row_progress, "1024/3072"),
        (count_progress, "1,024 files, 3,072 directories"),
    ],
)
def test_how_far_it_is_stands_on_a_terminal_whatever_the_name(
    bars: Bars, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = look(monkeypatch)
    with bars() as report:
        report(ODD, 1024, 3072)
    assert ODD in terminal.getvalue()
    assert text in terminal.getvalue()


@pytest.mark.parametrize("bars", [copy_progress, row_progress, count_progress])
def test_without_a_terminal_or_where_none_is_wanted_nothing_is_shown(
    bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = look(monkeypatch)
    with bars(is_shown=False) as report:
        report(ODD, 1, 3)
    assert terminal.getvalue() == ""
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with bars() as report:
        report(ODD, 1, 3)
    assert log.getvalue() == ""
