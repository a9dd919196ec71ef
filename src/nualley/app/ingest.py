"""Ingest, wired: readers, drives, catalog, and run times from archived PVs."""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from nualley.app.origins import origin_of
from nualley.app.site import Site
from nualley.archive import ArchiveMissingError
from nualley.core import SECOND_NS, Clock, IntegrityError, UnreachableError
from nualley.daq import DaqSettings
from nualley.experiment import Detector
from nualley.exposure import DaqSources, PvHistory, daq_sources, read_run_stretches
from nualley.exposure.adapters.archive import ArchiveHistory, NoHistory
from nualley.ingest import (
    Copies,
    Ingest,
    Intake,
    OwnPlaces,
    RegisteredDrives,
    RunTime,
    RunTimes,
    Watcher,
    join_stretches,
)
from nualley.ingest.adapters.claims import FileClaims
from nualley.ingest.adapters.posix import PosixDropFiles
from nualley.ingest.adapters.raw import DaqRawFiles, DetectorFormat
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes

_DAY_S = 86_400
_log = structlog.get_logger(__name__)
# a run is looked for in the last hours first: the archive of years is only read where it is not there
_WINDOWS_NS = tuple(round(seconds * SECOND_NS) for seconds in (7200, 2 * _DAY_S, 60 * _DAY_S, 30 * 366 * _DAY_S))

_N_NARROW = 2
_WIDE_AGAIN_NS = 600 * SECOND_NS


class PvRunTimes:
    """`nualley.ingest.RunTimes` from archived run PVs.

    Parameters
    ----------
    history : PvHistory
        The archive.
    detectors : mapping of str to Detector
        Which PVs tell of each one's runs.
    clock : Clock
        Where the search begins.
    """

    def __init__(self, history: PvHistory, detectors: Mapping[str, Detector], clock: Clock) -> None:
        self._history = history
        self._detectors = detectors
        self._clock = clock
        self._wide_search_ns: dict[tuple[str, int], int] = {}

    def find(self, detector: str, number: int) -> RunTime | None:
        """Return when a run was; None where the PVs do not tell of it.

        Raises
        ------
        UnreachableError
            Where they cannot be read: a damaged archive costs runs their times until it is whole again, and no run
            its files.
        """
        try:
            return self._find(detector, number)
        except IntegrityError as error:
            _log.warning("the times of a run cannot be read", run=f"{detector}-{number}", what=error.what, do=error.do)
            raise UnreachableError(error.what, where=error.where, do=error.do) from error

    def _find(self, detector: str, number: int) -> RunTime | None:
        sources = daq_sources(self._detectors.get(detector))
        if sources.run is None:
            return None
        now_ns = self._clock.now_ns()
        for window_ns in self._windows_ns(detector, number, now_ns):
            start_ns = now_ns - window_ns
            stretches = read_run_stretches(self._history, sources, start_ns, now_ns)
            of_run = [stretch for stretch in stretches if stretch.number == number]
            # what reaches over the edge of the window may have begun, or been paused, before it
            if of_run and (of_run[0].start_ns >= start_ns or window_ns == _WINDOWS_NS[-1]):
                return join_stretches(of_run, heard_until_ns=self._heard_until_ns(sources))
        return None

    def _windows_ns(self, detector: str, number: int, now_ns: int) -> tuple[int, ...]:
        # a run that is nowhere in years is not looked for in years at each look
        if now_ns < self._wide_search_ns.get((detector, number), 0):
            return _WINDOWS_NS[:_N_NARROW]
        self._wide_search_ns[detector, number] = now_ns + _WIDE_AGAIN_NS
        return _WINDOWS_NS

    def _heard_until_ns(self, sources: DaqSources) -> int:
        return min(self._history.alive_until_ns(pv) for pv in (sources.run, sources.state) if pv is not None)


def run_times(site: Site) -> RunTimes:
    """Return when runs were, as the site's archive tells."""
    try:
        history: PvHistory = ArchiveHistory(site.archive())
    except ArchiveMissingError:
        history = NoHistory()
    return PvRunTimes(history, site.configuration.detectors, site.clock)


def make_intake(site: Site) -> Intake:
    """Return what takes one file in: its reader, its copies, its record."""
    configuration = site.configuration
    catalog, drives = site.catalog(), configuration.storage.to_drives()
    copies = Copies(
        PosixFiles(),
        RegisteredDrives(drives, PosixVolumes(), catalog),
        claims=FileClaims(configuration.store / "run"),
        template=configuration.storage.replica_path,
        n_copies=configuration.ingest.copies,
        clock=site.clock,
        remotes=configuration.storage.remotes,
    )
    formats = {detector: _format(found) for detector, found in configuration.detectors.items()}
    # links resolved as in the paths of the files that are found
    own = OwnPlaces(
        store=configuration.store.resolve(),
        drives=tuple(replace(drive, path=drive.path.resolve()) for drive in drives),
        template=configuration.storage.replica_path,
        detectors=frozenset(configuration.detectors),
    )
    return Intake(
        catalog,
        DaqRawFiles(formats),
        copies,
        settings=configuration.ingest,
        own=own,
        origin=origin_of(site),
        clock=site.clock,
    )


def make_ingest(site: Site, intake: Intake | None = None) -> Ingest:
    """Return what takes files in by hand.

    Parameters
    ----------
    site : Site
        The experiment.
    intake : Intake, optional
        One that is there already.
    """
    return Ingest(site.catalog(), intake or make_intake(site), run_times=run_times(site), drop_files=PosixDropFiles())


def make_watcher(site: Site) -> Watcher:
    """Return what looks after the drop directories."""
    intake = make_intake(site)
    return Watcher(
        site.catalog(),
        make_ingest(site, intake),
        intake,
        drops=site.configuration.storage.drop,
        drop_files=PosixDropFiles(),
        settings=site.configuration.ingest,
        clock=site.clock,
    )


def _format(detector: Detector) -> DetectorFormat:
    daq = detector.daq
    if daq is None:
        return DetectorFormat()
    settings = {name: getattr(daq, name) for name in DaqSettings.model_fields}
    return DetectorFormat(daq.format, DaqSettings(**settings))
