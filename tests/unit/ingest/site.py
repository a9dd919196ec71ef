"""Ingest over real files, real drives and a real catalog, wired as the product wires it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from nualley.catalog import Origin
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.core import Clock, SystemClock, digest_file, unescape_name
from nualley.daq import DaqSettings
from nualley.ingest import Copies, Ingest, IngestSettings, Intake, OwnPlaces, RegisteredDrives, Watcher
from nualley.ingest.adapters.claims import FileClaims
from nualley.ingest.adapters.posix import PosixDropFiles
from nualley.ingest.adapters.raw import DaqRawFiles, DetectorFormat
from nualley.storage import MARKER_NAME, Drive, DriveMarker, DriveRole, DropSettings, DurableFiles, Volumes, VolumeState
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes
from tests.unit.ingest.world import TEMPLATE, MemoryRunTimes

DETECTOR = "hpge"


class SeparateVolumes:
    """The real volumes, but each path as a device of its own: folders of one file system stand for drives."""

    def __init__(self) -> None:
        self._volumes = PosixVolumes()

    def state(self, path: Path) -> VolumeState:
        return replace(self._volumes.state(path), device=path.stat().st_ino)

    def mark(self, path: Path, name: str) -> DriveMarker:
        return self._volumes.mark(path, name)


class RealSite:
    """All parts of ingest below one folder: ``drop``, ``data1`` ..., ``catalog.sqlite``."""

    def __init__(
        self,
        folder: Path,
        *,
        n_drives: int = 1,
        drives: Sequence[Drive] | None = None,
        settings: IngestSettings | None = None,
        clock: Clock | None = None,
        files: DurableFiles | None = None,
        volumes: Volumes | None = None,
        wrap_catalog: Callable[[SqlCatalog], Any] = lambda catalog: catalog,
        busy_timeout_ms: int = 30_000,
    ) -> None:
        self.folder = folder
        self.drop = folder / "drop"
        self.drop.mkdir(exist_ok=True, parents=True)
        self.clock = clock or SystemClock()
        self.settings = settings or IngestSettings(settle_s=0, poll_s=0.01)
        if drives is None:
            drives = [Drive(f"data{n}", folder / f"data{n}", DriveRole.RAW, 1.0) for n in range(1, n_drives + 1)]
            for drive in drives:
                drive.path.mkdir(exist_ok=True)
        self.drives = drives
        self.catalog: SqlCatalog = wrap_catalog(
            open_catalog(folder / "catalog.sqlite", clock=self.clock, busy_timeout_ms=busy_timeout_ms)
        )
        self.run_times = MemoryRunTimes()
        self.raw_files = DaqRawFiles({DETECTOR: DetectorFormat("wavedump", DaqSettings())})
        drop_files = PosixDropFiles()
        self.copies = Copies(
            files or PosixFiles(),
            RegisteredDrives(self.drives, volumes or SeparateVolumes(), self.catalog),
            claims=FileClaims(folder / "run"),
            template=TEMPLATE,
            n_copies=self.settings.copies,
            clock=self.clock,
        )
        self.intake = Intake(
            self.catalog,
            self.raw_files,
            self.copies,
            settings=self.settings,
            own=OwnPlaces(None, tuple(self.drives), TEMPLATE, frozenset((DETECTOR,))),
            origin=Origin(),
            clock=self.clock,
        )
        self.ingest = Ingest(self.catalog, self.intake, run_times=self.run_times, drop_files=drop_files)
        self.watcher = Watcher(
            self.catalog,
            self.ingest,
            self.intake,
            drops=[DropSettings(path=self.drop, detector=DETECTOR)],
            drop_files=drop_files,
            settings=self.settings,
            clock=self.clock,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.catalog.close()

    def check_replicas(self) -> dict[str, int]:
        """See that the catalog and the drives agree; return the number of replicas by run and file name."""
        known: set[str] = set()
        n_by_file: dict[str, int] = {}
        for run in self.catalog.runs():
            for file in self.catalog.files(run.run_id):
                replicas = self.catalog.replicas(file.file_id)
                n_by_file[f"{run.run_id}/{file.name}"] = len(replicas)
                for replica in replicas:
                    path = unescape_name(replica.path)
                    assert digest_file(Path(path)) == file.digests
                    assert path not in known
                    known.add(path)
        lying = {os.fspath(path) for drive in self.drives for path in drive.path.rglob("*") if not path.is_dir()}
        lying -= {os.fspath(drive.path / MARKER_NAME) for drive in self.drives}
        assert lying == known
        return n_by_file
