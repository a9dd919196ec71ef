"""Transfers over real files, folders that stand for drives, and a real catalog, wired as the product wires them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from nualley.catalog import CopyState, FileRecord, Origin, Replica, ReplicaState, Run, TransferFile
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.core import Clock, SystemClock, digest_file, escape_name, unescape_name
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    Machine,
    Remotes,
    SystemTimer,
    Timer,
    TransferReport,
    TransferService,
    may_source_go,
)
from nualley.replicas.adapters.trees import PosixTrees
from nualley.replicas.adapters.turns import LockedTurns
from nualley.storage import Drive, DriveRole, DurableFiles, Volumes, is_set_aside
from nualley.storage.adapters.posix import PosixFiles
from tests.unit.ingest.site import SeparateVolumes

DETECTOR = "hpge"
RUN = Run(run_id=f"{DETECTOR}-42", detector=DETECTOR, number=42)
FOLDER = "hpge/raw/42"


class FakeTimer:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.waits_s: list[float] = []

    def now_s(self) -> float:
        return self.time_s

    def sleep(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        self.time_s += duration_s


class World:
    """Drives ``data1`` and ``data2``, a catalog, and the service over them."""

    def __init__(
        self,
        folder: Path,
        *,
        files: DurableFiles | None = None,
        clock: Clock | None = None,
        timer: Timer | None = None,
        volumes: Volumes | None = None,
        entered_from_B: int = 0,
        drives: Mapping[str, Path] | None = None,
        limit_fraction: float = 1.0,
        host: str = "here",
        trees: PosixTrees | None = None,
        wrap_catalog: Callable[[SqlCatalog], Any] = lambda catalog: catalog,
        busy_timeout_ms: int = 30_000,
    ) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        paths = drives or {name: folder / name for name in ("data1", "data2")}
        for path in paths.values():
            path.mkdir(exist_ok=True, parents=True)
        self.drives = [Drive(name, path, DriveRole.RAW, limit_fraction) for name, path in paths.items()]
        self.catalog: SqlCatalog = wrap_catalog(
            open_catalog(folder / "catalog.sqlite", clock=self.clock, busy_timeout_ms=busy_timeout_ms)
        )
        self.machine = Machine(
            files or PosixFiles(), trees or PosixTrees(), LockedTurns(folder / "run", 1), timer or SystemTimer()
        )
        registered = RegisteredDrives(self.drives, volumes or SeparateVolumes(), self.catalog)

        def serve(machine: Machine) -> TransferService:
            return TransferService(
                self.catalog,
                machine,
                drives=registered,
                origin=Origin("nualley", "digest", host),
                clock=self.clock,
                entered_from_B=entered_from_B,
            )

        self._serve = serve
        self.service = serve(self.machine)

    def use(self, remotes: Remotes) -> None:
        """Have other remotes from now on."""
        self.machine = replace(self.machine, remotes=remotes)
        self.service = self._serve(self.machine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.catalog.close()

    @property
    def source(self) -> Path:
        return self.folder / "data1" / FOLDER

    @property
    def destination(self) -> Path:
        return self.folder / "data2" / FOLDER

    def put(self, name: str, data: bytes = b"data", *, is_known: bool = True) -> Path:
        """Make a file of the run on ``data1``, known to the catalog as verified."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if is_known:
            self.enter(path, name)
        return path

    def enter(self, path: Path, name: str, drive: str = "data1") -> FileRecord:
        """Enter a file as the catalog of an experiment has it."""
        found = digest_file(path)
        record = FileRecord(
            run_id=RUN.run_id,
            detector=DETECTOR,
            name=escape_name(os.fspath(name).replace("/", "_")) if "/" in name else escape_name(name),
            format="wavedump",
            size_B=found.size_B,
            xxh3_128=found.xxh3_128,
            adler32=found.adler32,
        )
        replica = Replica(
            drive=drive, path=escape_name(os.fspath(path)), state=ReplicaState.VERIFIED, verified_ns=self.clock.now_ns()
        )
        return self.catalog.add_file(RUN, record, replicas=[replica]).record

    def copy(self, source: Path | None = None, destination: Path | None = None, **words: Any) -> TransferReport:
        """Begin a transfer and work on it."""
        begun = self.service.begin(source or self.source, destination or self.destination)
        return self.service.work(begun.transfer_id, **words)

    def states(self, transfer_id: int = 1) -> dict[str, CopyState]:
        return {file.path: file.state for file in self.catalog.transfers.files(transfer_id)}

    def replicas_on(self, drive: str) -> dict[str, Replica]:
        """Return what the catalog knows on a drive, by path below it."""
        root = next(each.path for each in self.drives if each.name == drive)
        known = self.catalog.transfers.known_below(drive, escape_name(os.fspath(root)))
        return {os.fspath(Path(unescape_name(each.path)).relative_to(root)): each for each in known}

    def check(self) -> None:
        """See that nothing wrong is under a final name, and that no source may go without two commits."""
        for transfer in self.catalog.transfers.transfers():
            destination, source = Path(unescape_name(transfer.destination)), Path(unescape_name(transfer.source))
            root = source if source.is_dir() else source.parent
            files = self.catalog.transfers.files(transfer.transfer_id)
            for file in files:
                self._check_file(transfer.drive, destination / unescape_name(file.path), file)
                if may_source_go(transfer, file):
                    assert digest_file(destination / unescape_name(file.path)) == file.digests
            if transfer.finished_ns is not None and root.is_dir():
                there = [source] if root != source else [path for path in root.rglob("*") if not path.is_symlink()]
                missing = {path.relative_to(root) for path in there if path.is_file() and path.suffix != ".part"}
                missing = {path for path in missing if not is_set_aside(path.name)}
                missing -= {Path(unescape_name(file.path)) for file in files}
                assert not missing, f"finished, and not copied: {missing}"

    def _check_file(self, drive: str | None, path: Path, file: TransferFile) -> None:
        if file.state is CopyState.CATALOGUED:
            assert digest_file(path) == file.digests
        if drive is None or file.file_id is None:
            return
        replica = self.catalog.replica_at(drive, escape_name(os.fspath(path)))
        if file.state is CopyState.CATALOGUED:
            assert replica is not None
        if replica is not None and replica.state is ReplicaState.VERIFIED:
            assert digest_file(path) == self.catalog.file(file.file_id).digests

    def trees_agree(self) -> bool:
        """Return whether source and destination hold the same files."""
        return contents(self.source) == contents(self.destination)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, parts too."""
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
