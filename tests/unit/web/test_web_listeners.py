"""Who listens at a port."""

from pathlib import Path

import pytest

from nualley.web.listeners import listener_of

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2206 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 100 0 0 10 0
   1: 0100007F:2206 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 78 1 0 100 0 0 10 0
"""


def make_process(proc: Path, pid: int, inode: int, command: bytes | None) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fd" / "3").symlink_to(f"socket:[{inode}]")
    if command is not None:
        (folder / "cmdline").write_bytes(command)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    make_process(tmp_path, 9, 78, b"client\0")
    return tmp_path


def test_the_process_that_listens_is_named(proc: Path) -> None:
    make_process(proc, 12, 77, b"python\0-m\0a\x1b[2J\xff\0")
    (proc / "5").mkdir()  # ended meanwhile, or another account's
    assert listener_of(0x2206, proc) == "process 12 (python -m a\\x1b[2J\\xff)"


@pytest.mark.parametrize("port", [0x2206, 1])
def test_what_this_account_may_not_see_is_another_process(proc: Path, port: int) -> None:
    assert listener_of(port, proc) == "another process"


def test_a_process_that_ends_meanwhile(proc: Path) -> None:
    make_process(proc, 12, 77, None)
    assert listener_of(0x2206, proc) == "process 12 (ended meanwhile)"


def test_a_machine_without_such_an_account(tmp_path: Path) -> None:
    assert listener_of(8710, tmp_path) == "another process"
