"""Live process variables: sources (CA, PVA, MQTT, HTTP, computed), life of IOCs, the live bus; reads only."""

from nualley.pv.environment import epics_environment
from nualley.pv.errors import (
    BusEndpointError,
    BusFrameError,
    BusMessageError,
    EpicsStartedError,
    ExpressionError,
    PayloadError,
    PushFormError,
    PvRefusedError,
)
from nualley.pv.expression import Expression, input_faults
from nualley.pv.messages import event_from_message, event_message
from nualley.pv.models import (
    Connection,
    Events,
    Life,
    Limits,
    Metadata,
    MqttPlace,
    PvEvent,
    PvProtocol,
    PvRequest,
    PvValue,
    Sample,
    Samples,
    Severity,
    ValueType,
)
from nualley.pv.payloads import member_path
from nualley.pv.ports import Emit, Lagging, Publisher, Source, Subscriber
from nualley.pv.push import Push, push_message, read_push
from nualley.pv.settings import EpicsSettings, MqttSettings

__all__ = [
    "BusEndpointError",
    "BusFrameError",
    "BusMessageError",
    "Connection",
    "Emit",
    "EpicsSettings",
    "EpicsStartedError",
    "Events",
    "Expression",
    "ExpressionError",
    "Lagging",
    "Life",
    "Limits",
    "Metadata",
    "MqttPlace",
    "MqttSettings",
    "PayloadError",
    "Publisher",
    "Push",
    "PushFormError",
    "PvEvent",
    "PvProtocol",
    "PvRefusedError",
    "PvRequest",
    "PvValue",
    "Sample",
    "Samples",
    "Severity",
    "Source",
    "Subscriber",
    "ValueType",
    "epics_environment",
    "event_from_message",
    "event_message",
    "input_faults",
    "member_path",
    "push_message",
    "read_push",
]
