"""A site made of real parts in a temporary folder: archive, live bus, catalog, drives; only the IOC is played."""

import asyncio
import math
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nualley.app.archive import open_archive_writer
from nualley.app.archive_process import ArchiveProcess
from nualley.app.keeper import ChildKeeper
from nualley.app.runtime import bus_endpoint
from nualley.app.site import Site, open_site
from nualley.archive import ArchiveSettings
from nualley.catalog import FileRecord, Replica, ReplicaState, Run, TimeSource
from nualley.core import SECOND_NS, SystemClock, make_run_id
from nualley.pv import Connection, Emit, Life, Metadata, PvEvent, PvRequest, Sample, ValueType
from nualley.pv.adapters.bus import ZmqPublisher

REPOSITORY = Path(__file__).resolve().parents[2]
IOC = "127.0.0.1:15064"
POWER, ENERGY = "DEMO:BEAM:POWER", "DEMO:BEAM:ENERGY"


def write_experiment(folder: Path) -> Path:
    """Copy the example of the repository: twelve detectors, six drives, the PVs of the demo."""
    return Path(shutil.copytree(REPOSITORY / "experiments" / "coherent", folder / "coherent"))


@dataclass
class PlayedIoc:
    """A source of live values that says what it is told to."""

    protocol: str = "ca"
    emit: Emit | None = None
    requests: list[PvRequest] = field(default_factory=list)

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        self.emit, self.requests = emit, list(requests)

    async def add(self, request: PvRequest) -> None:
        self.requests.append(request)

    async def remove(self, pv: str) -> None:
        self.requests = [request for request in self.requests if request.pv != pv]

    async def stop(self) -> None:
        self.emit = None


class PlayedArchive:
    """The real archive process, in a thread of this one, fed by a played IOC that signs every second."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ioc = PlayedIoc()
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._is_hung = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(30)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._archive())
        finally:
            self._loop.close()

    async def _archive(self) -> None:
        store, clock = self._site.configuration.store, SystemClock()
        process = ArchiveProcess(
            open_archive_writer(store / "archive", clock=clock),
            [(self._ioc, [PvRequest(pv) for pv in self.pvs])],
            publisher=ZmqPublisher(bus_endpoint(store)),
            keeper=ChildKeeper(store / "archive"),
            settings=ArchiveSettings(),
            clock=clock,
        )
        signs = asyncio.create_task(self._sign_for_ever())
        self._loop.call_later(0.2, self._started.set)
        await process.run(self._stop)
        signs.cancel()

    async def _sign_for_ever(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._ioc.emit and not self._is_hung:
                self._ioc.emit(Life(IOC, SystemClock().now_ns()))

    @property
    def pvs(self) -> list[str]:
        return [pv for group in self._site.configuration.pv_groups.values() for pv in group.pv]

    def say(self, *events: PvEvent) -> None:
        """Emit events as the IOC would."""

        def emit() -> None:
            assert self._ioc.emit is not None
            for event in events:
                self._ioc.emit(event)

        self._loop.call_soon_threadsafe(emit)

    def hang(self, *, is_hung: bool = True) -> None:
        """Stop signing, as an IOC does that hangs; nobody says so yet."""
        self._is_hung = is_hung

    def stop(self) -> None:
        """Stop as on SIGTERM."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)
            assert not self._thread.is_alive()


def connected(pv: str, *, is_connected: bool = True) -> Connection:
    now_ns = SystemClock().now_ns()
    return Connection(pv, is_connected, IOC, now_ns, now_ns, "ca")


def sample(pv: str, value: object, *, severity: int = 0, time_ns: int | None = None) -> Sample:
    now_ns = SystemClock().now_ns()
    return Sample(
        pv=pv,
        time_ns=now_ns if time_ns is None else time_ns,
        value=value,
        value_type=_type_of(value),
        severity=severity,
        status=0,
        protocol="ca",
        received_ns=now_ns,
    )


def metadata(pv: str, value_type: ValueType, *, unit: str = "", labels: tuple[str, ...] = ()) -> Metadata:
    return Metadata(pv, SystemClock().now_ns(), value_type, unit=unit, labels=labels)


def _type_of(value: object) -> ValueType:
    return {float: ValueType.FLOAT64, int: ValueType.INT64, str: ValueType.STRING}[type(value)]


def say_hello(archive: PlayedArchive) -> None:
    """All PVs connect; beam on, CENNS-10 in run 124, COH-Ar-750 paused in run 41."""
    pvs = archive.pvs
    archive.say(*(connected(pv) for pv in pvs))
    units = {POWER: "MW", ENERGY: "MeV"}
    archive.say(*(metadata(pv, ValueType.FLOAT64, unit=unit) for pv, unit in units.items() if pv in pvs))
    plain: dict[str, object] = {
        POWER: 1.385,
        ENERGY: 1003.2,
        "DEMO:CENNS10:DAQ:RUN": 124,
        "DEMO:CENNS10:DAQ:STATE": "Running",
        "DEMO:CENNS10:DAQ:LIVE": 0.974,
        "DEMO:AR750:DAQ:RUN": 41,
        "DEMO:AR750:DAQ:STATE": "Paused",
        "DEMO:AR750:DAQ:LIVE": 0.0,
    }
    archive.say(*(sample(pv, value) for pv, value in plain.items() if pv in pvs))
    others = [pv for pv in pvs if pv not in plain]
    archive.say(*(sample(pv, 10.0 + index) for index, pv in enumerate(others[:-2])))


def fill_power(site: Site, *, hours: float = 3.0) -> None:
    """Write a history of the beam: steady, a trip, a stretch in which the IOC was gone."""
    writer = open_archive_writer(site.configuration.store / "archive")
    now_ns = SystemClock().now_ns()
    start_ns = now_ns - round(hours * 3600) * SECOND_NS
    receive = writer.recorder.receive
    for pv in (POWER, ENERGY):
        receive(Connection(pv, True, IOC, start_ns, start_ns, "ca"))
    receive(Sample(ENERGY, start_ns, 1003.2, ValueType.FLOAT64, 0, 0, "ca", start_ns))
    is_gone = False
    for second in range(0, round(hours * 3600) - 60, 5):
        time_ns = start_ns + second * SECOND_NS
        ago_min = (now_ns - time_ns) / SECOND_NS / 60
        if 20 < ago_min < 23:
            is_gone = _lose(receive, time_ns, is_gone=is_gone)
            continue
        if is_gone:
            is_gone = False
            receive(Connection(POWER, True, IOC, time_ns, time_ns, "ca"))
        power_MW = 0.002 if 38 < ago_min < 42 else 1.38 + 0.012 * math.sin(second / 97) + 0.004 * math.cos(second / 11)
        receive(Sample(POWER, time_ns, power_MW, ValueType.FLOAT64, 0, 0, "ca", time_ns))
    receive(Life(IOC, now_ns - 60 * SECOND_NS))
    writer.close()


def _lose(receive: Emit, time_ns: int, *, is_gone: bool) -> bool:
    if not is_gone:
        receive(Connection(POWER, False, IOC, time_ns, time_ns, "ca"))
    return True


def fill_catalog(site: Site, *, n_runs: int = 12) -> None:
    """Record runs, one with a defect and a missing copy, one without times."""
    catalog = site.catalog()
    now_ns = SystemClock().now_ns()
    for index in range(n_runs):
        detector = ("cenns-10", "coh-ar-750")[index % 2]
        number = 100 + index
        stop_ns = now_ns - (n_runs - index) * 600 * SECOND_NS
        is_timed = index != n_runs - 4
        run = Run(
            run_id=make_run_id(detector, number),
            detector=detector,
            number=number,
            start_ns=stop_ns - 560 * SECOND_NS if is_timed else None,
            stop_ns=stop_ns if is_timed else None,
            time_source=TimeSource.PV if is_timed else TimeSource.UNKNOWN,
        )
        for part in range(2):
            is_bad = index == n_runs - 3 and part == 1
            record = FileRecord(
                run_id=run.run_id,
                detector=detector,
                name=f"wave{part}.dat",
                format="wavedump",
                size_B=160192,
                xxh3_128=f"{index:030x}{part:02x}",
                adler32="0badcafe",
                n_events=11_732 + index,
                defects=({"kind": "truncated-event", "offset_B": 160000, "detail": "192 of 20024 B"},)
                if is_bad
                else (),
            )
            state = ReplicaState.UNVERIFIED if is_bad else ReplicaState.VERIFIED
            place = Replica(drive="data1", path=f"/data1/{run.run_id}/wave{part}.dat", state=state, verified_ns=now_ns)
            catalog.add_file(run, record, replicas=[place])


def make_site(folder: Path, environ: dict[str, str] | None = None) -> Site:
    """Open the example, with its store beside it."""
    return open_site(write_experiment(folder), environ or {})
