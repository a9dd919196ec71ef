"""What the log of the process that archives says of a change."""

import asyncio

import pytest
from structlog.testing import capture_logs

from nualley.app.archive import open_archive_writer
from nualley.app.archive_plan import read_plan
from nualley.app.change_desk import ChangeDesk
from nualley.app.site import Site
from nualley.config import load
from nualley.core import SystemClock
from nualley.pv.adapters.push import PushSource
from tests.web.bench import write_experiment


@pytest.mark.parametrize(
    ("policy", "note", "line"),
    [
        ({}, "", {"event": "add LAB:X", "who": "mira"}),
        (
            {"mode": "scan", "period_s": 5},
            "drifts",
            {
                "event": "add LAB:X",
                "who": "mira",
                "note": "drifts",
                "policy": "protocol = http, mode = scan, period_s = 5.0",
            },
        ),
    ],
)
def test_a_change_is_told_in_words(tmp_path, policy, note, line):
    site = Site(load(write_experiment(tmp_path), {"NUALLEY_STORE": str(tmp_path / "store")}))
    writer = open_archive_writer(site.archive_folder)
    desk = ChangeDesk(read_plan(site), writer.recorder, [PushSource(SystemClock())], SystemClock())
    fields = {"verb": "add", "pv": "LAB:X", "policy": {"protocol": "http", **policy}, "who": "mira", "note": note}
    with capture_logs() as lines:
        asyncio.run(desk.change(fields))
    writer.close()
    (told,) = [each for each in lines if "LAB:X" in each["event"]]
    assert {key: text for key, text in told.items() if key != "log_level"} == {"policy": "protocol = http", **line}
