"""The sources of the process that archives, and who hears what they emit."""

import hashlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.app.site import Site
from nualley.archive.changes import Plan
from nualley.archive.service import Recorder
from nualley.pv import Emit, PvEvent, Sample, Source
from nualley.pv.adapters.ca import CaSource
from nualley.pv.adapters.computed import ComputedSource
from nualley.pv.adapters.mqtt import N_RECEIPTS, MqttSource
from nualley.pv.adapters.push import PushSource
from nualley.pv.adapters.pva import PvaSource
from nualley.pv.adapters.receipts import ReceiptFile
from nualley.pv.feed import Known

RECEIPTS = "mqtt.receipts"
"""Where, below the archive's folder, receipts of MQTT messages are kept."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources that run.

    Parameters
    ----------
    all : tuple of Source
        One for each protocol, in the order in which they start.
    pushed : PushSource
        What pushes are handed to.
    computed : ComputedSource
        What is computed from the others.
    receive : callable
        Takes what they emit.
    """

    all: Sequence[Source]
    pushed: PushSource
    computed: ComputedSource
    receive: Emit


def open_sources(site: Site, recorder: Recorder, plan: Plan) -> Sources:
    """Return the sources of an experiment, ready to start.

    Parameters
    ----------
    site : Site
        The experiment.
    recorder : Recorder
        Takes what they emit, and says what is stored and durable.
    plan : Plan
        What is archived.
    """
    configuration, clock = site.configuration, site.clock
    pushed = PushSource(clock)
    computed = ComputedSource(
        is_archived=lambda pv: plan.policy(pv) is not None,
        newest=_newest(recorder),
        future_limit_s=configuration.archive.future_limit_s,
        clock=clock,
    )
    mqtt = MqttSource(
        configuration.mqtt,
        client_id=client_id(configuration.store),
        known=_known(recorder),
        receipt=lambda: recorder.received.seq,
        receipts=ReceiptFile(site.archive_folder / RECEIPTS, N_RECEIPTS),
        saved_ns=recorder.registry.account.time_ns,
        clock=clock,
    )
    recorder.synced.subscribe(lambda synced: mqtt.durable(synced.seq))

    def receive(event: PvEvent) -> None:
        recorder.receive(event)
        computed.take(event)

    # what is computed begins first, so that it misses nothing of the others
    ordered: tuple[Source, ...] = (
        computed,
        CaSource(configuration.epics, clock=clock),
        PvaSource(configuration.epics, clock=clock),
        pushed,
        mqtt,
    )
    return Sources(ordered, pushed, computed, receive)


def client_id(store: Path) -> str:
    """Return the name under which an MQTT broker knows the archive of a store on this machine."""
    named = f"{socket.gethostname()}:{store.resolve()}"
    return f"nualley-{hashlib.sha256(named.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _known(recorder: Recorder) -> Callable[[str], Known | None]:
    def known(pv: str) -> Known | None:
        record = recorder.registry.by_name.get(pv)
        return None if record is None or record.last is None else Known(record.last.time_ns, record.last.value)

    return known


def _newest(recorder: Recorder) -> Callable[[str], tuple[Sample, str] | None]:
    def newest(pv: str) -> tuple[Sample, str] | None:
        registry = recorder.registry
        record = registry.by_name.get(pv)
        if record is None or record.last is None or record.value_type is None or not record.is_connected:
            return None
        last = record.last
        sample = Sample(
            pv=pv,
            time_ns=last.time_ns,
            value=last.value,  # type: ignore[arg-type]  # what a column gave back
            value_type=record.value_type,
            severity=last.severity,
            status=last.status,
            protocol=record.protocol,
            received_ns=registry.last_heard_ns(record),
        )
        return sample, record.ioc

    return newest
