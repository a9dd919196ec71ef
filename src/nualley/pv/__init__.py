"""Live process variables: sources (CA), connection and life of IOCs, the live bus; reads only."""

from nualley.pv.environment import epics_environment
from nualley.pv.errors import (
    BusEndpointError,
    BusFrameError,
    BusMessageError,
    EpicsStartedError,
    PushFormError,
    PvRefusedError,
)
from nualley.pv.messages import event_from_message, event_message
from nualley.pv.models import (
    Connection,
    Events,
    Life,
    Limits,
    Metadata,
    PvEvent,
    PvProtocol,
    PvRequest,
    PvValue,
    Sample,
    Samples,
    Severity,
    ValueType,
)
from nualley.pv.ports import Emit, Lagging, Publisher, Source, Subscriber
from nualley.pv.push import Push, push_message, read_push
from nualley.pv.settings import EpicsSettings

__all__ = [
    "BusEndpointError",
    "BusFrameError",
    "BusMessageError",
    "Connection",
    "Emit",
    "EpicsSettings",
    "EpicsStartedError",
    "Events",
    "Lagging",
    "Life",
    "Limits",
    "Metadata",
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
    "push_message",
    "read_push",
]
