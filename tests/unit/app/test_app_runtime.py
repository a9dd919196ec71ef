"""The live bus of a store has an address of its own, and costs no data where it has none."""

import asyncio
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nualley.app import runtime
from nualley.app.roles import SilentPublisher, open_publisher
from nualley.app.runtime import bus_endpoint
from nualley.core import LONGEST_SOCKET_B, ConfigurationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    short = tmp_path / "s"
    short.mkdir()
    monkeypatch.setattr("nualley.core.files._SHORT", short)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_each_store_has_its_own_address_that_only_this_user_opens(folder):
    one, other = bus_endpoint(folder / "one"), bus_endpoint(folder / "other")
    assert one != other == bus_endpoint(folder / "other")
    ours = Path(one.removeprefix("ipc://")).parent
    assert (ours.parent, ours.name) == (folder, f"nualley-{os.getuid()}")
    assert ours.stat().st_mode & 0o777 == 0o700


def test_a_long_path_is_left_for_a_short_one(folder, monkeypatch):
    long = folder / ("x" * LONGEST_SOCKET_B)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert bus_endpoint(folder).startswith(f"ipc://{folder / 's'}/nualley-")


def test_an_empty_variable_is_none(folder, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(folder))
    assert bus_endpoint(folder).startswith(f"ipc://{folder}/nualley-")


def test_a_folder_that_others_can_open_costs_the_bus_and_not_the_archive(folder):
    ours = folder / f"nualley-{os.getuid()}"
    ours.mkdir()
    ours.chmod(0o755)
    with pytest.raises(ConfigurationError, match="with mode 755, expected"):
        bus_endpoint(folder)
    with capture_logs() as logs:
        publisher = open_publisher(folder)
    assert isinstance(publisher, SilentPublisher)
    publisher.publish("archive", {})
    asyncio.run(publisher.close())
    (log,) = logs
    assert (log["event"], log["log_level"]) == ("NO LIVE VALUES; the archive goes on", "error")
    assert "expected" in log["what"]
    assert "XDG_RUNTIME_DIR" in log["do"]
