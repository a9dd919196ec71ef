"""Drop directories that opted in are purged by the worker, and every look is told."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from nualley.app.site import Site
from nualley.app.stopping import pause
from nualley.core import NualleyError, reason
from nualley.replicas import PurgeReport
from nualley.storage.adapters.priority import step_back

LOOK_S = 600.0
"""The worker looks so often at drop directories with ``purge`` [s]."""

_log = structlog.get_logger()


class PurgeRoutine:
    """What the worker purges, again and again.

    Parameters
    ----------
    site : Site
        The experiment; its worker's lock is held.
    look_s : float
        So often [s].
    """

    def __init__(self, site: Site, look_s: float = LOOK_S) -> None:
        self._site = site
        self._look_s = look_s
        self._drops = tuple(drop for drop in site.configuration.storage.drop if drop.purge is not None)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set; a file under way is finished first."""
        if not self._drops:
            return
        from nualley.app.reclaim import Reclaim  # pyarrow is heavy

        with ThreadPoolExecutor(1, "nualley-purge", initializer=step_back) as thread:
            loop = asyncio.get_running_loop()
            parts = await loop.run_in_executor(thread, lambda: Reclaim(self._site, stop.is_set))
            while not stop.is_set():
                # who starts the product looks at it first
                await pause(stop, self._look_s)
                if not stop.is_set():
                    await loop.run_in_executor(thread, self._look, parts.purger.look, stop.is_set)

    def _look(self, look: Callable[..., list[PurgeReport]], should_stop: Callable[[], bool]) -> None:
        try:
            reports = look(self._drops, should_stop)
        except NualleyError as error:  # the next look tries again
            _log.error("PURGE FAILED; nothing more goes", what=error.what, where=error.where, do=error.do)
        except OSError as error:
            _log.error("PURGE FAILED; nothing more goes", what=reason(error), where=str(error.filename or ""))
        else:
            for report in reports:
                tell_purge(report)


def tell_purge(report: PurgeReport) -> None:
    """Log what a look came to: every file that went, would go, or could not."""
    said = {name: value for name, value in report.to_json().items() if name not in ("looked_ns", "problems") and value}
    if report.mode == "refused":
        _log.error("PURGE REFUSED; nothing goes", **said)
    elif report.n_due or report.n_moved or report.n_deleted:
        _log.info("purge", **said)
    for problem in report.problems:
        _log.warning("purge left a file", path=report.path, what=problem)
