"""Events as the Archiver Appliance writes them: lines of its files, and of what it sends as ``raw``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.appliance.messages import EVENTS, PayloadInfo, PayloadType, escape_line
from nualley.archive.errors import OperatorError
from nualley.core import SECOND_NS

_PAYLOADS: Mapping[pa.DataType, PayloadType] = {
    pa.string(): PayloadType.SCALAR_STRING,
    pa.int32(): PayloadType.SCALAR_ENUM,
    pa.int64(): PayloadType.SCALAR_INT,
    pa.float64(): PayloadType.SCALAR_DOUBLE,
    pa.list_(pa.string()): PayloadType.WAVEFORM_STRING,
    pa.list_(pa.int32()): PayloadType.WAVEFORM_INT,
    pa.list_(pa.float32()): PayloadType.WAVEFORM_FLOAT,
    pa.list_(pa.float64()): PayloadType.WAVEFORM_DOUBLE,
}
_FIELDS = ("secondsintoyear", "nano", "val", "severity", "status")
_INT32 = 2**31


def file_path(pv: str, year: int) -> str:
    """Return where the appliance keeps a PV's year, relative to a store.

    Examples
    --------
    >>> file_path("LAB:CRYO-1:T", 2026)
    'LAB/CRYO/1/T:2026.pb'
    """
    return f"{re.sub('[:-]', '/', pv)}:{year}.pb"


def payload_of(samples: pa.Table) -> PayloadType:
    """Return what the appliance calls the values of samples; integers that 32 bits do not hold become doubles.

    Parameters
    ----------
    samples : pyarrow.Table
        With a column value.
    """
    payload = _PAYLOADS[samples["value"].type]
    if payload is PayloadType.SCALAR_INT and len(samples):
        limits = pc.min_max(samples["value"]).as_py()
        if limits["min"] is not None and not (limits["min"] >= -_INT32 and limits["max"] < _INT32):
            return PayloadType.SCALAR_DOUBLE  # exact to 2**53
    return payload


def years_of(samples: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut samples, by time, at the ends of UTC years.

    Yields
    ------
    tuple of int and pyarrow.Table
        A year, and its samples.
    """
    years = samples["time_ns"].to_numpy().astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970
    found, firsts = np.unique(years, return_index=True)
    for year, begin, n in zip(found.tolist(), firsts, np.diff(firsts, append=len(samples)), strict=True):
        yield year, samples.slice(begin, n)


def info_line(pv: str, year: int, payload: PayloadType, headers: Mapping[str, str], n_elements: int = 1) -> bytes:
    """Return the line that says what the events behind it are.

    Parameters
    ----------
    pv : str
        Name of the PV.
    year : int
        UTC year that all events are of.
    payload : PayloadType
        What their values are.
    headers : mapping of str to str
        ``EGU``, ``PREC`` and such.
    n_elements : int
        Elements of an array.
    """
    info = PayloadInfo(type=payload, pvname=pv, year=year, elementCount=n_elements)
    for name, value in headers.items():
        info.headers.add(name=name, val=value)
    return escape_line(info.SerializeToString()) + b"\n"


def event_lines(year: int, payload: PayloadType, samples: pa.Table) -> list[bytes]:
    """Return a line for each sample.

    Parameters
    ----------
    year : int
        UTC year that all are of.
    payload : PayloadType
        What the line before them says.
    samples : pyarrow.Table
        Columns time_ns, value, severity and status.
    """
    begin_s = int(np.datetime64(year - 1970, "Y").astype("datetime64[s]").astype(np.int64))
    time_ns = samples["time_ns"].to_numpy()
    columns: list[Any] = [
        (time_ns // SECOND_NS - begin_s).tolist(),
        (time_ns % SECOND_NS).tolist(),
        samples["value"].to_pylist(),
        pc.fill_null(samples["severity"], 3).to_pylist(),
        pc.fill_null(samples["status"], 0).to_pylist(),
    ]
    make = EVENTS[payload]
    try:
        events = [make(**dict(zip(_FIELDS, row, strict=True))) for row in zip(*columns, strict=True)]
    except (TypeError, ValueError) as error:
        raise OperatorError(
            f"a value of {samples['value'].type} that {payload.name} cannot hold: {error}",
            where="raw",
            do="ask for json, or export csv, arrow or parquet",
        ) from error
    for row, fields in links_of(samples).items():
        for name, value in fields.items():
            events[row].fieldvalues.add(name=name, val=value)
    return [escape_line(event.SerializeToString()) + b"\n" for event in events]


def links_of(samples: pa.Table) -> dict[int, dict[str, str]]:
    """Return what the appliance writes into the first sample after a lost connection, by its row.

    Parameters
    ----------
    samples : pyarrow.Table
        Perhaps with columns lost_s and regained_s [s since 1970 UTC].
    """
    if "lost_s" not in samples.column_names:
        return {}
    lost_s, regained_s = samples["lost_s"].to_numpy(), samples["regained_s"].to_numpy()
    rows = np.flatnonzero((lost_s > 0) & (regained_s >= lost_s)).tolist()
    return {row: {"cnxlostepsecs": str(lost_s[row]), "cnxregainedepsecs": str(regained_s[row])} for row in rows}
