"""The real archive process and a real IOC that hangs, dies, flaps or loses its clock; and a process that is stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nualley.app.locks import role_state
from nualley.app.site import open_site
from nualley.cli.main import main
from nualley.core import SECOND_NS, parse_time_ns
from nualley.testing.ioc import EpicsPorts, Ioc, Record
from tests.kept_aside import kept_aside

pytestmark = [
    pytest.mark.fault,
    pytest.mark.real_ioc,
    pytest.mark.enable_socket,
    pytest.mark.timeout(900),
]

LIMIT_S = 120  # a busy machine takes its time
NOTICED_S = 12
PVS = ("T:N", "T:QUIET")


class Product:
    """``nualley up archive`` as a process, and what its archive says."""

    def __init__(self, folder, environ) -> None:
        self.folder, self.environ = folder, {**os.environ, **environ}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self):
        return self.folder.parent / "log"

    def start(self) -> None:
        self.process = self.spawn()
        store = open_site(self.folder).configuration.store
        self.until(lambda: role_state(store, "archive").control)

    def spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "nualley.cli", "up", "archive", "--experiment", str(self.folder)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.send(number)
        assert self.process is not None
        self.process.wait(LIMIT_S)

    def until(self, is_so, limit_s: float = LIMIT_S) -> None:
        end_s = time.monotonic() + limit_s
        while not is_so():
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()[-4000:]
            time.sleep(0.05)

    def reader(self):
        return open_site(self.folder).archive()

    def rows(self, pv: str) -> list[dict]:
        if pv not in self.reader().registry().by_name:
            return []
        return self.reader().read(pv, 0, 2**62).to_pylist()

    def kinds(self, pv: str) -> list[str]:
        return [row["kind"] for row in self.rows(pv) if row["kind"] != "sample"]

    def values(self, pv: str) -> list[object]:
        return [row["value"] for row in self.rows(pv) if row["kind"] == "sample"]


@pytest.fixture
def ioc():
    with Ioc([Record("T:N", "int", 0), Record("T:QUIET", "float", 1.5)]) as running:
        yield running


@pytest.fixture
def product(tmp_path, ioc):
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    (folder / "pvs" / "lab.toml").write_text('[pv]\n"T:N" = {}\n"T:QUIET" = {}\n')
    port = EpicsPorts.free().ca  # the kernel gives it to nobody else meanwhile
    path = folder / "experiment.toml"
    text = path.read_text().replace('addr_list = ["127.0.0.1"]', f'addr_list = ["{ioc.address}"]')
    path.write_text(text.replace("[web]\n", f"[web]\nport = {port}\n"))
    made = Product(folder, ioc.environment)
    made.start()
    try:
        for pv in PVS:
            made.until(lambda pv=pv: made.values(pv))
        yield made
    finally:
        made.send(signal.SIGCONT)
        if made.process.poll() is None:
            made.stop()


def assert_accounted_for(product) -> None:
    ledger = product.reader().ledger()
    assert ledger.received == ledger.stored + ledger.quarantined + ledger.filtered


def test_a_hung_ioc_leaves_a_row_that_says_when_it_was_heard_last(product, ioc):
    frozen_ns = time.time_ns()
    ioc.freeze()
    product.until(lambda: all(product.kinds(pv)[-1:] == ["disconnect"] for pv in PVS))
    for pv in PVS:
        row = [row for row in product.rows(pv) if row["kind"] == "disconnect"][-1]
        assert frozen_ns - 5 * SECOND_NS < row["last_heard_ns"] <= frozen_ns
        assert row["last_heard_ns"] < row["time_ns"] < frozen_ns + NOTICED_S * SECOND_NS
        assert product.reader().alive_until_ns(pv) == row["last_heard_ns"]
    ioc.thaw()
    product.until(lambda: all(product.kinds(pv)[-1] == "reconnect" for pv in PVS))
    ioc.set("T:N", 1)
    product.until(lambda: product.values("T:N")[-1] == 1)
    assert product.values("T:N") == [0, 1]
    assert product.values("T:QUIET") == [1.5], "the value that is sent again is no new one"
    assert_accounted_for(product)


def test_a_flapping_pv_alternates_and_is_not_subscribed_twice(product, ioc, is_soak):
    n_flaps = 20 if is_soak else 2
    for flap in range(n_flaps):
        ioc.kill()
        product.until(lambda flap=flap: product.kinds("T:N").count("disconnect") == flap + 1)
        ioc.start()
        product.until(lambda flap=flap: product.kinds("T:N").count("reconnect") == flap + 2)
        ioc.set("T:N", flap + 1)
        product.until(lambda flap=flap: product.values("T:N")[-1] == flap + 1)
    for pv in PVS:
        kinds = product.kinds(pv)
        assert kinds == ["reconnect", *(["disconnect", "reconnect"] * n_flaps)]
        rows = product.rows(pv)
        assert len({(row["time_ns"], row["kind"]) for row in rows}) == len(rows), "a row is there twice"
    received = product.reader().record("T:N").ledger.received
    for value in range(100, 120):  # each is received once however often the PV came back
        ioc.set("T:N", value)
    product.until(lambda: product.values("T:N")[-1] == 119)
    assert product.values("T:N")[-20:] == list(range(100, 120))
    assert product.reader().record("T:N").ledger.received == received + 20
    assert_accounted_for(product)


def test_an_ioc_whose_clock_jumps_is_kept_aside_and_can_be_released(product, ioc):
    jumps = {
        "backward": time.time_ns() - 3600 * SECOND_NS,
        "future": time.time_ns() + 7200 * SECOND_NS,
        "undefined-time": parse_time_ns("1990-01-01T00:00:00Z", 0),
        "before-1991": parse_time_ns("1990-01-01T00:00:07Z", 0),
    }
    for number, time_ns in enumerate(jumps.values(), start=1):
        ioc.set("T:N", number, time_ns=time_ns)
    product.until(lambda: product.reader().record("T:N").ledger.quarantined == len(jumps))
    assert product.kinds("T:N") == ["reconnect", "gap"], "from the first of them on the value is unknown"
    ioc.set("T:N", 9)
    product.until(lambda: product.values("T:N")[-1] == 9)
    assert product.values("T:N") == [0, 9]
    rows = kept_aside(product.reader(), "T:N")
    assert [row["reason"] for row in rows] == list(jumps)
    assert [row["value"] for row in rows] == [1, 2, 3, 4]
    # the archive runs on meanwhile
    assert main(["archive", "quarantine", "T:N", "--release", "--at-receipt", "--experiment", str(product.folder)]) == 0
    assert product.values("T:N") == [0, 1, 2, 3, 4, 9]
    assert_accounted_for(product)


def test_a_process_that_is_stopped_for_seconds_loses_nothing_that_was_sent(product, ioc):
    product.send(signal.SIGSTOP)
    for value in range(1, 201):
        ioc.set("T:N", value)
        time.sleep(0.055)  # longer than an IOC may be silent
    product.send(signal.SIGCONT)
    product.until(lambda: product.values("T:N")[-1] == 200)
    assert product.values("T:N") == list(range(201))
    assert product.kinds("T:N") == ["reconnect"], "it was us who did not listen, and no IOC is blamed"
    assert_accounted_for(product)


def test_a_store_has_one_archive_and_the_lock_that_a_killed_one_left_is_nobodys(product, ioc):
    second = product.spawn()
    assert second.wait(LIMIT_S) != 0
    assert "runs" in product.log.read_text()
    ioc.set("T:N", 1)
    product.until(lambda: product.values("T:N")[-1] == 1)
    product.stop(signal.SIGKILL)
    store = open_site(product.folder).configuration.store
    assert (store / "run" / "archive.lock").exists()
    assert not role_state(store, "archive").is_held
    ioc.set("T:N", 2)
    product.start()
    product.until(lambda: product.values("T:N")[-1] == 2)
    gap = next(row for row in product.rows("T:QUIET") if row["kind"] == "gap")
    assert gap["last_heard_ns"] < gap["time_ns"]
    assert_accounted_for(product)
