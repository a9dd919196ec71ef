"""Values that change on a date: each entry holds from one moment to another, and says where it is written."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from nualley.core import Interval, UsageError, format_time, parse_time_ns

T = TypeVar("T")
PeriodT = TypeVar("PeriodT", bound="Period")

UNKNOWN = "unknown"
"""What stands for a value or a source that nobody has found yet."""

BEGINNING_NS = -(2**63)
"""Where an interval without ``from`` starts [ns since 1970 UTC]."""

FOREVER_NS = 2**63 - 1
"""Where an interval without ``to`` stops [ns since 1970 UTC]."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = "write a date (the start of that UTC day) or a time with its zone, such as 2019-06-10T12:00:00Z"


def _moment_ns(value: object) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError(f"{value.isoformat()} has no time zone", do=f"write {value.isoformat()}Z if it is UTC")
        return (value - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(value, str) and value.strip()[:1].isdigit():
        return parse_time_ns(value, 0)  # begins with a digit: never relative to now
    raise UsageError(f"{value!r} is not a moment that stays the same", do=_FORMS)


MomentNs = Annotated[
    int, BeforeValidator(_moment_ns), WithJsonSchema({"type": "string", "examples": ["2019-06-10"], "format": "date"})
]


def _located(expected: str, location: tuple[str | int, ...], value: object) -> InitErrorDetails:
    error = PydanticCustomError("validity", "{expected}", {"expected": expected})
    return InitErrorDetails(type=error, loc=location, input=value)


def _refusal(details: list[InitErrorDetails]) -> ValidationError:
    # raised inside a validator it keeps its own locations: each mistake gets the line of its entry
    return ValidationError.from_exception_data("validity", details)


class Period(BaseModel):
    """A stretch of time and where it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_ns: MomentNs | None = Field(
        default=None, alias="from", description="Start, included: a date (a UTC day) or a time with zone; absent: ever."
    )
    to_ns: MomentNs | None = Field(
        default=None, alias="to", description="Stop, not included: a date or a time with zone; absent: until further."
    )
    source: str = Field(default=UNKNOWN, min_length=1, description="Where it is written: arXiv id, DOI, logbook entry.")
    note: str = Field(default="", description="What a reader should know about it.")

    @model_validator(mode="after")
    def _runs_forward(self) -> "Period":
        if self.start_ns >= self.stop_ns:
            expected = f"a moment after 'from' ({format_time(self.start_ns, 0)})"
            raise _refusal([_located(expected, ("to",), format_time(self.stop_ns, 0))])
        return self

    @property
    def start_ns(self) -> int:
        """First moment that belongs to it [ns since 1970 UTC]."""
        return BEGINNING_NS if self.from_ns is None else self.from_ns

    @property
    def stop_ns(self) -> int:
        """First moment that no longer belongs to it [ns since 1970 UTC]."""
        return FOREVER_NS if self.to_ns is None else self.to_ns

    @property
    def interval(self) -> Interval:
        """The same as a half-open interval; open ends lie at the ends of int64."""
        return Interval(self.start_ns, self.stop_ns)


class DatedEntry(Period, Generic[T]):
    """A value, when it holds and where it is written."""

    value: T | None = Field(description='The value, or "unknown".')

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return a short name: the parameters are validators that nobody wants to read."""
        del params
        return cls.__name__

    @field_validator("value", mode="before")
    @classmethod
    def _unknown_is_none(cls, value: object) -> object:
        return None if value == UNKNOWN else value


def check_disjoint(periods: tuple[PeriodT, ...]) -> tuple[PeriodT, ...]:
    """Refuse periods that share a moment.

    Parameters
    ----------
    periods : tuple of Period
        In any order.

    Returns
    -------
    tuple of Period
        The same.

    Raises
    ------
    ValidationError
        With one mistake for each that starts before an earlier one stops, located at its ``from``.
    """
    order = sorted(range(len(periods)), key=lambda index: periods[index].start_ns)
    overlaps = [
        _overlap(first, second, periods)
        for first, second in pairwise(order)
        if periods[second].start_ns < periods[first].stop_ns
    ]
    if overlaps:
        raise _refusal(overlaps)
    return periods


def _overlap(first: int, second: int, periods: tuple[Period, ...]) -> InitErrorDetails:
    earlier, later = periods[first], periods[second]
    if earlier.to_ns is None:
        expected = "validity that does not overlap another entry: the one before it in time has no 'to'"
    else:
        expected = f"a moment at or after {format_time(earlier.stop_ns, 0)}, where the entry before it stops"
    start = "no 'from'" if later.from_ns is None else format_time(later.start_ns, 0)
    return _located(expected, (second, "from"), start)


class Dated(BaseModel, Generic[T]):
    """A value with its history; entries never overlap.

    TOML gives it as a plain value, as one table ``{value, from, to, source, note}`` or as a list of such tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: Annotated[tuple[DatedEntry[T], ...], AfterValidator(check_disjoint)] = Field(
        description="The values, in the order of the file."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, data: object) -> object:
        if isinstance(data, list):
            if not data:
                raise UsageError("an empty list holds no value", do='write a value, or "unknown"')
            return {"entries": tuple(data)}
        return {"entries": (data if isinstance(data, Mapping) else {"value": data},)}

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return a short name: the parameters are validators that nobody wants to read."""
        del params
        return cls.__name__

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # what a file holds is not what the model keeps: a value, a table or a list of tables
        full = handler.resolve_ref_schema(handler(core_schema))
        entry = full["properties"]["entries"]["items"]
        value = handler.resolve_ref_schema(entry)["properties"]["value"]
        value["anyOf"] = [{"const": UNKNOWN} if form == {"type": "null"} else form for form in value["anyOf"]]
        full.clear()
        full["anyOf"] = [*value["anyOf"], entry, {"type": "array", "items": entry, "minItems": 1}]
        return full

    def at(self, time_ns: int) -> T | None:
        """Return the value that holds at a moment.

        Parameters
        ----------
        time_ns : int
            The moment [ns since 1970 UTC].

        Returns
        -------
        T or None
            The value; None where it is unknown or no entry holds.
        """
        for entry in self.entries:
            if time_ns in entry.interval:
                return entry.value
        return None
