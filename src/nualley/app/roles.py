"""The product's processes, one function a role."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import structlog

from nualley.app.archive import open_archive_writer
from nualley.app.archive_plan import KeptPlan, kept_ns, pv_requests, read_plan, settle
from nualley.app.archive_process import ArchiveProcess
from nualley.app.change_desk import ChangeDesk
from nualley.app.control import Orders, control_socket
from nualley.app.errors import RoleTakenError
from nualley.app.flow import FLOW
from nualley.app.keeper import ChildKeeper
from nualley.app.locks import ROLES, Holding, hold_role
from nualley.app.push_desk import PushDesk
from nualley.app.runtime import bus_endpoint, bus_path, control_path, forget_bus
from nualley.app.site import Site
from nualley.app.standing import planned
from nualley.app.stopping import Stop, run_coroutine, run_until_stopped
from nualley.app.supervisor import Supervisor, start_role
from nualley.app.trace_rules import trace_rules
from nualley.archive.changes import Plan
from nualley.archive.errors import ChangesWriteError
from nualley.archive.rules import rule_of
from nualley.archive.service import Recorder
from nualley.core import ExitCode, NualleyError
from nualley.pv import Publisher, PvRequest, Source

_log = structlog.get_logger()


class SilentPublisher:
    """Says nothing: stands where there is no live bus."""

    def publish(self, topic: str, message: Mapping[str, object]) -> None:
        """Say nothing."""

    def is_heard(self, topic: str) -> bool:  # noqa: ARG002  # nobody hears any topic
        """Say that nobody listens."""
        return False

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
    with hold_role(site.configuration.store, "archive", site.clock) as held:

        async def work(stop: asyncio.Event) -> None:
            await _archive(site, held, stop)

        try:
            return run_until_stopped(work)
        finally:
            forget_bus(site.configuration.store)


async def _archive(site: Site, held: Holding, stop: asyncio.Event) -> None:
    from nualley.app.sources import open_sources  # libca, numpy and MQTT are heavy

    configuration, clock = site.configuration, site.clock
    kept = _settled_plan(site)
    writer = open_archive_writer(site.archive_folder, configuration.archive, clock, rules=trace_rules(kept.plan))
    opened = open_sources(site, writer.recorder, kept.plan)
    _prepare(writer.recorder, kept.plan)
    process = ArchiveProcess(
        writer,
        _asked(opened.all, pv_requests(kept.plan)),
        publisher=open_publisher(configuration.store),
        keeper=ChildKeeper(site.archive_folder, lambda: kept_ns(kept.plan), lambda: trace_rules(kept.plan)),
        settings=configuration.archive,
        clock=clock,
        receive=opened.receive,
        shown=lambda last: planned(last, kept.plan),
    )
    orders: Orders = {
        "change": ChangeDesk(kept, writer.recorder, opened.all, clock, on_end=opened.computed.lose).change,
        "push": PushDesk(kept, writer.recorder, opened.pushed, clock).push,
        FLOW: process.flow,
    }
    await process.run(stop, _taking_orders(site, held, orders))


def _prepare(recorder: Recorder, plan: Plan) -> None:
    """Tell the recorder what it has to know of each PV before its first sample."""
    for pv, policy in plan.archived().items():
        names = [part.name for part in plan.aliases.resolve(pv)]
        for earlier in names[-2:-1]:
            recorder.follow(pv, earlier)
        recorder.rule(pv, rule_of(policy))
    recorder.keep_paused(pv for pv in plan.archived() if plan.is_paused(pv))


def _settled_plan(site: Site) -> KeptPlan:
    kept = read_plan(site)
    for damage in kept.damages:
        _log.error("A RUN-TIME CHANGE CANNOT BE READ; the archive goes on without it", where=damage)
    try:
        settle(kept, site.clock.now_ns())
    except ChangesWriteError as error:  # a full drive must not keep what comes from being received
        _log.error("changes not settled", what=error.what, where=error.where, do=error.do)
    return kept


def _asked(
    sources: Sequence[Source], requests: Mapping[str, Sequence[PvRequest]]
) -> list[tuple[Source, Sequence[PvRequest]]]:
    listened = {source.protocol for source in sources}
    for protocol in requests.keys() - listened:
        pvs = [request.pv for request in requests[protocol]]
        _log.error("PVS NOT ARCHIVED: nothing listens to their protocol", protocol=protocol, pvs=pvs)
    return [(source, requests.get(source.protocol, ())) for source in sources]


@contextlib.asynccontextmanager
async def _taking_orders(site: Site, held: Holding, orders: Orders) -> AsyncIterator[None]:
    """Take orders over the store's control socket; without it, data are taken all the same."""
    async with contextlib.AsyncExitStack() as ending:
        try:
            path = control_path(site.configuration.store)
            await ending.enter_async_context(control_socket(path, orders))
            held.note_control(path)
        except (NualleyError, OSError) as error:
            _log.error("NO ORDERS CAN BE TAKEN; the archive goes on", what=str(error))
        yield


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
        try:
            return run_coroutine(supervise())
        finally:
            _tidy_after_a_killed_archive(site)


def _tidy_after_a_killed_archive(site: Site) -> None:
    store = site.configuration.store
    if bus_path(store).exists():  # one that ended by itself took it away
        with contextlib.suppress(RoleTakenError), hold_role(store, "archive", site.clock):
            forget_bus(store)
