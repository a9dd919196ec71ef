"""What the pages need of the world: one site, with its archive, record of runs, exposures, drives and live bus."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from nualley.archive import Account, LastValue, Ledger
from nualley.catalog import (
    Catalog,
    CatalogContent,
    FileRecord,
    FileUsage,
    Note,
    Replica,
    Run,
    RunLists,
    Totals,
    UsageKey,
)
from nualley.config import Configuration
from nualley.core import CheckResult, Clock
from nualley.exposure import Delivered, RunExposure
from nualley.pv import Push, Subscriber
from nualley.storage import DriveUsage


class Rot(Protocol):
    """What the damage that was met means for one PV."""

    def files(self, pv: str, start_ns: int, stop_ns: int) -> Mapping[str, str]:
        """Return the damaged files that an answer had to do without, and what is wrong with each."""
        ...


class Archive(Protocol):
    """The archive's reader, as far as the pages need it."""

    @property
    def rot(self) -> Rot:
        """What the damage that was met means for a PV."""
        ...

    def damages(self) -> Sequence[str]:
        """Return what was found damaged or missing among the sealed files so far."""
        ...

    def account(self) -> Account:
        """Return how far it is synced."""
        ...

    def last(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        """Return last values; no names means all."""
        ...

    def ledger(self) -> Ledger:
        """Return the account of all samples."""
        ...

    def record(self, pv: str) -> Any:
        """Return what is known of a PV: ``metadata`` with its unit, or None until its IOC was heard."""
        ...

    def count_rows(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many rows a PV has in a stretch."""
        ...

    def read(self, pv: str, start_ns: int, stop_ns: int) -> Any:
        """Return a PV's rows as a pyarrow.Table; the last sample at or before the start comes first."""
        ...

    def bins(self, pv: str, start_ns: int, stop_ns: int, n_bins: int, *, is_exact: bool = False) -> Any:
        """Return a stretch in pieces, as a pyarrow.Table with `nualley.archive.BIN_COLUMNS`."""
        ...

    def history(self, pv: str, start_ns: int, stop_ns: int) -> Any:
        """Return a PV's rows as a pyarrow.Table, with the connection rows that tell what is known."""
        ...

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        ...


class Record(Protocol):
    """The catalog, as far as the pages need it."""

    @property
    def run_lists(self) -> RunLists:
        """Flags and selections."""
        ...

    def seen_from(self, drives: Mapping[str, Path]) -> Catalog:
        """Return the same catalog for a host where drives, by name, are at these paths."""
        ...

    def runs(
        self,
        *,
        detector: str | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        tag: str | None = None,
    ) -> list[Run]:
        """Return the runs that overlap a stretch, by start."""
        ...

    def run(self, run_id: str) -> Run:
        """Return a run. RunNotFound names the nearest."""
        ...

    def notes(self, run_id: str) -> list[Note]:
        """Return the notes of a run."""
        ...

    def totals(self, run_id: str | None = None) -> Totals:
        """Return counts over a run."""
        ...

    def files(self, run_id: str) -> list[FileRecord]:
        """Return the files of a run, by name."""
        ...

    def file(self, file_id: int) -> FileRecord:
        """Return a file by its number."""
        ...

    def files_by_digest(self, xxh3_128: str) -> list[FileRecord]:
        """Return the files with these bytes."""
        ...

    def replicas(self, file_id: int) -> list[Replica]:
        """Return the places of a file."""
        ...

    def replica_at(self, drive: str, path: str) -> Replica | None:
        """Return what is known to lie at a path, None where nothing is."""
        ...

    def usage(self, by: Sequence[UsageKey]) -> list[FileUsage]:
        """Return what lies on drives."""
        ...

    def totals_by_run(self) -> Mapping[str, Totals]:
        """Return counts for every run."""
        ...


class Exposures(Protocol):
    """Protons and live time, as far as the pages need them."""

    def run_exposure(self, run: Run) -> RunExposure:
        """Return what a run got of the beam."""
        ...

    def delivered(self, start_ns: int, stop_ns: int) -> Delivered:
        """Return what the accelerator delivered in an interval."""
        ...


class Site(Protocol):
    """One experiment and its store; `nualley.app` makes it."""

    @property
    def configuration(self) -> Configuration:
        """What the experiment repository says."""
        ...

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""
        ...

    def check_detector(self, detector: str, *, where: str = ...) -> None:
        """Refuse a detector that nobody knows: UsageError."""
        ...

    def check_drive(self, drive: str, *, where: str = ...) -> None:
        """Refuse a drive or remote that nobody knows: UsageError."""
        ...

    def archive(self) -> Archive:
        """Return the archive's reader. ArchiveMissingError while nothing was archived yet."""
        ...

    def last_values(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        """Return last values and how PVs stand, without names of all that are archived or declared."""
        ...

    def open_archive(self) -> Archive:
        """Return a reader of the archive that nobody else uses. ArchiveMissingError while nothing was archived yet."""
        ...

    def catalog(self) -> Record:
        """Return the record of runs."""
        ...

    def catalog_copy(self) -> AbstractContextManager[tuple[Path, CatalogContent]]:
        """Return a copy of the record as a file, which is gone afterwards, and what it holds."""
        ...

    def exposures(self) -> Exposures:
        """Return what tells protons and live time."""
        ...

    def drive_usages(self) -> Sequence[DriveUsage]:
        """Return how full every drive is."""
        ...

    def archive_files(self) -> Sequence[CheckResult]:
        """Return what was found damaged among the sealed files of the archive."""
        ...

    def processes(self) -> Sequence[CheckResult]:
        """Return whether each of the experiment's processes runs."""
        ...

    async def push(self, push: Push, pusher: str) -> Mapping[str, Any]:
        """Hand samples to the archive, and return what became of them once that is durable."""
        ...

    def live(self) -> Subscriber:
        """Return a new listener at the live bus; called in the running event loop."""
        ...
