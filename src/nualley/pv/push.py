"""Values that a program pushes: the form of a push, and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from nualley.core import NualleyError, nearest, parse_time_ns, to_json
from nualley.pv.errors import PushFormError
from nualley.pv.models import PvProtocol, PvValue, Sample, Severity, ValueType

MOST_SAMPLES = 100_000
"""A push has at most so many samples."""

_EXACT = 2**53
_INT16 = 2**15
_INT64 = 2**63
_LONGEST_UNIT = 64
_KEYS = ("pv", "value", "time", "time_ns", "severity", "status", "unit")


@dataclass(frozen=True, slots=True)
class Push:
    """What a program pushes at once.

    Parameters
    ----------
    samples : tuple of Sample
        In the order of their times.
    unit_by_pv : mapping of str to str
        Units, of the PVs that it tells one of.
    """

    samples: tuple[Sample, ...]
    unit_by_pv: Mapping[str, str] = field(default_factory=dict)

    @property
    def pvs(self) -> set[str]:
        """The PVs that it has samples of."""
        return {sample.pv for sample in self.samples}

    def only(self, pvs: set[str]) -> "Push":
        """Return the part that is of some PVs."""
        return Push(tuple(sample for sample in self.samples if sample.pv in pvs), self.unit_by_pv)


def read_push(message: object, now_ns: int) -> Push:
    """Return a push, given what JSON has made of it.

    Parameters
    ----------
    message : object
        ``{"samples": [{"pv", "value", "time" or "time_ns", "severity", "status", "unit"}, ...]}``; all but the first
        two may be left out. A number is a float64, exact up to 2^53; null is NaN; a list is an array.
    now_ns : int
        The time of receipt, and of samples that have none [ns since 1970 UTC].

    Returns
    -------
    Push
        Its samples, sorted by time.

    Raises
    ------
    PushFormError
        Where it has another form, by the place.

    Examples
    --------
    >>> read_push({"samples": [{"pv": "LAB:T1", "value": 4.2, "time_ns": 7}]}, now_ns=9).samples[0].time_ns
    7
    """
    samples = message.get("samples") if isinstance(message, Mapping) else None
    if not isinstance(samples, list) or not isinstance(message, Mapping) or set(message) != {"samples"}:
        keys = sorted(map(str, message)) if isinstance(message, Mapping) else type(message).__name__
        raise PushFormError(f"{keys!s:.60} is no push", do='send {"samples": [{"pv": "NAME", "value": 1.5}, ...]}')
    if len(samples) > MOST_SAMPLES:
        raise PushFormError(
            f"{len(samples)} samples at once, at most {MOST_SAMPLES}", where="samples", do="send them in several pushes"
        )
    found = [_sample(fields, f"samples[{number}]", now_ns) for number, fields in enumerate(samples)]
    units = {fields["pv"]: _unit(fields, f"samples[{n}]") for n, fields in enumerate(samples) if "unit" in fields}
    return Push(tuple(sorted(found, key=lambda sample: sample.time_ns)), units)


def push_message(push: Push) -> dict[str, Any]:
    """Return the mapping that `read_push` makes the same push of, whenever it is read."""
    keys = ("pv", "value", "time_ns", "severity", "status")
    samples = [
        {key: to_json(getattr(sample, key)) for key in keys}
        | ({"unit": push.unit_by_pv[sample.pv]} if sample.pv in push.unit_by_pv else {})
        for sample in push.samples
    ]
    return {"samples": samples}


def _sample(fields: object, where: str, now_ns: int) -> Sample:
    if not isinstance(fields, Mapping):
        raise PushFormError(f"{fields!r:.60} is no sample", where=where, do='write {"pv": "NAME", "value": 1.5}')
    for key in fields:
        if key not in _KEYS:
            near = nearest(str(key), _KEYS)
            do = f"did you mean {near!r}?" if near else f"one of {', '.join(_KEYS)}"
            raise PushFormError(f"{key!r:.60} is no key of a sample", where=where, do=do)
    pv = fields.get("pv")
    if not isinstance(pv, str) or "value" not in fields:
        raise PushFormError("a sample needs pv (text) and value", where=where, do='write {"pv": "NAME", "value": 1.5}')
    value, value_type = read_value(fields["value"], f"{where}.value")
    return Sample(
        pv=pv,
        time_ns=_time_ns(fields, where, now_ns),
        value=value,
        value_type=value_type,
        severity=_whole(fields, "severity", where, (0, max(Severity))),
        status=_whole(fields, "status", where, (-_INT16, _INT16 - 1)),
        protocol=PvProtocol.HTTP,
        received_ns=now_ns,
    )


def read_value(value: object, where: str) -> tuple[PvValue, ValueType]:
    """Return a value and its type, given what JSON has made of it.

    Parameters
    ----------
    value : object
        A number, null (NaN), a text, or a list of numbers or of texts.
    where : str
        What it is called, for the text of an error.

    Raises
    ------
    PushFormError
        Where it is something else.
    """
    if isinstance(value, str):
        return value, ValueType.STRING
    if not isinstance(value, list):
        return _number(value, where), ValueType.FLOAT64
    if value and isinstance(value[0], str):
        for item in value:
            if not isinstance(item, str):
                raise PushFormError(f"{item!r:.60} in a list of text", where=where, do="send text or numbers, not both")
        return list(value), ValueType.STRING_ARRAY
    import numpy as np  # noqa: PLC0415  # heavy: only where an array arrives

    return np.array([_number(item, where) for item in value], dtype=np.float64), ValueType.FLOAT64_ARRAY


def _number(value: object, where: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PushFormError(
            f"{value!r:.60} is no number, text or list of these", where=where, do="write 0 and 1 for no and yes"
        )
    if isinstance(value, int) and abs(value) > _EXACT:
        raise PushFormError(
            f"{Decimal(value):.6e} is kept as a float64, which is exact up to 2^53", where=where, do="send it as text"
        )
    if not math.isfinite(value):
        raise PushFormError(f"{value!r} is no number of strict JSON", where=where, do="write null for what is unknown")
    return float(value)


def _time_ns(fields: Mapping[str, Any], where: str, now_ns: int) -> int:
    if "time" in fields and "time_ns" in fields:
        raise PushFormError("time and time_ns in one sample", where=where, do="leave out one of them")
    if "time_ns" in fields:
        return _whole(fields, "time_ns", where, (-_INT64, _INT64 - 1))
    if "time" not in fields:
        return now_ns
    try:
        return parse_time_ns(str(fields["time"]), now_ns)
    except NualleyError as error:
        raise PushFormError(error.what, where=f"{where}.time", do=error.do) from None


def _whole(fields: Mapping[str, Any], key: str, where: str, bounds: tuple[int, int]) -> int:
    value = fields.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not bounds[0] <= value <= bounds[1]:
        raise PushFormError(
            f"{value!r:.60}, expected a whole number from {bounds[0]} to {bounds[1]}",
            where=f"{where}.{key}",
            do="mend it",
        )
    return value


def _unit(fields: Mapping[str, Any], where: str) -> str:
    unit = fields["unit"]
    if not isinstance(unit, str) or len(unit) > _LONGEST_UNIT:
        raise PushFormError(
            f"{unit!r:.60}, expected text of at most {_LONGEST_UNIT} characters",
            where=f"{where}.unit",
            do='such as "K"',
        )
    return unit
