"""A demo has a folder and a port of its own."""

import os
import socket
from pathlib import Path

import pytest

from nualley.app.errors import RoleTakenError
from nualley.config import write_template
from nualley.core import UsageError
from nualley.demo.errors import DemoError
from nualley.demo.places import demo_folder, reserve_port


def test_a_temporary_folder_is_gone_at_the_end():
    with demo_folder(None) as folder:
        (folder / "experiment").mkdir()
        (folder / "experiment" / "x").write_text("x")
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert not folder.exists()


def test_a_new_or_empty_folder_is_taken_and_an_earlier_demo_goes_on(tmp_path):
    for directory in (tmp_path / "new" / "deep", tmp_path / "new" / "deep"):
        with demo_folder(directory) as folder:
            assert folder == directory
            (folder / "kept").write_text("x")
    (tmp_path / "empty").mkdir()
    with demo_folder(tmp_path / "empty"):
        pass
    assert (tmp_path / "new" / "deep" / "kept").exists()


def test_files_that_no_demo_wrote_are_left_alone(tmp_path):
    write_template(tmp_path / "mine")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(UsageError, match=r"mine holds files that no demo wrote, such as \.gitignore") as caught,
        demo_folder(tmp_path / "mine"),
    ):
        pass
    assert caught.value.where == "--directory"
    assert "an earlier demo" in caught.value.do
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_of_somebody_else_is_no_earlier_demo(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "archive.lock").write_text("{}")
    with pytest.raises(UsageError, match="no demo wrote"), demo_folder(tmp_path):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(UsageError, match="x is a file"), demo_folder(tmp_path / "x"):
        pass


def test_a_relative_folder_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with demo_folder(Path("alley")) as folder:
        assert folder == tmp_path / "alley"


def test_two_demos_do_not_share_a_folder(tmp_path):
    with (
        demo_folder(tmp_path),
        pytest.raises(RoleTakenError, match=f"'demo' is held by process {os.getpid()}"),
        demo_folder(tmp_path),
    ):
        pass


@pytest.mark.enable_socket
def test_a_port_is_for_one_demo_and_its_web_process():
    with reserve_port(0) as first:
        port = first.getsockname()[1]
        with reserve_port(port) as second:
            assert second.getsockname()[1] != port
        with socket.socket() as web:
            web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            web.bind(("127.0.0.1", port))
            web.listen()
            with reserve_port(port) as third:
                assert third.getsockname()[1] != port
        with reserve_port(port) as fourth:
            assert fourth.getsockname()[1] != port, "it stays taken when the web process is started again"
    with reserve_port(port) as fifth:
        assert fifth.getsockname()[1] == port


@pytest.mark.enable_socket
def test_a_machine_without_a_free_port_is_said(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(98, "Address already in use")

    class Refusing(socket.socket):
        bind = refuse

    monkeypatch.setattr("nualley.demo.places.socket.socket", Refusing)
    with pytest.raises(DemoError, match=r"no TCP port of 127\.0\.0\.1 is free"):
        reserve_port(0)
