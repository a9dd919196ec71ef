"""The archive process in real time and on real files: commits in time, seals in order, retries, drains at the end."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import pytest

from nualley.app import archive_process
from nualley.app.archive import ArchiveWriter, open_archive_reader, open_archive_writer
from nualley.app.archive_process import ArchiveProcess
from nualley.app.errors import NotDrainedError
from nualley.archive import ArchiveSettings
from nualley.core import SystemClock
from nualley.pv import Connection, Emit, PvRequest, Sample, ValueType


class FakeSource:
    """A source that emits when it is told."""

    protocol = "ca"

    def __init__(self) -> None:
        self.emit: Emit | None = None
        self.is_stopped = False

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        self.emit = emit
        now_ns = SystemClock().now_ns()
        for request in requests:
            emit(Connection(request.pv, True, "127.0.0.1:1", now_ns, now_ns, "ca"))

    async def add(self, request: PvRequest) -> None: ...

    async def remove(self, pv: str) -> None: ...

    async def stop(self) -> None:
        self.is_stopped = True

    def send(self, value: float) -> None:
        assert self.emit is not None
        now_ns = SystemClock().now_ns()
        self.emit(Sample("P", now_ns, value, ValueType.FLOAT64, 0, 0, "ca", now_ns))


class FakePublisher:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, object]] = []
        self.is_closed = False
        self.has_listeners = True

    def is_heard(self, topic: str) -> bool:
        return self.has_listeners and topic == "archive"

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        assert topic == "archive"
        self.messages.append(message)

    async def close(self) -> None:
        self.is_closed = True


class InProcessKeeper:
    """Seals in a thread of this process, so that a test can let it fail; the real one has tests of its own."""

    def __init__(self, writer: ArchiveWriter) -> None:
        self._writer = writer
        self.n_compactions = 0

    async def seal(self, segment: int) -> int:
        return len(await asyncio.to_thread(self._writer.sealer.seal, segment))

    async def compact(self) -> None:
        self.n_compactions += 1


class JumpingClock(SystemClock):
    """The machine's clock, set wrong by so much."""

    wrong_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.wrong_ns


class Bench:
    def __init__(self, folder, settings: ArchiveSettings) -> None:
        self.clock = JumpingClock()
        self.folder = folder
        self.source, self.publisher, self.stop = FakeSource(), FakePublisher(), asyncio.Event()
        self.writer: ArchiveWriter = open_archive_writer(folder, settings)
        self.keeper = InProcessKeeper(self.writer)
        self.process = ArchiveProcess(
            self.writer,
            [(self.source, [PvRequest("P"), PvRequest("SILENT")])],
            publisher=self.publisher,
            keeper=self.keeper,
            settings=settings,
            clock=self.clock,
        )

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.process.run(self.stop))
        await self.until(lambda: self.source.emit is not None)
        yield
        self.stop.set()
        await task

    async def until(self, is_so) -> None:
        for _ in range(2000):
            if is_so():
                return
            await asyncio.sleep(0.01)
        pytest.fail("it did not come about")

    def n_stored(self) -> int:
        return open_archive_reader(self.folder).ledger().stored


FAST = ArchiveSettings(sync_interval_ms=5)


async def test_samples_become_durable_by_themselves_and_reach_the_bus(tmp_path):
    bench = Bench(tmp_path, FAST)
    async with bench.running():
        bench.source.send(1.5)
        await bench.until(lambda: bench.n_stored() == 1)
        await bench.until(lambda: any(message["values"] for message in bench.publisher.messages))
        value = next(found for message in bench.publisher.messages for found in message["values"] if found["pv"] == "P")
        assert (value["value"], value["state"]) == (1.5, "connected")
    assert bench.source.is_stopped
    assert bench.publisher.is_closed
    ledger = bench.publisher.messages[-1]["ledger"]
    assert ledger == {"received": 1, "stored": 1, "quarantined": 0, "filtered": 0, "gaps": 0}


async def test_a_source_that_never_pauses_keeps_it_neither_from_sealing_nor_from_its_end(tmp_path, monkeypatch):
    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=5, rotate_size_B=4096))
    append, n_sent = bench.writer.log.append, 0

    def append_while_more_comes(frame):
        nonlocal n_sent
        append(frame)
        if not bench.source.is_stopped:
            n_sent += 1
            bench.source.send(float(n_sent))

    monkeypatch.setattr(bench.writer.log, "append", append_while_more_comes)
    async with bench.running():
        bench.source.send(0.0)
        await bench.until(lambda: list(tmp_path.glob("day/*/float64-*.parquet")))
    assert bench.n_stored() == n_sent + 1


async def test_nothing_is_made_ready_while_nobody_listens_and_nothing_is_missing_when_somebody_does(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(archive_process, "PUBLISH_S", 0.01)
    bench = Bench(tmp_path, FAST)
    bench.publisher.has_listeners = False
    async with bench.running():
        bench.source.send(1.5)
        await bench.until(lambda: bench.n_stored() == 1)
        await asyncio.sleep(0.05)
        assert bench.publisher.messages == []
        bench.publisher.has_listeners = True
        await bench.until(lambda: bench.publisher.messages)
        first = bench.publisher.messages[0]
        assert [value["value"] for value in first["values"] if value["pv"] == "P"] == [1.5]


async def test_what_arrived_last_is_durable_when_it_stops(tmp_path):
    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=10_000))
    async with bench.running():
        bench.source.send(1.5)
    assert bench.n_stored() == 1


async def test_segments_are_sealed_by_size_while_commits_go_on(tmp_path):
    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=5, rotate_size_B=4096))
    async with bench.running():
        for value in range(300):
            bench.source.send(float(value))
            await asyncio.sleep(0.002)
        await bench.until(lambda: len(list(tmp_path.rglob("*.parquet"))) >= 2)
    values = open_archive_reader(tmp_path).read("P", 0, 2**62)["value"].to_pylist()
    assert [value for value in values if value is not None] == [float(value) for value in range(300)]


async def test_a_failing_seal_is_tried_again_and_stays_in_order(tmp_path, monkeypatch):
    from nualley.archive.adapters.column_files import ParquetFolder

    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=5, rotate_size_B=4096))
    write, n_failed = ParquetFolder.write, 0

    def fail_twice(self, *args, **kwargs):
        nonlocal n_failed
        if n_failed < 2:
            n_failed += 1
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(ParquetFolder, "write", fail_twice)
    async with bench.running():
        for value in range(600):
            bench.source.send(float(value))
            await asyncio.sleep(0.002)
        await bench.until(lambda: list(tmp_path.rglob("*.parquet")))
    assert n_failed == 2
    values = open_archive_reader(tmp_path).read("P", 0, 2**62)["value"].to_pylist()
    assert [value for value in values if value is not None] == [float(value) for value in range(600)]


async def test_a_full_drive_is_retried_until_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_process, "RETRY_S", 0.01)
    bench = Bench(tmp_path, FAST)
    n_failed = 0

    def full(_descriptor: int) -> None:
        nonlocal n_failed
        n_failed += 1
        raise OSError(28, "No space left on device")

    async with bench.running():
        with monkeypatch.context() as patched:
            patched.setattr("os.fdatasync", full)
            bench.source.send(1.0)
            await bench.until(lambda: n_failed >= 3)
            assert bench.n_stored() == 0
        await bench.until(lambda: bench.n_stored() == 1)


async def test_a_drive_that_stays_full_ends_with_what_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_process, "RETRY_S", 0.01)
    monkeypatch.setattr(archive_process, "DRAIN_S", 0.05)
    bench = Bench(tmp_path, FAST)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(NotDrainedError, match="is lost"):
        async with bench.running():
            monkeypatch.setattr("os.fdatasync", full)
            bench.source.send(1.0)


async def test_a_clock_that_goes_back_meanwhile_ends_the_waiting_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_process, "RETRY_S", 0.01)
    monkeypatch.setattr(archive_process, "DRAIN_S", 0.05)
    bench = Bench(tmp_path, FAST)

    def full(_descriptor: int) -> None:
        bench.clock.wrong_ns -= 3600 * 10**9
        raise OSError(28, "No space left on device")

    with pytest.raises(NotDrainedError, match="is lost"):
        async with asyncio.timeout(30), bench.running():
            monkeypatch.setattr("os.fdatasync", full)
            bench.source.send(1.0)


@pytest.mark.parametrize("jump_s", [-86_400, 86_400])
async def test_segments_are_sealed_though_the_clock_jumped(tmp_path, jump_s):
    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=5, rotate_s=3600))
    async with bench.running():
        bench.source.send(1.0)
        await bench.until(lambda: bench.n_stored() == 1)  # or the segment that the jump closes may be empty
        bench.clock.wrong_ns = jump_s * 10**9
        await bench.until(lambda: list(tmp_path.rglob("*.parquet")))
    assert bench.n_stored() == 1


async def test_every_pv_asked_for_is_listed_before_it_is_heard(tmp_path):
    bench = Bench(tmp_path, FAST)
    async with bench.running():
        await bench.until(lambda: "SILENT" in open_archive_reader(tmp_path).registry().by_name)


async def test_a_bus_or_source_that_fails_does_not_cost_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_process, "PUBLISH_S", 0.01)
    bench = Bench(tmp_path, ArchiveSettings(sync_interval_ms=10_000))
    n_published = 0

    def publish(_topic: str, _message: object) -> None:
        nonlocal n_published
        n_published += 1
        if n_published < 3:
            raise RuntimeError("the bus fails")

    async def stop_badly() -> None:
        raise RuntimeError("the source fails")

    bench.publisher.publish = publish
    bench.source.stop = stop_badly
    with pytest.raises(RuntimeError, match="the source fails"):
        async with bench.running():
            await bench.until(lambda: n_published >= 3)
            bench.source.send(1.0)
    assert bench.n_stored() == 1


async def test_what_is_over_is_merged_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_process, "COMPACT_S", 0.01)
    bench = Bench(tmp_path, FAST)
    async with bench.running():
        await bench.until(lambda: bench.keeper.n_compactions >= 2)
