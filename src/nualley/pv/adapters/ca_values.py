"""What Channel Access sends, as samples and metadata: slots of the ring decoded by columns where they are many.

The layouts are those of ``db_access.h`` of EPICS base: a DBR_TIME value begins with status, severity and a stamp of 12
bytes, then padding by type, then the value.
"""

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from epicscorelibs.ca import dbr
from numpy.typing import NDArray

from nualley.core import SECOND_NS
from nualley.pv.adapters.ca_ring import SLOT
from nualley.pv.decide import PLAUSIBLE_LAG_NS
from nualley.pv.models import Limits, Metadata, PvProtocol, PvValue, Sample, Samples, ValueType

EPICS_EPOCH_S = 631_152_000
"""1990-01-01T00:00:00Z, from which Channel Access counts [s since 1970 UTC]."""

_HEAD = 24  # where a slot holds the first bytes of the value
_STRING_B = 40
_LAYOUT = np.dtype(
    {
        "names": [
            "status",
            "severity",
            "seconds",
            "nanoseconds",
            "string",
            "short",
            "float",
            "enum",
            "char",
            "long",
            "double",
        ],
        "formats": ["<i2", "<i2", "<u4", "<u4", "u1", "<i2", "<f4", "<u2", "u1", "<i4", "<f8"],
        "offsets": [_HEAD + offset for offset in (0, 2, 4, 8, 12, 14, 12, 14, 15, 12, 16)],
        "itemsize": SLOT.itemsize,
    }
)


class _Type(NamedTuple):
    """How a DBR_TIME type is read: its field in the layout, where its values begin, and what they become."""

    field: str
    offset: int
    scalar: ValueType
    array: ValueType
    item: str
    wide: str  # what the column of scalars holds


TIME_TYPES: Mapping[int, _Type] = {
    dbr.DBR_STRING: _Type("string", 12, ValueType.STRING, ValueType.STRING_ARRAY, f"S{_STRING_B}", ""),
    dbr.DBR_SHORT: _Type("short", 14, ValueType.INT64, ValueType.INT32_ARRAY, "<i2", "<i8"),
    dbr.DBR_FLOAT: _Type("float", 12, ValueType.FLOAT64, ValueType.FLOAT32_ARRAY, "<f4", "<f8"),
    dbr.DBR_ENUM: _Type("enum", 14, ValueType.ENUM, ValueType.INT32_ARRAY, "<u2", "<i8"),
    dbr.DBR_CHAR: _Type("char", 15, ValueType.INT64, ValueType.INT32_ARRAY, "u1", "<i8"),
    dbr.DBR_LONG: _Type("long", 12, ValueType.INT64, ValueType.INT32_ARRAY, "<i4", "<i8"),
    dbr.DBR_DOUBLE: _Type("double", 16, ValueType.FLOAT64, ValueType.FLOAT64_ARRAY, "<f8", "<f8"),
}
"""By the channel's native type. Channel Access knows no 64-bit integers: an IOC sends int64 records as doubles, exact
to 2**53. Characters are unsigned there whatever the record says."""

TIME_OFFSET = dbr.DBR_TIME_DOUBLE - dbr.DBR_DOUBLE
CTRL_OFFSET = dbr.DBR_CTRL_DOUBLE - dbr.DBR_DOUBLE
"""What is added to a native type to ask for stamps, or for metadata."""

_ITEMS = {
    ValueType.INT32_ARRAY: np.int32,
    ValueType.FLOAT32_ARRAY: np.float32,
    ValueType.FLOAT64_ARRAY: np.float64,
}


def is_long_string(pv: str, native: int, n_elements: int) -> bool:
    """Say whether a channel of characters is one text: a field asked for with ``$``, as ``X.DESC$``."""
    return pv.endswith("$") and native == dbr.DBR_CHAR and n_elements != 1


def value_type(pv: str, native: int, n_elements: int) -> ValueType:
    """Return what a channel's values are.

    Parameters
    ----------
    pv : str
        Its name.
    native : int
        DBF type of the channel.
    n_elements : int
        Elements it has at most.
    """
    if is_long_string(pv, native, n_elements):
        return ValueType.STRING
    found = TIME_TYPES[native]
    return found.scalar if n_elements == 1 else found.array


def stamps_ns(slots: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the IOC's stamps of updates [ns since 1970 UTC], exact."""
    rows = slots.view(_LAYOUT)
    seconds = rows["seconds"].astype(np.int64) + EPICS_EPOCH_S
    found: NDArray[np.int64] = seconds * SECOND_NS + rows["nanoseconds"]
    return found


def proofs_ns(stamps: NDArray[np.int64], received: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when updates prove that their IOC was alive; `nualley.pv.decide.proof_ns` says it of one."""
    age_ns = received - stamps
    return np.where((age_ns >= 0) & (age_ns <= PLAUSIBLE_LAG_NS), stamps, received)


def scalar_samples(slots: NDArray[np.void], pvs: Sequence[str]) -> Iterator[Samples]:
    """Decode updates of numbers and enums, a batch for each type.

    Parameters
    ----------
    slots : ndarray of SLOT
        Updates with one number each, in the order of their receipt.
    pvs : sequence of str
        Names that their ``index`` counts in.

    Yields
    ------
    Samples
        Each in the order of receipt.
    """
    for dbr_type in np.unique(slots["type"]).tolist():
        found = slots[slots["type"] == dbr_type]
        kind, rows = TIME_TYPES[dbr_type - TIME_OFFSET], found.view(_LAYOUT)
        yield Samples(
            pvs,
            found["index"],
            stamps_ns(found),
            rows[kind.field].astype(kind.wide),
            kind.scalar,
            rows["severity"].astype(np.int8),
            rows["status"],
            PvProtocol.CA,
            found["received_ns"],
        )


def long_sample(slot: NDArray[np.void], pv: str, kind: ValueType, payload: memoryview) -> Sample:
    """Decode one update with a text or an array.

    Parameters
    ----------
    slot : ndarray of SLOT, shape (1,)
        The update.
    pv : str
        Its PV.
    kind : ValueType
        What the channel's values are.
    payload : memoryview
        What it has in the arena; empty where all is in the slot.

    Returns
    -------
    Sample
        With a copy of the value.
    """
    row = slot.view(_LAYOUT)[0]
    native = TIME_TYPES[int(slot["type"][0]) - TIME_OFFSET]
    count = int(slot["count"][0])
    raw = bytes(payload) if payload else slot.tobytes()[_HEAD:]
    return Sample(
        pv,
        int(stamps_ns(slot)[0]),
        _value(raw, native, count, kind),
        kind,
        int(row["severity"]),
        int(row["status"]),
        PvProtocol.CA,
        int(slot["received_ns"][0]),
    )


def _value(raw: bytes, native: _Type, count: int, kind: ValueType) -> PvValue:
    items = np.frombuffer(raw, dtype=native.item, count=count, offset=native.offset)
    if kind is ValueType.STRING:
        # a long string is an array of characters, any other text one item
        return _text(items.tobytes().partition(b"\0")[0])
    if kind is ValueType.STRING_ARRAY:
        # numpy cuts trailing zeros only: what stands behind the first one is no text
        return [_text(bytes(item).partition(b"\0")[0]) for item in items]
    return items.astype(_ITEMS[kind])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:  # as old IOCs write degree and micro signs; every byte is a letter there
        return raw.decode("latin-1")


def metadata_of(slot: NDArray[np.void], pv: str, kind: ValueType, payload: memoryview) -> Metadata:
    """Decode what a PROPERTY update says about a PV's numbers.

    Parameters
    ----------
    slot : ndarray of SLOT, shape (1,)
        The update, of a DBR_CTRL type.
    pv : str
        Its PV.
    kind : ValueType
        What the channel's values are.
    payload : memoryview
        The update's bytes.

    Returns
    -------
    Metadata
        Unit, precision, labels and limits, as far as the record has them; Channel Access has none for texts.
    """
    received_ns = int(slot["received_ns"][0])
    dbr_type = int(slot["type"][0])
    if kind is ValueType.STRING or dbr_type == dbr.DBR_STRING + CTRL_OFFSET:
        return Metadata(pv, received_ns, kind, protocol=PvProtocol.CA)
    structure = dbr.DbrCodeToType[dbr_type]
    found = structure.from_buffer_copy(bytes(payload).ljust(ctypes.sizeof(structure), b"\0"))
    if dbr_type == dbr.DBR_ENUM + CTRL_OFFSET:
        labels = tuple(_text(found.raw_strs[number].value) for number in range(found.no_str))
        return Metadata(pv, received_ns, kind, labels=labels, protocol=PvProtocol.CA)
    return Metadata(
        pv,
        received_ns,
        kind,
        unit=_text(found.units),
        precision=getattr(found, "precision", None),
        limits=_limits(found),
        protocol=PvProtocol.CA,
    )


def _limits(found: Any) -> Limits:
    return Limits(
        display_low=float(found.lower_disp_limit),
        display_high=float(found.upper_disp_limit),
        warning_low=float(found.lower_warning_limit),
        warning_high=float(found.upper_warning_limit),
        alarm_low=float(found.lower_alarm_limit),
        alarm_high=float(found.upper_alarm_limit),
        control_low=float(found.lower_ctrl_limit),
        control_high=float(found.upper_ctrl_limit),
    )
