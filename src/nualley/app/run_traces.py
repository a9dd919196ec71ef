"""The part of the worker that keeps the average trace of each run, in a thread of its own beside the intake."""

import asyncio
import threading

import structlog

from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.app.trace_rules import declared_rule
from nualley.archive import ArchiveMissingError
from nualley.core import NualleyError, reason
from nualley.exposure import TraceRows
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.exposure.service import Exposures
from nualley.exposure.trace_keeping import TraceKeeping, Unkept

KEEP_S = 60.0
"""Runs are looked at so often, whether one ended or something came late [s]."""

_log = structlog.get_logger()


class StoppedError(NualleyError):
    """The process stops; what was under way is done again by the next one."""


class _StoppableHistory(ArchiveHistory):
    """An archive that reads no further once the process is to stop: an average of a day of traces takes minutes."""

    stopped: threading.Event

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:
        if self.stopped.is_set():
            raise StoppedError("stopped", do="nothing: the next start goes on")
        return super().read_traces(pv, start_ns, stop_ns)


async def keep_run_traces(site: Site, stop: asyncio.Event) -> None:
    """Keep the average trace of each run that ended, until ``stop`` is set.

    Parameters
    ----------
    site : Site
        The experiment; only its configuration and clock are used: what is opened here nobody else uses.
    stop : asyncio.Event
        Ends it.
    """
    if site.configuration.beam.trace is None:
        return
    own, stopped = Site(site.configuration, site.clock), threading.Event()
    keeping: TraceKeeping | None = None
    while not stop.is_set():
        look = asyncio.create_task(asyncio.to_thread(_look, own, keeping, stopped))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({look, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            stopped.set()
        waiting.cancel()
        keeping = await look
        await pause(stop, KEEP_S)


def _look(site: Site, keeping: TraceKeeping | None, stopped: threading.Event) -> TraceKeeping | None:
    try:
        keeping = keeping or open_keeping(site, stopped)
        for found in keeping.keep(stopped.is_set):
            if isinstance(found, Unkept):
                if not isinstance(found.error, StoppedError):
                    _log.warning("trace not kept", run_id=found.run_id, what=found.error.what, do=found.error.do)
            else:
                trace = found.trace
                _log.info("trace kept", run_id=trace.run_id, n=trace.n, n_vetoed=trace.n_vetoed, source=trace.source)
    except ArchiveMissingError:
        return None  # nothing was archived yet
    except (NualleyError, OSError) as error:
        what = error.what if isinstance(error, NualleyError) else reason(error)
        _log.error("traces of runs not kept", what=what, do="the next look tries again")
    return keeping


def open_keeping(site: Site, stopped: threading.Event) -> TraceKeeping:
    """Return what keeps the traces of a site's runs.

    Parameters
    ----------
    site : Site
        The experiment; it declares a trace.
    stopped : threading.Event
        Once it is set, nothing more is read.

    Raises
    ------
    ArchiveMissingError
        Where nothing was archived yet.
    """
    configuration = site.configuration
    source = configuration.beam.trace
    pv = source.pv if source else ""
    history = _StoppableHistory(site.archive())
    history.stopped = stopped
    exposures = Exposures(
        history,
        site.catalog(),
        beam=configuration.beam,
        detectors=configuration.detectors,
        clock=site.clock,
        trace_rule=declared_rule(configuration, pv),
    )
    return TraceKeeping(exposures, history, site.catalog(), site.kept_traces(), pv=pv, clock=site.clock)
