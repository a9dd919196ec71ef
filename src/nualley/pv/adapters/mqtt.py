"""Live values from an MQTT broker: acknowledged to it once they are durable."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import aiomqtt
import structlog
from paho.mqtt.client import MQTTMessage

from nualley.core import Clock, NualleyError, SystemClock, end_tasks
from nualley.pv.adapters.mqtt_client import MqttClient
from nualley.pv.adapters.outlet import HasOutlet, Outlet, drop
from nualley.pv.errors import PvRefusedError
from nualley.pv.feed import AskKnown, Feed, Message
from nualley.pv.models import Life, PvEvent, PvProtocol, PvRequest, Sample
from nualley.pv.ports import Emit, Receipts
from nualley.pv.settings import MqttSettings

N_RECEIPTS = 65_535
"""So many receipts are to be kept: what a broker may send again is at most what packet identifiers can tell apart. It
is the last that reached us, for acknowledgements follow each other in that order."""

LIFE_S = 2.0
"""The broker is asked for a sign of life so often [s]."""

MOST_WAITING = 100_000
"""Messages that nobody would send again are kept up to so many; more are dropped, and told."""

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_log = structlog.get_logger(__name__)


class MqttSource(HasOutlet):
    """Listens to topics of one MQTT broker, over one connection; publishes nothing.

    Parameters
    ----------
    settings : MqttSettings
        Where the broker is.
    client_id : str
        Name under which it keeps messages for us, unless the settings name one.
    known : callable
        Returns what is durably stored of a PV.
    receipt : callable
        Returns the receipt number of what was emitted last; `durable` says when it is on disk.
    receipts : Receipts
        When messages reached us.
    saved_ns : int
        When an earlier process of ours made durable what it had, for the last time [ns since 1970 UTC]; 0: never.
    clock : Clock, optional
        Our clock: the stamp of messages that bring none.

    Attributes
    ----------
    n_failed : int
        Events that nobody could take, because of a mistake of ours: logged each.
    n_dropped : int
        Messages that found no room; their PVs are unknown until the next one.
    lag_s : float
        How long the oldest message of the last look had waited [s].

    Notes
    -----
    Order of things: a message comes; its receipt is made durable; its samples are emitted; when those are durable, the
    message is acknowledged. Killed in between, the broker sends it again, and the receipt tells by which stamp it is
    stored, if it is.
    """

    protocol: str = PvProtocol.MQTT

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        known: AskKnown,
        receipt: Callable[[], int],
        receipts: Receipts,
        saved_ns: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._client_id = settings.client_id or client_id
        self._broker = f"mqtt:{settings.host}:{settings.port}"
        self._receipt = receipt
        self._receipts = receipts
        self._clock = clock or SystemClock()
        self._known = known
        self._saved_ns = saved_ns
        self._feed = self._new_feed()
        self._out = Outlet("mqtt")
        self._client: MqttClient | None = None
        self._running: asyncio.Task[None] | None = None
        self._is_wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._gathered: list[Message] = []
        self._missed: set[str] = set()
        self._last_ns = 0
        self._heard_ns = 0
        self._synced_seq = 0
        # by key, the receipt number of each message that was emitted and is not acknowledged; and in their order
        self._under_way: dict[str, int] = {}
        self._waiting: deque[tuple[int, int, str]] = deque()
        self._complaint = ""
        self._unreadable: set[str] = set()  # PVs whose last message was
        self.n_dropped = 0

    async def start(self, requests: Sequence[PvRequest], emit: Emit) -> None:
        """Subscribe to the topics of every PV; see `nualley.pv.Source`. A broker that is away is waited for."""
        self._out.emit = emit
        self._synced_seq = self._receipt()
        for request in requests:
            self._feed.add(request)
        self._note_wanted()
        self._running = asyncio.get_running_loop().create_task(self._run_for_ever())

    async def add(self, request: PvRequest) -> None:
        """Subscribe to the topic of one more PV.

        Raises
        ------
        PvRefusedError
            Where the request names no topic.
        """
        if request.mqtt is None:
            raise PvRefusedError(f"{request.pv!r} has no topic", where=request.pv, do="name its topic")
        self._feed.add(request)
        self._note_wanted()
        topics = [request.mqtt.availability_topic, request.mqtt.topic]
        if self._client is not None:
            with contextlib.suppress(aiomqtt.MqttError):  # the connection ends: the next one subscribes to all
                await self._listen(self._client, [topic for topic in topics if topic])

    async def remove(self, pv: str) -> None:
        """Unsubscribe from the topics that no other PV has."""
        before = self._feed.topics
        self._feed.remove(pv)
        self._unreadable.discard(pv)
        self._note_wanted()
        await self._forget(topic for topic in before if not self._feed.pvs(topic))

    async def stop(self) -> None:
        """Take what has gathered, and disconnect; the broker keeps for us what comes from now on."""
        if self._running is not None:
            await end_tasks([self._running])
            await self._drain()
        self._running = self._client = None
        self._out.emit = drop
        self._saved_ns = self._clock.now_ns()
        self._feed = self._new_feed()
        self._under_way.clear()
        self._waiting.clear()
        self._receipts.close()

    def durable(self, seq: int) -> None:
        """Acknowledge what was emitted up to a receipt number."""
        self._synced_seq = max(self._synced_seq, seq)
        while self._waiting and self._waiting[0][0] <= self._synced_seq:
            _, mid, key = self._waiting.popleft()
            self._under_way.pop(key, None)
            if self._client is not None:
                self._client.acknowledge(mid)

    def _new_feed(self) -> Feed:
        return Feed(self._broker, self._known, (self._saved_ns, self._clock.now_ns()) if self._saved_ns else (0, 0))

    def _note_wanted(self) -> None:
        if self._feed.topics:
            self._is_wanted.set()
        else:
            self._is_wanted.clear()

    # ---------------------------------------------------------------- the connection
    async def _run_for_ever(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            await self._is_wanted.wait()
            try:
                async with MqttClient(self._settings, self._client_id, self._note_arrival) as client:
                    wait_s, self._complaint = _FIRST_WAIT_S, ""
                    await self._serve(client)
            except (aiomqtt.MqttError, NualleyError, OSError) as error:
                self._complain(error)
            except Exception:  # noqa: BLE001  # the outermost loop: listening goes on whatever was odd
                self._out.note_failure("failed")
            await self._lose()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _serve(self, client: MqttClient) -> None:
        self._client, self._heard_ns = client, self._clock.now_ns()
        _log.info("mqtt.connected", broker=self._broker, is_resumed=client.is_resumed)
        if client.is_resumed:
            self._send(self._feed.resumed(self._heard_ns))
        works = (client.until_lost(), self._drain_for_ever(), self._watch_for_ever(client))
        tasks = [asyncio.get_running_loop().create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(tasks)

    async def _lose(self) -> None:
        """Take what still came, and say that nothing more does; what is not acknowledged will come again."""
        await self._drain()
        self._client = None
        self._waiting.clear()
        self._send(self._feed.lost(self._clock.now_ns(), self._heard_ns))

    def _complain(self, error: BaseException) -> None:
        complaint = str(error)
        if complaint != self._complaint:  # once, not at each try
            self._complaint = complaint
            do = getattr(error, "do", "") or "look whether the broker runs, and at [mqtt]; it is tried again"
            _log.error("NO MQTT BROKER; the archive goes on", broker=self._broker, what=complaint, do=do)

    async def _watch_for_ever(self, client: MqttClient) -> None:
        """Subscribe, and go on asking the broker whether it lives."""
        await self._listen(client, self._feed.topics)
        while True:
            self._send([Life(self._broker, self._heard_ns)])
            await asyncio.sleep(LIFE_S)
            if topics := self._feed.topics:
                asked_ns = self._clock.now_ns()
                await client.ask(topics[0])
                self._heard_ns = max(self._heard_ns, asked_ns)

    async def _listen(self, client: MqttClient, topics: Sequence[str]) -> None:
        for topic, why in await client.listen(topics):
            pvs = self._feed.pvs(topic)
            _log.error("PVS NOT ARCHIVED: the broker refuses their topic", topic=topic, why=why, pvs=pvs)

    async def _forget(self, topics: Iterable[str]) -> None:
        gone = list(topics)
        if gone and self._client is not None:
            with contextlib.suppress(aiomqtt.MqttError):  # a next connection finds them again, and forgets them then
                await self._client.unsubscribe(gone)

    # ---------------------------------------------------------------- what comes in
    def _note_arrival(self, message: MQTTMessage) -> None:
        # never the same stamp twice: it tells samples apart
        self._last_ns = max(self._clock.now_ns(), self._last_ns + 1)
        if message.qos == 0 and len(self._gathered) >= MOST_WAITING:
            self.n_dropped += 1
            self._missed.add(message.topic)
            return
        self._gathered.append(
            Message(
                message.topic,
                bytes(message.payload),
                self._last_ns,
                message.qos,
                message.mid,
                is_retained=message.retain,
                is_again=message.dup,
            )
        )
        self._news.set()

    async def _drain_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._drain()

    async def _drain(self) -> None:
        batch = list(self._gathered)
        if batch:
            self._out.note_lag(batch[0].received_ns, self._clock.now_ns())
            self._heard_ns = max(self._heard_ns, batch[-1].received_ns)
            await self._keep_receipts(
                {message.key: message.received_ns for message in batch if message.qos and not self._first_ns(message)}
            )
            unknown = {message.topic for message in batch if not self._take(message)}
            del self._gathered[: len(batch)]
            self.durable(self._synced_seq)
            await self._forget(unknown)
        if self._missed:
            missed, self._missed = self._missed, set()
            _log.error("mqtt.dropped", n_dropped=self.n_dropped, topics=sorted(missed)[:5])
            self._send(self._feed.missed(missed, self._clock.now_ns()))

    def _first_ns(self, message: Message) -> int:
        """Return when a message reached us before; 0 where it did not, as far as is known."""
        if not message.is_again:
            return 0
        with contextlib.suppress(OSError):  # whoever writes it tells
            return self._receipts.find(message.key)
        return 0

    async def _keep_receipts(self, receipts: dict[str, int]) -> None:
        if not receipts:
            return
        try:
            await asyncio.to_thread(self._receipts.note, receipts)
        except OSError as error:  # to store comes first: at worst a sample is there twice after a crash
            _log.error("receipts of mqtt not kept", what=str(error), do="look at the store's drive")

    def _take(self, message: Message) -> bool:
        """Emit what a message tells; return whether anybody wants its topic."""
        is_told = message.is_again and message.key in self._under_way  # and only not acknowledged yet
        if not is_told:
            self._send(self._feed.take(replace(message, first_ns=self._first_ns(message))))
        if message.qos:
            seq = self._under_way[message.key] if is_told else self._receipt()
            self._under_way[message.key] = seq
            self._waiting.append((seq, message.mid, message.key))
        return bool(self._feed.pvs(message.topic))

    def _send(self, events: Iterable[PvEvent]) -> None:
        for event in events:
            if isinstance(event, Sample):
                self._say_unreadable(event)
            self._out.tell(event)

    def _say_unreadable(self, sample: Sample) -> None:
        """Say that a PV cannot be read once, not with each message: the quarantine has and counts them all."""
        if not sample.unreadable:
            self._unreadable.discard(sample.pv)
        elif sample.pv not in self._unreadable:
            self._unreadable.add(sample.pv)
            do = f"nualley archive quarantine {sample.pv} shows what came"
            _log.warning("mqtt.unreadable", pv=sample.pv, why=sample.unreadable, do=do)
