"""When a demo ends, and whether it owes an account."""

import signal

import pytest

from nualley.app.locks import hold_role
from nualley.app.stopping import Stop
from nualley.core import ExitCode, SystemClock
from nualley.demo.errors import DemoStoppedError
from nualley.demo.scenarios import Scenario
from nualley.demo.session import DemoSession

pytestmark = pytest.mark.enable_socket  # it reserves its port


@pytest.fixture
def session(tmp_path):
    found = DemoSession(tmp_path, seed=1, scenario=Scenario.NONE, progress=lambda *_: None, stop=Stop())
    found.world.start_ns = SystemClock().now_ns()
    yield found
    found._port.close()


def test_ctrl_c_is_how_a_demo_without_end_ends(session):
    session._stop.ask(signal.SIGINT)
    session.run(None)
    assert session.drain()


@pytest.mark.parametrize(
    ("seconds", "numbers"),
    [
        (60.0, [signal.SIGINT]),
        (None, [signal.SIGTERM]),
        (None, [signal.SIGHUP]),
        (None, [signal.SIGINT, signal.SIGINT]),
    ],
)
def test_whoever_else_stops_it_gets_no_account(session, seconds, numbers):
    for number in numbers:
        session._stop.ask(number)
    with pytest.raises(DemoStoppedError, match="the demo was stopped while the DAQs took data") as caught:
        session.run(seconds)
    assert caught.value.exit_code is ExitCode.STOPPED
    assert "the first Ctrl-C ends it with its account" in caught.value.do


def test_asked_again_it_does_not_wait_for_the_last_files(session, monkeypatch):
    session._stop.ask(signal.SIGINT)
    session.run(None)
    monkeypatch.setattr(session, "_is_drained", lambda: bool(session._stop.ask(signal.SIGINT)))
    with pytest.raises(DemoStoppedError, match="stopped while its last files were taken in"):
        session.drain()


def test_the_address_is_what_the_web_process_of_its_store_says(session):
    assert session.url is None
    assert not session._has_page(), "somebody else may answer at the port"
    with hold_role(session.site.configuration.store, "web") as held:
        assert not session._has_page(), "it holds the role, and does not answer yet"
        held.note_address("http://127.0.0.1:9/")
        assert session._has_page()
    assert session.url == "http://127.0.0.1:9/"


def test_the_page_is_at_the_port_that_it_reserved(session):
    assert session.site.configuration.web.port == session._port.getsockname()[1]


def test_files_that_no_run_knows_are_missing_and_none_at_all_are_not(session):
    from nualley.app.archive import open_archive_writer

    writer = open_archive_writer(session.site.archive_folder)
    writer.log.close()
    assert session.account()[1] is ExitCode.DONE
    drop = session.site.configuration.storage.drop[0].path
    (drop / "wave0.dat").write_bytes(b"x")
    assert session.account()[1] is ExitCode.NOT_INTACT
