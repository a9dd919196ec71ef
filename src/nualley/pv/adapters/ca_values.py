"""What Channel Access sends, as samples and metadata."""

from typing import Any

import numpy as np
from epicscorelibs.ca import dbr

from nualley.core import SECOND_NS
from nualley.pv.models import Limits, Metadata, PvProtocol, PvValue, Sample, ValueType

_SCALARS = {
    dbr.DBR_SHORT: ValueType.INT64,
    dbr.DBR_LONG: ValueType.INT64,
    dbr.DBR_CHAR: ValueType.INT64,
    dbr.DBR_FLOAT: ValueType.FLOAT64,
    dbr.DBR_DOUBLE: ValueType.FLOAT64,
    dbr.DBR_ENUM: ValueType.ENUM,
}
_ARRAYS = {
    dbr.DBR_SHORT: ValueType.INT32_ARRAY,
    dbr.DBR_LONG: ValueType.INT32_ARRAY,
    dbr.DBR_CHAR: ValueType.INT32_ARRAY,
    dbr.DBR_ENUM: ValueType.INT32_ARRAY,
    dbr.DBR_FLOAT: ValueType.FLOAT32_ARRAY,
    dbr.DBR_DOUBLE: ValueType.FLOAT64_ARRAY,
    dbr.DBR_STRING: ValueType.STRING_ARRAY,
}
_DTYPES = {
    ValueType.INT32_ARRAY: np.int32,
    ValueType.FLOAT32_ARRAY: np.float32,
    ValueType.FLOAT64_ARRAY: np.float64,
}


def value_type(value: Any) -> ValueType:
    """Return what kind of value Channel Access sent.

    Parameters
    ----------
    value : AugmentedValue
        As aioca delivers it.

    Returns
    -------
    ValueType
        A text by its Python type (long strings arrive as characters), all else by its DBR code.

    Notes
    -----
    Channel Access knows no 64-bit integers: an IOC sends int64 records as doubles, exact to 2**53. Characters are
    unsigned there whatever the record says.
    """
    if isinstance(value, str):
        return ValueType.STRING
    kinds = _ARRAYS if isinstance(value, np.ndarray) else _SCALARS
    return kinds[value.datatype]


def to_value(value: Any, kind: ValueType) -> PvValue:
    """Return the bare value, without aioca's attributes.

    Parameters
    ----------
    value : AugmentedValue
        As aioca delivers it.
    kind : ValueType
        Its `value_type`.

    Returns
    -------
    float, int, str, ndarray or list of str
        A copy.
    """
    if kind is ValueType.FLOAT64:
        return float(value)
    if kind is ValueType.STRING:
        return str(value)
    if kind is ValueType.STRING_ARRAY:
        return [str(item) for item in value]
    if kind in _DTYPES:
        return np.asarray(value).astype(_DTYPES[kind])
    return int(value)


def stamp_ns(value: Any) -> int:
    """Return the IOC's time stamp [ns since 1970 UTC], exact: aioca's float stamp loses the nanoseconds."""
    seconds, nanoseconds = value.raw_stamp
    return int(seconds) * SECOND_NS + int(nanoseconds)


def to_sample(pv: str, value: Any, received_ns: int) -> Sample:
    """Return an update as a sample.

    Parameters
    ----------
    pv : str
        Name of the PV.
    value : AugmentedValue
        As aioca delivers it with FORMAT_TIME.
    received_ns : int
        The time now [ns since 1970 UTC].

    Returns
    -------
    Sample
        With the IOC's stamp, severity and status.
    """
    kind = value_type(value)
    return Sample(
        pv, stamp_ns(value), to_value(value, kind), kind, value.severity, value.status, PvProtocol.CA, received_ns
    )


def to_metadata(pv: str, value: Any, now_ns: int) -> Metadata:
    """Return what a PROPERTY update says about a PV's numbers.

    Parameters
    ----------
    pv : str
        Name of the PV.
    value : AugmentedValue
        As aioca delivers it with FORMAT_CTRL; Channel Access has no metadata for texts.
    now_ns : int
        The time now [ns since 1970 UTC].

    Returns
    -------
    Metadata
        Unit, precision, labels and limits, as far as the record has them.
    """
    kind = value_type(value)
    has_limits = hasattr(value, "upper_disp_limit") and kind is not ValueType.STRING
    return Metadata(
        pv,
        now_ns,
        kind,
        unit=getattr(value, "units", ""),
        precision=getattr(value, "precision", None),
        labels=tuple(getattr(value, "enums", ())),
        limits=_limits(value) if has_limits else Limits(),
        protocol=PvProtocol.CA,
    )


def _limits(value: Any) -> Limits:
    return Limits(
        display_low=float(value.lower_disp_limit),
        display_high=float(value.upper_disp_limit),
        warning_low=float(value.lower_warning_limit),
        warning_high=float(value.upper_warning_limit),
        alarm_low=float(value.lower_alarm_limit),
        alarm_high=float(value.upper_alarm_limit),
        control_low=float(value.lower_ctrl_limit),
        control_high=float(value.upper_ctrl_limit),
    )
