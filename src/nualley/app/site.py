"""One experiment, opened: its configuration, and each part of the product when it is asked for."""

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nualley import __version__
from nualley.app.locks import ROLES, check_role, role_state
from nualley.archive import ArchiveMissingError, LastValue, Loss, PvSummary
from nualley.catalog.wire import TOKEN_VARIABLE
from nualley.config import Configuration, find_experiment, load
from nualley.core import CheckResult, Clock, IntervalSet, NualleyError, SystemClock, UsageError, nearest

# parts are imported when a command asks for them: the catalog alone must be quick to open
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from nualley.app.standing import Standing
    from nualley.archive.reader import ArchiveReader
    from nualley.catalog import Catalog, CatalogContent, Run
    from nualley.exposure import KeptTraces
    from nualley.exposure.adapters.archive import ArchiveHistory, NoHistory
    from nualley.exposure.adapters.row_files import RowFolder
    from nualley.exposure.row_keeper import RowKeeper
    from nualley.exposure.service import Exposures
    from nualley.pv import Push, Subscriber
    from nualley.selection.service import Selections
    from nualley.storage import DriveUsage

PUSH_S = 20.0
"""The archive gets so long to say that pushed samples are durable [s]."""


class Site:
    """One experiment and its store.

    Parameters
    ----------
    configuration : Configuration
        The experiment repository, checked.
    clock : Clock, optional
        Where the time comes from; the machine's by default.
    """

    def __init__(self, configuration: Configuration, clock: Clock | None = None) -> None:
        self.configuration = configuration
        self.clock = clock or SystemClock()

    @property
    def archive_folder(self) -> Path:
        """Where the archive is."""
        return self.configuration.store / "archive"

    @property
    def fill_folder(self) -> Path:
        """Where it is kept how full the drives were."""
        return self.configuration.store / "fill"

    def open_archive(self) -> "ArchiveReader":
        """Return a reader of the archive that nobody else uses: for a thread of its own.

        Raises
        ------
        ArchiveMissingError
            Where nothing was archived yet.
        """
        from nualley.app.archive import open_archive_reader  # pyarrow is heavy

        return open_archive_reader(self.archive_folder, self.clock)

    @cached_property
    def _reader(self) -> "ArchiveReader":
        return self.open_archive()

    def archive(self) -> "ArchiveReader":
        """Return the archive, for reading.

        Raises
        ------
        ArchiveMissingError
            Where nothing was archived yet.
        """
        return self._reader

    @cached_property
    def _standing(self) -> "Standing":
        from nualley.app.standing import Standing  # pyarrow is heavy
        from nualley.archive.adapters.changes_file import ChangesFile

        return Standing(self.configuration, ChangesFile(self.archive_folder))

    def last_values(self, pvs: Sequence[str] = ()) -> list[LastValue]:
        """Return last values and how PVs stand; see `nualley.app.standing.Standing.last`.

        Raises
        ------
        ArchiveMissingError
            Where nothing was archived yet.
        PvNotArchivedError
            Where the archive does not know one.
        """
        return self._standing.last(self.archive(), pvs)

    def pv_summaries(self) -> list[PvSummary]:
        """Return the account of every PV over all of its names, and how it stands.

        Raises
        ------
        ArchiveMissingError
            Where nothing was archived yet.
        """
        return self._standing.summaries(self.archive())

    def new_losses(self) -> list[Loss]:
        """Return what the archive's log has lost and its index does not tell yet; none where nothing was archived."""
        try:
            return self.archive().new_losses()
        except ArchiveMissingError:
            return []

    def damages(self) -> list[str]:
        """Return which sealed files of the archive an answer had to leave out because they are damaged or missing."""
        try:
            return self.archive().damages()
        except ArchiveMissingError:
            return []

    @cached_property
    def _catalog(self) -> "Catalog":
        self.configuration.store.mkdir(parents=True, exist_ok=True)
        drives = {drive.name: drive.path for drive in self.configuration.storage.to_drives()}
        if web := self.configuration.catalog.web:
            from nualley.catalog.adapters.web_catalog import open_web_catalog  # no other command needs it

            return open_web_catalog(web, os.environ.get(TOKEN_VARIABLE, ""), drives=drives)
        from nualley.catalog.adapters.sql import open_catalog  # SQLAlchemy is heavy

        location = self.configuration.catalog.location(self.configuration.store)
        return open_catalog(location, clock=self.clock, drives=drives, livetimes_s=self.livetimes_s)

    def catalog(self) -> "Catalog":
        """Return the catalog; a missing one is made."""
        return self._catalog

    def catalog_copy(self) -> "AbstractContextManager[tuple[Path, CatalogContent]]":
        """Return a copy of the catalog as a SQLite file, which is gone afterwards, and what it holds."""
        from nualley.app.catalog_copies import temporary_copy  # SQLAlchemy is heavy

        return temporary_copy(self.configuration)

    def check_detector(self, detector: str, *, may_be_recorded: bool = True, where: str = "--detector") -> None:
        """Refuse a detector that nobody knows.

        Parameters
        ----------
        detector : str
            Its id.
        may_be_recorded : bool
            Whether one that is no longer described may be meant, as long as it has runs.
        where : str
            Where it was written.

        Raises
        ------
        UsageError
            Where the experiment repository does not describe it; names the nearest one.
        """
        known = self.configuration.detectors
        if detector in known or (may_be_recorded and self.catalog().runs(detector=detector)):
            return
        near = nearest(detector, known)
        raise UsageError(
            f"{detector!r} is not a detector of this experiment",
            where=where,
            do=f"did you mean {near!r}?" if near else f"one of {', '.join(known)}",
        )

    def check_drive(self, drive: str, *, where: str = "--drive") -> None:
        """Refuse a drive or remote that nobody knows.

        Parameters
        ----------
        drive : str
            Its name; one that is no longer described may be meant, as long as the catalog has something of it.
        where : str
            Where it was written.

        Raises
        ------
        UnknownDrive
            Where ``drives.toml`` does not name it; names the nearest one.
        """
        from nualley.storage import UnknownDrive

        storage = self.configuration.storage
        known = [*storage.drives, *storage.remotes]
        if drive in known or drive in self.catalog().drive_ids():
            return
        if any(row.drive == drive for row in self.catalog().usage(["drive"])):
            return
        raise UnknownDrive.named(drive, known, where=where)

    def run(self, run_id: str) -> "Run":
        """Return a recorded run.

        Parameters
        ----------
        run_id : str
            ``<detector>-<number>``.

        Raises
        ------
        UsageError
            Where there is no such detector or no such run; names the nearest one.
        """
        from nualley.catalog import RunNotFound

        try:
            return self.catalog().run(run_id)
        except RunNotFound as error:
            self.check_detector(run_id.rpartition("-")[0])
            raise UsageError(error.what, where="RUN", do=error.do) from None

    def exposures(self) -> "Exposures":
        """Return protons, energy and live time of runs and intervals."""
        from nualley.app.rows import kept_rows  # NumPy and pyarrow are heavy
        from nualley.app.trace_rules import declared_rule
        from nualley.exposure.service import Exposures

        beam, history = self.configuration.beam, self._history()
        return Exposures(
            history,
            self.catalog(),
            beam=beam,
            detectors=self.configuration.detectors,
            clock=self.clock,
            trace_rule=declared_rule(self.configuration, beam.trace.pv if beam.trace else ""),
            rows=kept_rows(self._row_files, history, self.configuration.detectors),
        )

    def livetimes_s(self, runs: "Sequence[Run]") -> list[float | None]:
        """Return the live time of runs [s]: less DAQ pauses and dead time, up to now of one that goes on.

        Parameters
        ----------
        runs : sequence of Run
            The runs.

        Returns
        -------
        list of float or None
            One for each; None where it is not known when the run was.
        """
        exposures = self.exposures()
        times = [interval for interval, _ in exposures.times(runs)]
        asked = [(run.detector, IntervalSet((found,))) for run, found in zip(runs, times, strict=True) if found]
        amounts = iter(exposures.amounts(asked) if asked else ())
        return [next(amounts).livetime_s if found else None for found in times]

    def kept_traces(self) -> "KeptTraces":
        """Return where average traces of runs are kept for good."""
        from nualley.exposure.adapters.kept_traces import TraceFolder  # pyarrow is heavy

        return TraceFolder(self.configuration.store / "exposure" / "traces")

    @cached_property
    def _row_files(self) -> "RowFolder":
        from nualley.app.rows import rows_folder  # NumPy and pyarrow are heavy
        from nualley.exposure.adapters.row_files import RowFolder

        return RowFolder(rows_folder(self.configuration.store))

    def row_keeper(self) -> "RowKeeper":
        """Return who makes rows of the beam, with a reader of the archive of its own: for a thread of its own.

        Raises
        ------
        ArchiveMissingError
            Where nothing was archived yet.
        """
        from nualley.app.rows import make_row_keeper  # NumPy and pyarrow are heavy
        from nualley.exposure.adapters.archive import ArchiveHistory

        return make_row_keeper(self.configuration, ArchiveHistory(self.open_archive()), self.clock)

    def row_damages(self) -> list[str]:
        """Return which files of rows were found damaged while questions were answered: samples were read instead."""
        return self._row_files.damages if "_row_files" in self.__dict__ else []

    def _history(self) -> "ArchiveHistory | NoHistory":
        from nualley.exposure.adapters.archive import ArchiveHistory, NoHistory  # NumPy and pyarrow are heavy

        try:
            return ArchiveHistory(self.archive())
        except ArchiveMissingError:  # runs may be there before anything is archived: their beam is unknown
            return NoHistory()

    def selections(self) -> "Selections":
        """Return the selections of the experiment."""
        from nualley.app.standing import declared_policies
        from nualley.selection import DescribedNames
        from nualley.selection.documents import Origin  # NumPy and pyarrow are heavy
        from nualley.selection.service import Selections

        return Selections(
            self.catalog(),
            archive=self._history,
            beam=self.exposures,
            files=self.configuration.selections,
            vocabulary=self.configuration.vocabulary,
            described=DescribedNames(
                detectors=self.configuration.detectors,
                flags=self.configuration.vocabulary.flag,
                pvs=declared_policies(self.configuration),
            ),
            origin=Origin(self.configuration.experiment.name, f"nualley {__version__}", socket.gethostname()),
            clock=self.clock,
        )

    def drive_usages(self) -> "list[DriveUsage]":
        """Return how full every drive is; what is not the drive that was registered counts as missing."""
        from nualley.storage import measure_drives
        from nualley.storage.adapters.posix import PosixVolumes

        drives = self.configuration.storage.to_drives()
        return list(measure_drives(drives, PosixVolumes(), self._drive_ids()))

    def _drive_ids(self) -> Mapping[str, str]:
        location = self.configuration.catalog.location(self.configuration.store)
        if isinstance(location, Path) and not location.exists():
            return {}
        try:
            return self.catalog().drive_ids()
        except NualleyError:  # where the record cannot be read, the drives are measured all the same
            return {}

    def processes(self) -> "list[CheckResult]":
        """Return whether each of the experiment's processes runs."""
        return [check_role(role_state(self.configuration.store, role)) for role in ROLES]

    def archive_files(self) -> "list[CheckResult]":
        """Return what was found damaged among the sealed files of the archive."""
        from nualley.app.sealed_files import check_sealed_files
        from nualley.archive import ArchiveMissingError

        try:
            files = self.archive().snapshot().files
        except ArchiveMissingError:
            return []
        return check_sealed_files(self.archive_folder, {file.path for file in files})

    async def push(self, push: "Push", pusher: str) -> "Mapping[str, Any]":
        """Hand pushed samples to the running archive, and return what became of them once that is durable.

        Parameters
        ----------
        push : Push
            The samples.
        pusher : str
            Who pushes: the name of the token.

        Returns
        -------
        mapping
            As `nualley.app.push_desk.PushDesk.push` says.

        Raises
        ------
        NoControlError
            Where the archive does not run, or does not answer.
        NualleyError
            What it answered.
        """
        from nualley.app.control import send_order
        from nualley.app.errors import NoControlError
        from nualley.pv import push_message

        state = role_state(self.configuration.store, "archive")
        if not state.control:
            raise NoControlError("the archive does not run", where="store", do="nualley up archive, then push again")
        return await send_order(state.control, "push", {"pusher": pusher, **push_message(push)}, timeout_s=PUSH_S)

    def live(self) -> "Subscriber":
        """Return a new listener to the live bus; needs a running event loop."""
        from nualley.app.runtime import bus_endpoint
        from nualley.pv.adapters.bus import ZmqSubscriber  # ZeroMQ is heavy

        return ZmqSubscriber(bus_endpoint(self.configuration.store))


def open_site(
    experiment: Path | None = None, environ: Mapping[str, str] | None = None, start: Path | None = None
) -> Site:
    """Find, check and open an experiment.

    Parameters
    ----------
    experiment : Path, optional
        What the user gave with ``--experiment``.
    environ : mapping of str to str, optional
        The environment; the process's own by default.
    start : Path, optional
        Where the search begins; the working directory by default.

    Raises
    ------
    NoExperimentError
        Where there is none.
    ConfigurationErrors
        Where the repository has mistakes; all of them at once.
    """
    found = os.environ if environ is None else environ
    return Site(load(find_experiment(start or Path.cwd(), found, experiment), found))
