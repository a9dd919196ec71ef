"""A host whose catalog is elsewhere enters files, while the web that has the catalog is killed."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nualley.catalog import CatalogUnreachable
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.adapters.web_catalog import open_web_catalog
from nualley.config import write_template
from nualley.core import ExitCode

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

TOKEN = "d" * 64
N_FILES = 800  # entered 64 at a time
LIMIT_S = 60.0


class Hub:
    """The experiment that has the catalog, and its web in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "hub"
        write_template(self.folder)
        tokens = folder / "tokens"
        tokens.write_text(f"daq1 {TOKEN}\n")
        tokens.chmod(0o600)
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {
            **os.environ,
            "NUALLEY_WEB__CATALOG_HOST_TOKENS_FILE": str(tokens),
            "NUALLEY_WEB__PORT": str(self.port),
        }
        self._web: subprocess.Popen[bytes] | None = None

    @property
    def catalog(self) -> Path:
        return self.folder / "store" / "catalog.sqlite"

    def start(self) -> None:
        words = [sys.executable, "-m", "nualley.cli", "up", "web", "--experiment", str(self.folder)]
        self._web = subprocess.Popen(words, env=self._environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + LIMIT_S
        while not self.answers():
            assert time.monotonic() < end_s, "the web did not start"
            time.sleep(0.05)

    def n_files(self) -> int:
        with open_catalog(self.catalog, create=False) as catalog:
            return catalog.totals().n_files

    def wait_for_more_than(self, n_files: int) -> None:
        end_s = time.monotonic() + LIMIT_S
        while self.n_files() <= n_files:
            assert time.monotonic() < end_s, "nothing is entered"
            time.sleep(0.005)

    def answers(self) -> bool:
        with suppress(CatalogUnreachable), open_web_catalog(self.url, TOKEN, drives={}) as catalog:
            return catalog.totals().n_runs >= 0
        return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._web is not None:
            with suppress(ProcessLookupError):
                self._web.send_signal(number)
            self._web.wait(LIMIT_S)
            self._web = None


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    hub.start()
    yield hub
    hub.end()


@pytest.fixture
def daq(tmp_path: Path) -> Path:
    """The experiment of a host with a drive of its own, on which files lie that nobody knows yet."""
    folder, disk = tmp_path / "daq", tmp_path / "disk"
    write_template(folder)
    (folder / "drives.toml").write_text(
        f'[drives.daq1]\npath = "{disk}"\n[[ownership]]\npath = "sim/{{run}}"\ndetector = "hpge"\nstage = "hit"\n'
    )
    for number in range(N_FILES):
        file = disk / "sim" / str(number % 7) / f"{number}.h5"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(4, "big") * 50)
    return folder


def adopt(daq: Path, hub: Hub) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "nualley.cli", "files", "adopt", str(daq.parent / "disk" / "sim")]
    environ = {**os.environ, "NUALLEY_CATALOG__URL": hub.url, "NUALLEY_CATALOG_TOKEN": TOKEN}
    return subprocess.Popen(words, cwd=daq, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_the_web_is_killed_while_a_host_enters_files(hub: Hub, daq: Path, seed: int, is_soak: bool) -> None:
    draw = random.Random(seed)
    n_entered = [0]
    for _ in range(5 if is_soak else 2):
        entering = adopt(daq, hub)
        hub.wait_for_more_than(n_entered[-1])
        time.sleep(draw.uniform(0.0, 0.1))
        hub.end(signal.SIGKILL)
        _, said = entering.communicate(timeout=LIMIT_S)
        assert entering.returncode == ExitCode.UNREACHABLE, said
        assert "Traceback" not in said
        assert f"where: {hub.url}/api/catalog/calls/" in said
        hub.start()
        n_entered.append(hub.n_files())
    assert n_entered == sorted({*n_entered}), "each enters more"
    assert n_entered[-1] < N_FILES, "each was killed in the middle"
    entering = adopt(daq, hub)
    _, said = entering.communicate(timeout=LIMIT_S)
    assert entering.returncode == ExitCode.DONE, said
    hub.end()
    with open_catalog(hub.catalog, create=False) as catalog:
        placed = catalog.placed_files("daq1")
        assert sorted(each.path for each in placed) == sorted(f"daq1:/sim/{n % 7}/{n}.h5" for n in range(N_FILES))
        assert {str(each.state) for each in placed} == {"verified"}
        assert catalog.totals().n_files == N_FILES
        assert catalog.usage(["drive"])[0].n_files == N_FILES


def test_a_host_without_the_web_enters_nothing_and_says_so(hub: Hub, daq: Path) -> None:
    hub.end()
    entering = adopt(daq, hub)
    _, said = entering.communicate(timeout=LIMIT_S)
    assert entering.returncode == ExitCode.UNREACHABLE
    assert "the catalog's web gives no answer: Connection refused" in said
    assert "nualley up web" in said
