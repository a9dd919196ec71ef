"""The process that archives: sources into the log, the log into Parquet, last values onto the bus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, fields
from operator import attrgetter

import structlog

from nualley.app.archive import ArchiveWriter
from nualley.app.errors import NotDrainedError
from nualley.app.keeper import Keeper
from nualley.app.stopping import pause
from nualley.archive import ArchiveSettings, LastValue, LogWriteError
from nualley.archive.service import Synced
from nualley.core import SECOND_NS, Clock, end_tasks
from nualley.pv import Emit, Lagging, Publisher, PvRequest, Source

TOPIC = "archive"
"""What is published stands under this topic."""

PUBLISH_S = 0.5
"""Last values go onto the bus so often [s]."""

COMPACT_S = 3600.0
"""Sealed files are looked at so often, whether a day or month is over that can be merged [s]."""

RETRY_S = 1.0
"""After a failed commit the next one waits so long [s]."""

DRAIN_S = 10.0
"""A process that stops tries so long to make durable what it received [s]."""

_NAMES = tuple(field.name for field in fields(LastValue))
_values_of = attrgetter(*_NAMES)
_log = structlog.get_logger()


class ArchiveProcess:
    """The one process that writes an archive.

    Parameters
    ----------
    writer : ArchiveWriter
        The archive, opened; the caller holds the lock.
    sources : sequence of (Source, sequence of PvRequest)
        Where live values come from, and which PVs of each.
    publisher : Publisher
        The speaking end of the live bus.
    keeper : Keeper
        Seals closed segments and merges sealed files.
    settings : ArchiveSettings
        Intervals.
    clock : Clock
        Gives the age of the open segment.
    receive : callable, optional
        Takes what the sources emit, and hands it to the recorder; the recorder itself by default.
    shown : callable, optional
        Makes of a last value what the live bus says of it.
    """

    def __init__(
        self,
        writer: ArchiveWriter,
        sources: Sequence[tuple[Source, Sequence[PvRequest]]],
        *,
        publisher: Publisher,
        keeper: Keeper,
        settings: ArchiveSettings,
        clock: Clock,
        receive: Emit | None = None,
        shown: Callable[[LastValue], LastValue] = lambda last: last,
    ) -> None:
        self._shown = shown
        self._receive = receive or writer.recorder.receive
        self._writer = writer
        self._recorder = writer.recorder
        self._sources = sources
        self._publisher = publisher
        self._keeper = keeper
        self._settings = settings
        self._clock = clock
        self._changed: set[str] = set()
        self._segment_began_ns = clock.now_ns()
        self._unsealed: list[int] = []
        self._clean_ns = clock.now_ns()
        self._recorder.synced.subscribe(self._note_synced)

    def _note_synced(self, synced: Synced) -> None:
        self._changed |= synced.changed

    async def run(self, stop: asyncio.Event, *beside: AbstractAsyncContextManager[object]) -> None:
        """Archive until ``stop`` is set, then drain and close.

        Parameters
        ----------
        stop : asyncio.Event
            Ends it.
        *beside : context managers
            What runs as long as the sources do: where orders are taken.

        Raises
        ------
        NotDrainedError
            Where the log could not be written to the end.
        """
        self._recorder.register(request.pv for _, requests in self._sources for request in requests)
        async with contextlib.AsyncExitStack() as ending:
            # last of all, whatever a source or the bus does while it ends
            ending.push_async_callback(self._finish)
            await ending.enter_async_context(self._running_sources())
            await ending.enter_async_context(_background(self._publish_for_ever))
            await ending.enter_async_context(_background(self._compact_for_ever))
            for each in beside:
                await ending.enter_async_context(each)
            _log.info("archiving", n_pvs=sum(len(requests) for _, requests in self._sources))
            while not stop.is_set():
                self._recorder.tick()
                if await self._commit_or_log() and self._is_segment_full():
                    await self._seal()
                await pause(stop, self._settings.sync_interval_ms / 1000)

    async def _finish(self) -> None:
        self._recorder.flush()
        await self._drain()
        self._publish()
        self._writer.log.close()
        await self._publisher.close()
        _log.info("archive stopped", **asdict(self._recorder.registry.ledger))

    @contextlib.asynccontextmanager
    async def _running_sources(self) -> AsyncIterator[None]:
        for source, requests in self._sources:
            await source.start(requests, self._receive)
        try:
            yield
        finally:
            # what is computed from others began first: it hears the last of them too
            for source, _ in reversed(self._sources):
                await source.stop()

    async def _commit(self) -> None:
        # once: a source that never pauses must not keep the process from sealing, or from its end
        if (frame := self._recorder.prepare()) is not None:
            await asyncio.to_thread(self._writer.log.append, frame)
            self._recorder.confirm()

    async def _commit_or_log(self) -> bool:
        try:
            await self._commit()
        except LogWriteError as error:
            _log.error("commit failed", what=error.what, where=error.where, do=error.do)
            await asyncio.sleep(RETRY_S)
            return False
        self._clean_ns = self._clock.now_ns()
        return True

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        stop_s = loop.time() + DRAIN_S  # whatever the clock does meanwhile
        while self._recorder.prepare() is not None:
            if not await self._commit_or_log() and loop.time() > stop_s:
                raise NotDrainedError(
                    f"stopped after {DRAIN_S:g} s of failed writes; what was received since the last synced receipt "
                    f"number {self._recorder.registry.account.seq} is lost",
                    where=str(self._writer.log.position),
                    do="make room on the store's drive before the archive is started again",
                )

    def _is_segment_full(self) -> bool:
        # either way: after a clock that went back, a segment would else be open until it has come there again
        age_s = abs(self._clock.now_ns() - self._segment_began_ns) / SECOND_NS
        is_large = self._writer.log.position.offset_B >= self._settings.rotate_size_B
        return is_large or age_s >= self._settings.rotate_s

    async def _seal(self) -> None:
        # a segment ends between two commits; Parquet is written elsewhere while commits go on
        try:
            segment = self._recorder.rotate()
        except LogWriteError as error:
            _log.error("new segment failed", what=error.what, where=error.where, do=error.do)
            await asyncio.sleep(RETRY_S)
            return
        self._segment_began_ns = self._clock.now_ns()
        self._unsealed.append(segment)
        while self._unsealed:
            sealing = asyncio.create_task(self._keeper.seal(self._unsealed[0]))
            while not sealing.done():
                await asyncio.wait({sealing}, timeout=self._settings.sync_interval_ms / 1000)
                await self._commit_or_log()
            try:
                n_files = sealing.result()
            except OSError as error:
                # it stays in the log, readable, and ahead of those that follow; the next rotation tries again
                _log.error("sealing failed", segment=self._unsealed[0], what=str(error))
                return
            _log.info("sealed", segment=self._unsealed.pop(0), n_files=n_files)

    async def _publish_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PUBLISH_S)
            try:
                self._publish()
            except Exception:  # noqa: BLE001  # the outermost loop of a service
                # who watches misses a beat, the archive goes on
                _log.exception("publishing failed")

    async def _compact_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMPACT_S)
            try:
                await self._keeper.compact()
            except OSError as error:
                _log.error("compaction failed", what=str(error))

    async def flow(self, _fields: Mapping[str, object]) -> Mapping[str, object]:
        """Return how what is received becomes durable: how long it waits and whether there is room.

        Returns
        -------
        mapping
            ``lag_s``: how long updates waited for this process [s]; ``n_dropped``: updates that found no place and were
            asked for again; ``unsynced_s``: since when what was received is not durable [s]; ``n_unsealed``: segments
            that could not be sealed yet; ``is_reserve_spent``: whether the drive was full and its reserve is used.
        """
        lagging = [source for source, _ in self._sources if isinstance(source, Lagging)]
        return {
            "lag_s": max((source.lag_s for source in lagging), default=0.0),
            "n_dropped": sum(source.n_dropped for source in lagging),
            "unsynced_s": (self._clock.now_ns() - self._clean_ns) / SECOND_NS,
            "n_unsealed": len(self._unsealed),
            "is_reserve_spent": self._writer.log.is_reserve_spent,
        }

    def _publish(self) -> None:
        if not self._publisher.is_heard(TOPIC):
            return  # what changed is kept for the first who listens
        registry, now_ns = self._recorder.registry, self._clock.now_ns()
        changed, self._changed = self._changed, set()
        by_name = registry.by_name
        values = [_fields(self._shown(registry.last_value(by_name[pv], now_ns))) for pv in sorted(changed)]
        life: Mapping[str, int] = registry.life_by_ioc
        self._publisher.publish(
            TOPIC,
            {
                "time_ns": now_ns,
                "synced_seq": registry.account.seq,
                "synced_ns": registry.account.time_ns,
                "ledger": asdict(registry.ledger),
                "last_heard_by_ioc": dict(life),
                "values": values,
            },
        )


def _fields(value: LastValue) -> dict[str, object]:
    # dataclasses.asdict copies every value it meets, at ten times the price
    return dict(zip(_NAMES, _values_of(value), strict=True))


@contextlib.asynccontextmanager
async def _background(work: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        await end_tasks([task])
        with contextlib.suppress(asyncio.CancelledError):
            task.result()
