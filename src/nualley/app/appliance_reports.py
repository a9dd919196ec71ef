"""What an Archiver Appliance's management tells of PVs: status, how they are archived, and reports over all."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from nualley.app.appliance import Appliance
from nualley.archive import ArchiveMissingError, LastValue, PvPolicy, PvState
from nualley.archive.appliance.answers import headers
from nualley.archive.pv_record import PvRecord
from nualley.archive.registry import Registry
from nualley.core import SECOND_NS
from nualley.pv import ValueType

INSTANCE = "nualley"
"""What this archive is called where an appliance would name itself."""

Row = dict[str, str]

_NEVER = "Never"
_DBR: Mapping[ValueType, str] = {
    ValueType.FLOAT64: "DBR_SCALAR_DOUBLE",
    ValueType.INT64: "DBR_SCALAR_INT",
    ValueType.STRING: "DBR_SCALAR_STRING",
    ValueType.ENUM: "DBR_SCALAR_ENUM",
    ValueType.FLOAT64_ARRAY: "DBR_WAVEFORM_DOUBLE",
    ValueType.FLOAT32_ARRAY: "DBR_WAVEFORM_FLOAT",
    ValueType.INT32_ARRAY: "DBR_WAVEFORM_INT",
    ValueType.STRING_ARRAY: "DBR_WAVEFORM_STRING",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one PV.

    Parameters
    ----------
    asked : str
        The name that was asked for.
    pv : str
        The name by which it is known here.
    record : PvRecord or None
        What the archive knows; None where it never heard of it.
    last : LastValue or None
        Its last value and state.
    policy : PvPolicy or None
        How it is archived; None where it is not.
    is_paused : bool
        Whether it is paused.
    is_silent : bool
        Whether it is connected, periodic and silent though its IOC lives.
    changed_ns : int
        When that was changed at run time [ns since 1970 UTC]; 0 where it was not.
    """

    asked: str
    pv: str
    record: PvRecord | None
    last: LastValue | None
    policy: PvPolicy | None
    is_paused: bool
    is_silent: bool
    changed_ns: int

    @property
    def is_connected(self) -> bool:
        """Whether its IOC is connected."""
        return self.is_silent or (self.last is not None and self.last.state.is_connected)

    @property
    def last_event(self) -> str:
        """When the last sample was taken."""
        return shown_time(self.last.time_ns if self.last else None)


def shown_time(time_ns: int | None) -> str:
    """Write a time as the appliance does.

    Examples
    --------
    >>> shown_time(1_700_000_000_000_000_000), shown_time(None)
    ('Nov/14/2023 22:13:20 +00:00', 'Never')
    """
    if not time_ns:
        return _NEVER
    return datetime.fromtimestamp(time_ns // SECOND_NS, tz=UTC).strftime("%b/%d/%Y %H:%M:%S +00:00")


def facts(appliance: Appliance, names: Iterable[str] | None = None) -> Iterator[Facts]:
    """Return what is known of PVs.

    Parameters
    ----------
    appliance : Appliance
        The archive.
    names : iterable of str, optional
        Which, each once; by default all but those that are only other names.
    """
    plan = appliance.plan()
    try:
        registry = appliance.reader.registry()
    except ArchiveMissingError:
        registry = Registry()
    records, now_ns = registry.by_name, appliance.site.clock.now_ns()
    changes = {pending.pv: pending.change.time_ns for pending in plan.pending()}
    every = sorted({*records, *plan.archived()})
    asked = {name: name for name in every} if names is None else appliance.known_names(names)
    for text, name in asked.items():
        pv = plan.aliases.current(name)
        known = name if name in records else pv
        record = records.get(known)
        yield Facts(
            asked=text,
            pv=name,
            record=record,
            last=appliance.reader.last([known])[0] if record else None,
            policy=plan.policy(pv),
            is_paused=plan.is_paused(pv),
            is_silent=record is not None and registry.is_silent(record, now_ns),
            changed_ns=changes.get(pv, 0),
        )


# ------------------------------------------------------------------ one PV
def status(found: Facts) -> Row:
    """Return how a PV stands, as getPVStatus says it."""
    row = {"pvName": found.asked, "pvNameOnly": found.pv}
    if found.policy is None:
        return row | {"status": "Not being archived"}
    row |= {"appliance": INSTANCE, "lastRotateLogs": _NEVER}
    if found.is_paused:
        return row | {"status": "Paused"}
    if found.last is not None and found.last.reason:
        # beside what an appliance says: it throws such samples away, and counts them
        row["lastEventQuarantined"] = found.last.reason
    return row | {
        "status": "Being archived",
        "connectionState": str(found.is_connected).lower(),
        "lastEvent": found.last_event,
        "samplingPeriod": _period(found.policy),
        "isMonitored": str(found.policy.mode == "monitor").lower(),
        "connectionLossRegainCount": str(found.record.n_gaps if found.record else 0),
    }


def _period(policy: PvPolicy) -> str:
    return str(policy.period_s or 1.0)


def type_info(found: Facts, appliance: Appliance) -> Row | None:
    """Return how a PV is archived, as getPVTypeInfo and getMetadata say it; None where nobody knows it."""
    record, policy = found.record, found.policy
    if record is None and policy is None:
        return None
    row = {"pvName": found.pv, "applianceIdentity": INSTANCE, "paused": str(found.is_paused).lower()}
    if policy is not None:
        row |= {
            "samplingMethod": policy.mode.upper(),
            "samplingPeriod": _period(policy),
            "controllingPV": policy.only_while,
            "usePVAccess": str(policy.protocol == "pva").lower(),
        }
    if record is not None:
        metadata = record.metadata
        named = {"EGU": "units", "PREC": "precision", "HOPR": "upperDisplayLimit", "LOPR": "lowerDisplayLimit"}
        named |= {"HIHI": "upperAlarmLimit", "LOLO": "lowerAlarmLimit"}
        named |= {"HIGH": "upperWarningLimit", "LOW": "lowerWarningLimit"}
        named |= {"DRVH": "upperCtrlLimit", "DRVL": "lowerCtrlLimit"}
        told = {"units": "", "precision": "0"}
        told |= {named[name]: value for name, value in headers(metadata).items() if name in named}
        value_type = record.value_type or ValueType.FLOAT64
        row |= told | {
            "DBRType": _DBR[value_type],
            "scalar": str(not value_type.value.endswith("-array")).lower(),
            "hostName": record.ioc,
            "computedEventRate": repr(appliance.reader.rate(record.name).samples_Hz),
        }
    return row


_DETAILS = {
    "pvName": "PV Name",
    "applianceIdentity": "Instance archiving PV",
    "DBRType": "Archiver DBR type (from typeinfo):",
    "scalar": "Is this a scalar:",
    "precision": "Precision:",
    "units": "Units:",
    "paused": "Is this PV paused:",
    "samplingMethod": "Sampling method:",
    "samplingPeriod": "Sampling period:",
    "controllingPV": "Controlling PV",
    "hostName": "Host name",
}


def details(found: Facts, appliance: Appliance) -> list[Row]:
    """Return what getPVDetails shows of a PV: names, values and who says so."""
    told = type_info(found, appliance) or {}
    answer = {"true": "Yes", "false": "No"}
    rows = [
        {"name": _DETAILS[key], "value": answer.get(value, value), "source": "mgmt"}
        for key, value in told.items()
        if key in _DETAILS
    ]
    ledger = found.record.ledger if found.record else None
    rows += [
        {"name": "Is this PV currently connected?", "value": "yes" if found.is_connected else "no", "source": "pv"},
        {"name": "When did we receive the last event?", "value": found.last_event, "source": "pv"},
    ]
    if found.last is not None and found.last.reason:
        rows.append({"name": "Why is what came last quarantined?", "value": found.last.reason, "source": "pv"})
    if ledger is not None:
        counts = {
            "How many events so far?": ledger.received,
            "How many events lost because the timestamp is in the far future or past so far?": ledger.quarantined,
            "How many times have we lost the connection to this PV?": ledger.gaps,
        }
        rows += [{"name": name, "value": str(count), "source": "pv"} for name, count in counts.items()]
    return rows


# ------------------------------------------------------------------ reports
def _never_connected(appliance: Appliance) -> list[Row]:
    return [
        {
            "pvName": found.pv,
            "appliance": INSTANCE,
            "requestTime": shown_time(found.changed_ns),
        }
        for found in facts(appliance)
        if found.policy is not None
        and not found.is_paused
        and (found.last is None or found.last.state is PvState.NEVER_CONNECTED)
    ]


def _disconnected(appliance: Appliance) -> list[Row]:
    return [
        {
            "pvName": found.pv,
            "instance": INSTANCE,
            "hostName": (found.record.ioc if found.record else "") or "N/A",
            "connectionLostAt": shown_time(found.last.last_heard_ns),
            "noConnectionAsOfEpochSecs": str(found.last.last_heard_ns // SECOND_NS),
            "lastKnownEvent": found.last_event,
            "commandThreadID": "0",
        }
        for found in facts(appliance)
        if found.policy is not None
        and not found.is_paused
        and not found.is_silent
        and found.last is not None
        and found.last.state in (PvState.DISCONNECTED, PvState.STALE)
    ]


def _event_rates(appliance: Appliance) -> list[Row]:
    rates = [
        (appliance.reader.rate(found.record.name).samples_Hz, found.pv) for found in facts(appliance) if found.record
    ]
    return [{"pvName": pv, "eventRate": repr(rate_Hz)} for rate_Hz, pv in sorted(rates, key=lambda row: -row[0])]


def _storage_rates(appliance: Appliance) -> list[Row]:
    sealed_B = appliance.reader.sealed_B()
    rates = []
    for found in facts(appliance):
        record = found.record
        # what is not yet in a file has no size that would last
        if record is not None and record.name in sealed_B:
            per_s = appliance.reader.rate(record.name).samples_Hz * sealed_B[record.name] / max(record.n_stored, 1)
            rates.append((per_s, found.pv))
    return [
        {
            "pvName": pv,
            "storageRate_KBperHour": repr(per_s * 3600 / 2**10),
            "storageRate_MBperDay": repr(per_s * 86_400 / 2**20),
            "storageRate_GBperYear": repr(per_s * 31_557_600 / 2**30),
        }
        for per_s, pv in sorted(rates, key=lambda row: -row[0])
    ]


def _silent(appliance: Appliance) -> list[Row]:
    found = sorted(facts(appliance), key=lambda each: (each.last.time_ns if each.last else None) or 0)
    return [
        {"pvName": each.pv, "instance": INSTANCE, "lastKnownEvent": each.last_event}
        for each in found
        if each.policy is not None
    ]


def _lost(appliance: Appliance) -> list[Row]:
    counts = [(found.record.n_gaps, found) for found in facts(appliance) if found.record and found.record.n_gaps]
    return [
        {
            "pvName": found.pv,
            "instance": INSTANCE,
            "currentlyConnected": "Yes" if found.is_connected else "No",
            "lostConnections": str(n),
        }
        for n, found in sorted(counts, key=lambda row: -row[0])
    ]


def _paused(appliance: Appliance) -> list[Row]:
    return [
        {"pvName": found.pv, "instance": INSTANCE, "modificationTime": shown_time(found.changed_ns)}
        for found in facts(appliance)
        if found.is_paused
    ]


def _quarantined(appliance: Appliance) -> list[Row]:
    # the appliance throws these away; here they are kept in the quarantine
    counts = [(found.record.n_quarantined, found.pv) for found in facts(appliance) if found.record]
    return [{"pvName": pv, "eventsDropped": str(n)} for n, pv in sorted(counts, key=lambda row: -row[0]) if n]


def _nothing(appliance: Appliance) -> list[Row]:  # noqa: ARG001  # as the others
    # no buffer of this archive drops, and a change of type is stored
    return []


REPORTS: Mapping[str, Callable[[Appliance], list[Row]]] = {
    "getNeverConnectedPVs": _never_connected,
    "getCurrentlyDisconnectedPVs": _disconnected,
    "getEventRateReport": _event_rates,
    "getStorageRateReport": _storage_rates,
    "getSilentPVsReport": _silent,
    "getLostConnectionsReport": _lost,
    "getPausedPVsReport": _paused,
    "getPVsByDroppedEventsTimestamp": _quarantined,
    "getPVsByDroppedEventsBuffer": _nothing,
    "getPVsByDroppedEventsTypeChange": _nothing,
    "getSlowChangingPVsWithDroppedEvents": _nothing,
}
"""Every report by its name; each may be cut to its first rows."""
