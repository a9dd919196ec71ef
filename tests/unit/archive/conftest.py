"""An archive in a temporary folder with a clock that stands still until it is told."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nualley.app.archive import ArchiveWriter, open_archive_reader, open_archive_writer
from nualley.archive.reader import ArchiveReader
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, PvEvent, Sample, ValueType

START_NS = parse_time_ns("2026-11-22T23:59:00Z", 0)
IOC = "127.0.0.1:15064"


@dataclass
class StandingClock:
    """A clock that stands still until it is told."""

    time_ns: int = START_NS

    def now_ns(self) -> int:
        return self.time_ns

    def advance(self, seconds: float) -> int:
        self.time_ns += round(seconds * SECOND_NS)
        return self.time_ns


@dataclass
class ArchiveBench:
    """An archive, and words to write a story into it."""

    folder: Path
    clock: StandingClock = field(default_factory=StandingClock)
    writer: ArchiveWriter | None = None

    def start(self) -> ArchiveWriter:
        """Open it as a new process would."""
        self.writer = open_archive_writer(self.folder, clock=self.clock)
        return self.writer

    def copied(self, folder: Path) -> "ArchiveBench":
        """Return a copy of what is on disk, at the same time; nobody writes it yet."""
        shutil.copytree(self.folder, folder)
        return ArchiveBench(folder, StandingClock(self.clock.time_ns))

    def die(self) -> None:
        """End as kill -9 ends: what waits in memory is gone."""
        assert self.writer is not None
        self.writer.log.close()
        self.writer = None

    def emit(self, *events: PvEvent) -> None:
        assert self.writer is not None
        for event in events:
            self.writer.recorder.receive(event)

    def commit(self) -> None:
        assert self.writer is not None
        self.writer.recorder.commit()

    def seal(self) -> None:
        assert self.writer is not None
        self.writer.seal()

    def reader(self) -> ArchiveReader:
        return open_archive_reader(self.folder, clock=self.clock)

    def connect(self, pv: str) -> Connection:
        return Connection(pv, True, IOC, self.clock.time_ns, self.clock.time_ns, "ca")

    def disconnect(self, pv: str, heard_ns: int) -> Connection:
        return Connection(pv, False, IOC, self.clock.time_ns, heard_ns, "ca")

    def life(self) -> Life:
        return Life(IOC, self.clock.time_ns)

    def sample(self, pv: str, value: object, value_type: ValueType = ValueType.FLOAT64, **changes: int) -> Sample:
        fields = {"time_ns": self.clock.time_ns, "severity": 0, "status": 0, "received_ns": self.clock.time_ns}
        return Sample(pv=pv, value=value, value_type=value_type, protocol="ca", **{**fields, **changes})


@pytest.fixture
def bench(tmp_path: Path) -> ArchiveBench:
    made = ArchiveBench(tmp_path / "archive")
    made.start()
    return made


@pytest.fixture
def column() -> Callable[..., list[object]]:
    """Read one column of a stretch."""

    def read(bench: ArchiveBench, pv: str, name: str, start_ns: int = 0, stop_ns: int = 2**62) -> list[object]:
        return bench.reader().read(pv, start_ns, stop_ns)[name].to_pylist()

    return read
