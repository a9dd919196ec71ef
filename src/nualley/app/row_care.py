"""Looking after the rows of the beam: when a person asks for it, and about once a minute in the worker."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from nualley.app.errors import RoleTakenError
from nualley.app.locks import hold_role
from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.archive import ArchiveMissingError
from nualley.core import DAY_NS, HOUR_NS, NualleyError, reason
from nualley.exposure.row_keeper import Look, RowKeeper, RowsReport

ROWS_ROLE = "rows"
"""Whoever makes rows holds the role of this name: one at a time."""

ROWS_EVERY_S = 60.0
"""The worker looks so often whether there is something to do [s]."""

_log = structlog.get_logger()


@contextlib.contextmanager
def holding_rows(site: Site) -> Iterator[RowKeeper]:
    """Open an experiment's rows for whoever makes them or compares them with samples.

    Parameters
    ----------
    site : Site
        The experiment.

    Yields
    ------
    RowKeeper
        Who makes them.

    Raises
    ------
    RoleTakenError
        Where another process makes rows now.
    ArchiveMissingError
        Where nothing was archived yet.
    """
    keeper = site.row_keeper()
    with hold_role(site.configuration.store, ROWS_ROLE, site.clock):
        yield keeper


def look_after_rows(site: Site, task: str, progress: Callable[[str, int, int], None]) -> RowsReport:
    """Do what a person asked for.

    Parameters
    ----------
    site : Site
        The experiment.
    task : {"update", "rebuild", "verify"}
        What.
    progress : callable
        Takes the name of a series, days done and days in all.

    Raises
    ------
    RoleTakenError
        Where another process makes rows now.
    ArchiveMissingError
        Where nothing was archived yet.
    """
    with holding_rows(site) as keeper:
        if task == "verify":
            return keeper.verify(progress)
        return keeper.update(Look.AT_NOTHING if task == "rebuild" else Look.INTO_FILES, progress=progress)


class RowsRoutine:
    """What the worker does about rows: about once a minute, where something has changed since the last time.

    Parameters
    ----------
    site : Site
        The experiment.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._keeper: RowKeeper | None = None
        self._seen: tuple[object, ...] = ()
        self._day = -1
        self._told: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until ``stop`` is set; a day under way is finished first.

        Parameters
        ----------
        stop : asyncio.Event
            Ends it.
        """
        while not stop.is_set():
            await asyncio.to_thread(self.look, stop.is_set)
            await pause(stop, ROWS_EVERY_S)

    def look(self, should_stop: Callable[[], bool] = bool) -> RowsReport | None:
        """Make what is missing.

        Parameters
        ----------
        should_stop : callable
            Asked between days.

        Returns
        -------
        RowsReport or None
            How the rows stand; None where nothing was looked at.
        """
        now_ns = self._site.clock.now_ns()
        state = (now_ns // HOUR_NS, *_changes_of(self._site.archive_folder))
        if state == self._seen:
            return None
        try:
            with hold_role(self._site.configuration.store, ROWS_ROLE, self._site.clock):
                report = self._update(now_ns, should_stop)
        except (ArchiveMissingError, RoleTakenError):  # nothing to do, or somebody else is at it
            return None
        except NualleyError as error:
            # whoever asks reads samples meanwhile, and the next look tries again
            _log.error("rows not kept", what=error.what, where=error.where, do=error.do)
            return None
        except OSError as error:
            _log.error("rows not kept", what=reason(error), where=str(error.filename or ""))
            return None
        if not should_stop():
            self._seen, self._day = state, now_ns // DAY_NS
        self._tell(report)
        return report

    def _update(self, now_ns: int, should_stop: Callable[[], bool]) -> RowsReport:
        self._keeper = self._keeper or self._site.row_keeper()
        # once a day all files are read: one that is damaged is found and made anew
        look = Look.AT_NAMES if now_ns // DAY_NS == self._day else Look.INTO_FILES
        return self._keeper.update(look, should_stop=should_stop)

    def _tell(self, report: RowsReport) -> None:
        for damage in set(report.damages) - self._told:
            _log.warning("rows damaged and not used", what=damage)
        self._told |= set(report.damages)
        for series in report.series:
            if series.n_made or series.n_without:
                _log.info("rows made", series=series.series.name, n_days=series.n_made, n_without=series.n_without)


def _changes_of(archive: Path) -> list[tuple[int, int]]:
    """Return what changes whenever something is sealed, imported or renamed."""
    found = []
    for name in ("index.sqlite", "changes.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            stat = (archive / name).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
    return found
