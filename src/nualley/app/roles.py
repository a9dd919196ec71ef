"""The product's processes, one function a role."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from nualley.app.archive import open_archive_writer
from nualley.app.archive_process import ArchiveProcess
from nualley.app.locks import hold_role
from nualley.app.runtime import bus_endpoint
from nualley.app.site import Site
from nualley.app.supervisor import Supervisor, stop_on_signals
from nualley.config import Configuration
from nualley.core import ExitCode
from nualley.pv import PvRequest, Source

ROLES = ("archive", "worker", "web")
_log = structlog.get_logger()


def pv_requests(configuration: Configuration) -> list[PvRequest]:
    """Return what is to be archived: every PV of every group, once, by name."""
    policies = {pv: policy for group in configuration.pv_groups.values() for pv, policy in group.pv.items()}
    return [PvRequest(pv, policy.events) for pv, policy in sorted(policies.items())]


def run_archive(site: Site) -> ExitCode:
    """Archive until SIGTERM or SIGINT; what was received by then is durable when it returns.

    Raises
    ------
    RoleTakenError
        Where another process archives into this store.
    """
    with hold_role(site.configuration.store, "archive", site.clock):
        asyncio.run(_archive(site))
    return ExitCode.DONE


async def _archive(site: Site) -> None:
    # libca reads its environment once, when the adapter makes its context
    from nualley.pv.adapters.bus import ZmqPublisher
    from nualley.pv.adapters.ca import CaSource

    stop = asyncio.Event()
    stop_on_signals(stop)
    configuration = site.configuration
    writer = open_archive_writer(site.archive_folder, configuration.archive, site.clock)
    sources: Sequence[tuple[Source, Sequence[PvRequest]]] = [
        (CaSource(configuration.epics, clock=site.clock), pv_requests(configuration))
    ]
    process = ArchiveProcess(
        writer,
        sources,
        publisher=ZmqPublisher(bus_endpoint(configuration.store)),
        settings=configuration.archive,
        clock=site.clock,
    )
    await process.run(stop)


def run_worker(site: Site) -> ExitCode:
    """Take in what DAQs drop until SIGTERM or SIGINT; a copy under way is finished or left as a part.

    Raises
    ------
    RoleTakenError
        Where another worker serves this store.
    """
    from nualley.app.worker import Worker  # readers and adapters are heavy

    with hold_role(site.configuration.store, "worker", site.clock):
        asyncio.run(Worker(site).run())
    return ExitCode.DONE


def run_all(site: Site, roles: Sequence[str] = ROLES) -> ExitCode:
    """Run every role as a process of its own until SIGTERM or SIGINT.

    Raises
    ------
    RoleTakenError
        Where the store is served already.
    """

    async def supervise() -> ExitCode:
        stop = asyncio.Event()
        stop_on_signals(stop)
        return await Supervisor(Path(site.configuration.directory), roles).run(stop)

    with hold_role(site.configuration.store, "up", site.clock):
        _log.info("up", experiment=site.configuration.experiment.name, pid=os.getpid())
        return asyncio.run(supervise())
