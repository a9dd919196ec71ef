"""One connection to an MQTT broker, in the form in which nothing that the broker keeps for us is lost."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiomqtt
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from nualley.core import reason
from nualley.pv.errors import MqttSecretError
from nualley.pv.settings import MqttSettings

MOST_UNDER_WAY = 1000
"""A broker is asked to send us so many messages at most before the first of them is acknowledged; mosquitto 2.0.11
sends all it has once a few are."""

TIMEOUT_S = 5.0
"""A broker that does not answer for so long is lost [s]."""

_AT_ONCE = 50
_NO_RETAINED = 2


class MqttClient(aiomqtt.Client):
    """A connection that hands over each message with its flags, and acknowledges only what it is told to.

    Parameters
    ----------
    settings : MqttSettings
        Where the broker is, and who we are.
    client_id : str
        Name under which it keeps messages for us.
    on_arrival : callable
        Takes each message.

    Attributes
    ----------
    is_resumed : bool
        Whether the broker kept what came while we were away.

    Notes
    -----
    aiomqtt puts paho into the event loop; what it leaves out is in paho below it: the flag of a second delivery, and
    acknowledgement by hand.
    """

    def __init__(self, settings: MqttSettings, client_id: str, on_arrival: Callable[[MQTTMessage], None]) -> None:
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types there
        connect.SessionExpiryInterval = settings.session_expiry_s
        connect.ReceiveMaximum = MOST_UNDER_WAY
        super().__init__(
            settings.host,
            settings.port,
            identifier=client_id,
            username=settings.username or None,
            password=_password(settings),
            tls_context=ssl.create_default_context(cafile=settings.ca_file) if settings.tls else None,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=connect,
            keepalive=settings.keepalive_s,
            timeout=TIMEOUT_S,
        )
        self._client.manual_ack_set(True)
        self._on_arrival = on_arrival
        self.is_resumed = False

    def _on_connect(self, client: Any, userdata: Any, flags: Any, *others: Any) -> None:
        self.is_resumed = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, *others)

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:  # noqa: ARG002  # paho's form
        self._on_arrival(message)

    def acknowledge(self, mid: int) -> None:
        """Tell the broker that a message is durable here."""
        self._client.ack(mid, 1)

    async def listen(self, topics: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Subscribe to topics; what is retained there comes.

        Parameters
        ----------
        topics : sequence of str
            Without wildcards.

        Returns
        -------
        iterator of tuple of (str, str)
            Those that the broker refuses, and why.
        """
        refused: list[tuple[str, str]] = []
        for start in range(0, len(topics), _AT_ONCE):
            some = topics[start : start + _AT_ONCE]
            answers = await self.subscribe([(topic, SubscribeOptions(qos=1)) for topic in some])
            refused += [(topic, str(answer)) for topic, answer in zip(some, answers, strict=True) if _is_no(answer)]
        return iter(refused)

    async def ask(self, topic: str) -> None:
        """Ask the broker for a sign of life: to subscribe again to a topic changes nothing, and is answered."""
        await self.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=_NO_RETAINED))

    async def until_lost(self) -> None:
        """Wait until the connection ends; raise why."""
        await asyncio.shield(self._disconnected)


def _is_no(answer: Any) -> bool:
    return bool(getattr(answer, "is_failure", answer == 0x80))


def _password(settings: MqttSettings) -> str | None:
    path = settings.password_file
    if path is None:
        return None
    do = "write it into a file that only our account can read (chmod 600), and name that as mqtt.password_file"
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            what = f"others than its owner can read the password (mode {mode & 0o777:o})"
            raise MqttSecretError(what, where=str(path), do=f"chmod 600 {path}, and choose a new one")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise MqttSecretError(f"the password cannot be read: {why}", where=str(path), do=do) from error
    if not lines or not lines[0]:
        raise MqttSecretError("the password's file is empty", where=str(path), do=do)
    return lines[0]
