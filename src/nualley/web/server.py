"""Serving the status page on this machine's own address."""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn

from nualley.core import reason
from nualley.web.application import create_app
from nualley.web.errors import HostNotLoopbackError, PortRefusedError, PortTakenError
from nualley.web.listeners import listener_of
from nualley.web.ports import Site

SHUTDOWN_S = 2
"""Answers that are under way get so long when the server stops [s]."""

_PRIVILEGED = 1024
_LAST_PORT = 65535
_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """A server that says when it is ready, and whose stopping is decided by us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve_until(site: Site, stop: asyncio.Event, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve the status page until ``stop`` is set.

    Parameters
    ----------
    site : Site
        The site.
    stop : asyncio.Event
        Ends it.
    on_ready : callable, optional
        Takes the address of the page once it answers.

    Raises
    ------
    HostNotLoopbackError
        Where other machines could reach the page.
    PortRefusedError
        Where the port is 0, or this user may not listen at it.
    PortTakenError
        Where somebody else listens there.
    """
    web = site.configuration.web
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(contextlib.closing(listen(web.host, web.port)))
        others = [
            opened.enter_context(contextlib.closing(listen(web.host, port, setting="web.appliance_ports")))
            for port in web.appliance_ports or ()
        ]
        app = create_app(site)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener, *others]))
        await _first_of(running, server.ready)
        if server.started:
            url = address(listener)
            _log.info("status page", url=url, appliance_ports=web.appliance_ports or "none")
            if on_ready is not None:
                on_ready(url)
            await _first_of(running, stop)
        server.should_exit = True
        # an open stream would hold the server until its patience ends
        app.state.service.hub.close()
        await running


async def _first_of(task: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def listen(host: str, port: int, *, setting: str = "web.port") -> socket.socket:
    """Open a socket of the status page.

    Parameters
    ----------
    host : str
        An address of this machine alone.
    port : int
        TCP port, 1 to 65535.
    setting : str
        Which setting says so, for messages.

    Returns
    -------
    socket.socket
        Bound; nothing is accepted yet.

    Raises
    ------
    HostNotLoopbackError, PortRefusedError, PortTakenError
        See `serve_until`.
    """
    _check_loopback(host)
    if port == 0:
        raise PortRefusedError(
            "port 0 would be another one at each start, and nobody would find the status page",
            where=f"experiment.toml: {setting}",
            do="choose one from 1024 to 65535; 8710 is the default",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # by this protocol asyncio knows that an answer must not wait for others to be sent with (TCP_NODELAY): 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error, setting) from error
    listener.setblocking(False)
    return listener


def _check_loopback(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise HostNotLoopbackError(
            f"{host!r} is an address that other machines can reach, and there are no accounts yet",
            where="experiment.toml: web.host",
            do='write "127.0.0.1"; from outside use a tunnel: ssh -L 8710:127.0.0.1:8710 HOST',
        )


def _refused(host: str, port: int, error: OSError, setting: str) -> PortTakenError | PortRefusedError:
    where = f"experiment.toml: {setting}, {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < _LAST_PORT else port - 1
        choice = f"choose another port: NUALLEY_WEB__PORT={other}" if setting == "web.port" else f"leave {setting} out"
        return PortTakenError(
            f"port {port} of {host} is taken by {listener_of(port)}",
            where=where,
            do=f"end it, having looked: ss -ltnp 'sport = :{port}'; or {choice}",
        )
    hint = f"ports below {_PRIVILEGED} belong to root: choose a higher one" if port < _PRIVILEGED else "choose another"
    return PortRefusedError(f"port {port} of {host} cannot be opened: {reason(error)}", where=where, do=hint)


def address(listener: socket.socket) -> str:
    """Return the address of the page that a socket serves."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
