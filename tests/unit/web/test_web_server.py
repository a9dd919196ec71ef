"""Where the page is served, and where it refuses to be."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from nualley.core import ExitCode
from nualley.web import HostNotLoopbackError, PortRefusedError, PortTakenError
from nualley.web.server import address, listen

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_a_host_that_others_can_reach_is_refused(host: str, free: int) -> None:
    with pytest.raises(HostNotLoopbackError, match="other machines can reach") as caught:
        listen(host, free)
    assert repr(host) in caught.value.what
    assert "ssh -L" in caught.value.do
    assert caught.value.exit_code is ExitCode.CONFIGURATION


def test_port_0_is_refused() -> None:
    with pytest.raises(PortRefusedError, match="port 0 would be another one at each start") as caught:
        listen("127.0.0.1", 0)
    assert "8710" in caught.value.do


def test_a_port_that_is_taken_is_named(taken: int) -> None:
    who = rf"port {taken} of 127\.0\.0\.1 is taken by process {os.getpid()} \(.*python.*\)"
    with pytest.raises(PortTakenError, match=who) as caught:
        listen("127.0.0.1", taken)
    assert caught.value.exit_code is ExitCode.CONFIGURATION  # no second try mends it: the supervisor gives up
    assert f"sport = :{taken}" in caught.value.do
    assert f"NUALLEY_WEB__PORT={taken + 1}" in caught.value.do


def test_a_port_of_the_appliance_that_is_taken_names_its_setting(taken: int) -> None:
    with pytest.raises(PortTakenError) as caught:
        listen("127.0.0.1", taken, setting="web.appliance_ports")
    assert "web.appliance_ports" in caught.value.where
    assert "leave web.appliance_ports out" in caught.value.do


def test_a_port_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: socket.socket, __: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(PortRefusedError, match="port 80 of 127.0.0.1 cannot be opened: Permission denied") as caught:
        listen("127.0.0.1", 80)
    assert "below 1024 belong to root" in caught.value.do


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "[::1]")])
def test_address_of_a_loopback_socket(host: str, shown: str, free: int) -> None:
    with listen(host, free) as listener:
        assert address(listener) == f"http://{shown}:{free}/"
        assert not listener.getblocking()


async def test_an_answer_does_not_wait_for_the_next_to_be_sent_with(free: int) -> None:
    served = asyncio.get_running_loop().create_future()
    with listen("127.0.0.1", free) as listener:
        server = await asyncio.start_server(lambda _, writer: served.set_result(writer), sock=listener)
        _, writer = await asyncio.open_connection("127.0.0.1", free)
        accepted = (await served).get_extra_info("socket")
        # without it, small answers on one connection take 40 ms each: Nagle's algorithm waits for a delayed ACK
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        (await served).close()
        server.close()
