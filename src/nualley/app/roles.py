"""The product's processes, one function a role."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from nualley.app.archive import open_archive_writer
from nualley.app.archive_process import ArchiveProcess
from nualley.app.keeper import ChildKeeper
from nualley.app.locks import ROLES, hold_role
from nualley.app.runtime import bus_endpoint, forget_bus
from nualley.app.site import Site
from nualley.app.stopping import Stop, run_until_stopped
from nualley.app.supervisor import Supervisor, start_role
from nualley.config import Configuration
from nualley.core import ExitCode, NualleyError
from nualley.pv import Publisher, PvRequest, Source

_log = structlog.get_logger()


def pv_requests(configuration: Configuration) -> list[PvRequest]:
    """Return what is to be archived: every PV of every group, once, by name."""
    policies = {pv: policy for group in configuration.pv_groups.values() for pv, policy in group.pv.items()}
    return [PvRequest(pv, policy.events) for pv, policy in sorted(policies.items())]


class SilentPublisher:
    """Says nothing: stands where there is no live bus."""

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        """Say nothing."""

    async def close(self) -> None:
        """Close nothing."""


def open_publisher(store: Path) -> Publisher:
    """Return the speaking end of a store's live bus, or one that is silent: without live values data are still taken.

    Parameters
    ----------
    store : Path
        The store.
    """
    from nualley.pv.adapters.bus import ZmqPublisher  # ZeroMQ is heavy

    try:
        return ZmqPublisher(bus_endpoint(store))
    except NualleyError as error:
        _log.error("NO LIVE VALUES; the archive goes on", what=error.what, where=error.where, do=error.do)
        return SilentPublisher()


def run_archive(site: Site) -> ExitCode:
    """Archive until SIGTERM or Ctrl-C; what was received by then is durable when it returns.

    Raises
    ------
    RoleTakenError
        Where another process archives into this store.
    """

    async def work(stop: asyncio.Event) -> None:
        # libca reads its environment once, when the adapter makes its context
        from nualley.pv.adapters.ca import CaSource

        configuration = site.configuration
        writer = open_archive_writer(site.archive_folder, configuration.archive, site.clock)
        sources: Sequence[tuple[Source, Sequence[PvRequest]]] = [
            (CaSource(configuration.epics, clock=site.clock), pv_requests(configuration))
        ]
        process = ArchiveProcess(
            writer,
            sources,
            publisher=open_publisher(configuration.store),
            keeper=ChildKeeper(site.archive_folder),
            settings=configuration.archive,
            clock=site.clock,
        )
        await process.run(stop)

    with hold_role(site.configuration.store, "archive", site.clock):
        try:
            return run_until_stopped(work)
        finally:
            forget_bus(site.configuration.store)


def run_worker(site: Site) -> ExitCode:
    """Take in what DAQs drop until SIGTERM or Ctrl-C; a copy under way is finished or left as a part.

    Raises
    ------
    RoleTakenError
        Where another worker serves this store.
    """

    async def work(stop: asyncio.Event) -> None:
        from nualley.app.worker import Worker  # readers and adapters are heavy

        await Worker(site).run(stop)

    with hold_role(site.configuration.store, "worker", site.clock):
        return run_until_stopped(work)


def run_all(site: Site, roles: Sequence[str] = ROLES) -> ExitCode:
    """Run every role as a process of its own until SIGTERM or Ctrl-C.

    Raises
    ------
    RoleTakenError
        Where the store is served already.
    """
    configuration, stop = site.configuration, Stop()

    async def supervise() -> ExitCode:
        start = start_role(Path(configuration.directory))
        return await Supervisor(roles, start=start, store=configuration.store, stop=stop).run()

    with hold_role(configuration.store, "up", site.clock), stop.on_signals():
        _log.info("up", experiment=configuration.experiment.name, pid=os.getpid())
        return asyncio.run(supervise())
