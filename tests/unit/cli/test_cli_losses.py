"""What the archive has lost is said beside every answer that had to be given without it."""

import json
import time
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.pv import Connection, Sample, ValueType


class Writing:
    """Writes a commit with one sample at each call."""

    def __init__(self, folder: Path) -> None:
        self.writer = open_archive_writer(folder)
        self.is_open = True

    def __call__(self, value: float) -> None:
        now_ns = time.time_ns()
        self.writer.recorder.receive(Connection("P", True, "127.0.0.1:5064", now_ns, now_ns, "ca"))
        self.writer.recorder.receive(Sample("P", now_ns, value, ValueType.FLOAT64, 0, 0, "ca", now_ns))
        self.writer.recorder.commit()

    def end(self) -> None:
        if self.is_open:
            self.writer.log.close()
        self.is_open = False


@pytest.fixture
def writes(experiment: Path):
    writing = Writing(open_site(experiment).archive_folder)
    yield writing
    writing.end()


COMMANDS = [
    ("archive", "pvs"),
    ("archive", "last", "P"),
    ("archive", "get", "P"),
    ("beam", "exposure"),
    ("beam", "ledger"),
    ("beam", "plot", "--out", "beam.svg"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_answer_without_what_is_lost_is_given_and_says_so(writes, experiment, detector, capsys, words):
    for value in range(3):
        writes(float(value))
    assert main(words) == 0
    (path,) = (experiment / "store" / "archive" / "wal" / "0").glob("*.wal")
    path.write_bytes(path.read_bytes()[:-40])
    capsys.readouterr()
    assert main([*words, "--json"]) == 5
    said = capsys.readouterr()
    json.loads(said.out)
    assert "commits of the archive's log are lost (1), between 20" in said.err
    assert "nualley up archive keeps what is left" in said.err


def test_once_taken_over_it_is_a_gap_and_no_news(writes, experiment, capsys):
    for value in range(3):
        writes(float(value))
    (path,) = (experiment / "store" / "archive" / "wal" / "0").glob("*.wal")
    path.write_bytes(path.read_bytes()[:-40])
    writes.end()
    open_archive_writer(experiment / "store" / "archive").close()
    capsys.readouterr()
    assert main(["archive", "get", "P"]) == 0
    assert "gap" in capsys.readouterr().out
    assert main(["doctor"]) != 0
    assert "commits of the log are lost (1), the last before 20" in capsys.readouterr().out
