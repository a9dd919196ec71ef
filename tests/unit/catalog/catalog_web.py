"""A web of its own for the catalog: the real routes on a real port of loopback, in a thread."""

import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import uvicorn
from fastapi import FastAPI

from nualley.catalog import Catalog, CatalogSettings
from nualley.web.catalog_api import CatalogService, add_catalog_routes
from nualley.web.refusals import add_refusals

LIMIT_S = 30.0


class CatalogWeb:
    """Answers for the catalog that it is given, to a host and to a reader that have their tokens.

    Parameters
    ----------
    folder : Path
        For its tokens.
    url : str, optional
        Its own ``catalog.url``.
    """

    host_token, read_token = "h" * 64, "r" * 64

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.catalog: Catalog | None = None
        for name, token in (("hosts", self.host_token), ("readers", self.read_token)):
            (folder / name).write_text(f"{name} {token}\n")
            (folder / name).chmod(0o600)
        files = {"catalog_host_tokens_file": folder / "hosts", "catalog_tokens_file": folder / "readers"}
        web = SimpleNamespace(catalog_write_tokens_file=None, **files)
        self._site = SimpleNamespace(
            configuration=SimpleNamespace(web=web, catalog=CatalogSettings(url=url)),
            catalog=lambda: self.catalog,
            clock=SimpleNamespace(),
        )
        self._service = CatalogService(self._site)
        self._app = FastAPI()
        add_refusals(self._app)
        add_catalog_routes(self._app, self._service, self._site)
        self.start()

    def start(self, port: int = 0) -> None:
        """Answer on a port, a free one by default."""
        # as ours does: with the protocol named, small answers do not wait (TCP_NODELAY)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(self._app, log_level="error", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        end_s = time.monotonic() + LIMIT_S
        while not self._server.started:
            assert time.monotonic() < end_s, "the web did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        """Answer no more."""
        self._server.should_exit = True
        self._thread.join(LIMIT_S)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._service.stop()
