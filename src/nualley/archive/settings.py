"""Settings of the archive: ``[archive]`` of ``experiment.toml``, and what is archived (``pvs/<group>.toml``)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from nualley.archive.condition import Condition
from nualley.archive.names import NAME_FORM, is_valid_pv_name, same_pv, split_protocol, without_protocol
from nualley.core import UsageError, parse_quantity
from nualley.pv import Expression, member_path


def _size_B(value: object) -> object:
    # a plain number is in bytes: the key says so
    return round(parse_quantity(value, "B")) if isinstance(value, str) and not value.strip().isdigit() else value


def _pv_name(name: str) -> str:
    if not is_valid_pv_name(name):
        raise UsageError(f"{name!r} cannot be the name of a PV", do=f"use {NAME_FORM}")
    return name


def _entry_name(text: str) -> str:
    return _pv_name(split_protocol(text)[1])


def _condition(text: str) -> str:
    if text:
        Condition.parse(text)
    return text


class ArchiveSettings(BaseModel):
    """How the archive writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sync_interval_ms: float = Field(
        default=50.0,
        ge=1,
        le=10_000,
        allow_inf_nan=False,
        description="How long samples are gathered before they are synced to disk together [ms]; an acknowledged "
        "sample is on disk.",
    )
    rotate_s: float = Field(
        default=600.0,
        ge=1,
        le=86_400,
        allow_inf_nan=False,
        description="Age at which a segment of the write-ahead log is sealed into Parquet [s].",
    )
    rotate_size_B: Annotated[int, BeforeValidator(_size_B)] = Field(
        default=64 * 2**20,
        ge=4096,
        le=2**32,
        description='Size at which a segment is sealed [B]; a number, or text such as "64 MiB".',
    )
    reserve_B: Annotated[int, BeforeValidator(_size_B)] = Field(
        default=64 * 2**20,
        ge=0,
        le=2**36,
        description="Room that is held on the store's drive for the log, and given to it when the drive is full [B].",
    )
    future_limit_s: float = Field(
        default=1800.0,
        ge=0,
        le=31_536_000,
        allow_inf_nan=False,
        description="How far ahead of this machine's clock a stamp may be [s]; a later one is quarantined.",
    )


_PROTOCOLS_BY_KEY: Mapping[str, tuple[str, ...]] = {
    "topic": ("mqtt",),
    "member": ("mqtt",),
    "time_member": ("mqtt",),
    "time_unit": ("mqtt",),
    "availability_topic": ("mqtt",),
    "payload_available": ("mqtt",),
    "payload_not_available": ("mqtt",),
    "expression": ("computed",),
    "unit": ("mqtt", "computed"),
    "queue": ("pva",),
}
"""Keys of a policy that only some protocols know."""

_NEEDED: Mapping[str, str] = {"topic": "a topic of the broker", "expression": 'such as "LAB:P1 - LAB:P2"'}
"""Keys without which a protocol that knows them says nothing."""

_LONGEST_TOPIC_B = 1024


def _topic(text: str) -> str:
    is_plain = not any(mark in text for mark in "+#\0") and not text.startswith("$share/")
    if text and (not is_plain or len(text.encode("utf-8", "replace")) > _LONGEST_TOPIC_B):
        raise UsageError(
            f"{text!r:.80} is no topic of one PV", do=f"write it whole, without + and #, at most {_LONGEST_TOPIC_B} B"
        )
    return text


def _member(text: str) -> str:
    if text:
        member_path(text)
    return text


def _expression(text: str) -> str:
    for name in Expression.parse(text).inputs if text else ():
        _pv_name(name)
    return text


class PvPolicy(BaseModel):
    """How one PV is archived."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Literal["ca", "pva", "http", "mqtt", "computed"] = Field(
        default="ca",
        description="How its values come: ca (Channel Access), pva (PV Access), http (a program pushes them: "
        "web.push_tokens_file), mqtt (from the broker of [mqtt]), computed (by an expression over other archived PVs).",
    )
    mode: Literal["monitor", "scan"] = Field(
        default="monitor",
        description="monitor: every change that the IOC posts; scan: the newest one in each period_s.",
    )
    period_s: float | None = Field(
        default=None,
        ge=0.1,
        le=86_400,
        allow_inf_nan=False,
        description="With mode scan: at most one sample in so long [s].",
    )
    events: Literal["value", "archive"] = Field(
        default="value",
        description="Which dead band of the record applies: value (MDEL) or archive (ADEL); alarms always arrive.",
    )
    queue: int | None = Field(
        default=None,
        ge=4,
        le=65_536,
        description="With protocol = pva: so many updates may wait for the archive, and as many again at the IOC, "
        "before the IOC merges them. Left out: 4 MiB of it and 128 MiB of all PVs together, 4 to 1024 updates.",
    )
    dead_band: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="A number is stored once it differs by more from the last stored one [unit of the PV]; alarms and "
        "NaN always are.",
    )
    dead_band_relative: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="The same as a fraction of the last stored one: 0.01 is 1 %; the larger of the two counts.",
    )
    only_while: Annotated[str, AfterValidator(_condition)] = Field(
        default="",
        description='Archived only while another archived PV is not 0 ("PV") or compares so ("PV > 0.5").',
    )
    periodic_s: float | None = Field(
        default=None,
        gt=0,
        le=604_800,
        allow_inf_nan=False,
        description="Its IOC posts a sample at least so often [s]; left out: silence is no fault while the IOC lives.",
    )
    stale_periods: int = Field(
        default=3, ge=2, le=1000, description="With periodic_s: after so many periods of silence its value is unknown."
    )
    retention_h: float | None = Field(
        default=None,
        ge=1,
        allow_inf_nan=False,
        description="How long samples are kept [h], such as those of waveforms; their 1 min and 1 h rows stay. Left "
        "out: for ever.",
    )
    average: bool | None = Field(
        default=None,
        description="Of an array of numbers: whether averages of each minute are kept for ever. Left out: where "
        "retention_h says that the samples go.",
    )
    veto_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="An array whose sum is below this part of the usual one is averaged apart from the others: a trip.",
    )
    align_to_sample: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="Sample at which the rising edge of every array is put before they are averaged, against jitter "
        "of the trigger. Left out: they are averaged as they come.",
    )
    topic: Annotated[str, AfterValidator(_topic)] = Field(
        default="", validate_default=True, description="With mqtt: topic of the broker, without wildcards."
    )
    member: Annotated[str, AfterValidator(_member)] = Field(
        default="",
        description='With mqtt: where in a payload that is JSON the value is: "temperature", "a.b[0]". Left out: the '
        "whole payload is the value.",
    )
    time_member: Annotated[str, AfterValidator(_member)] = Field(
        default="",
        description="With mqtt: where in it the time stamp is: ISO 8601 with a zone, or a number. Left out: the time "
        "of receipt.",
    )
    time_unit: Literal["ns", "us", "ms", "s"] = Field(
        default="ns", description="With time_member: what a number there counts since 1970 UTC."
    )
    availability_topic: Annotated[str, AfterValidator(_topic)] = Field(
        default="", description="With mqtt: topic on which the device, or its last will, says whether it is there."
    )
    payload_available: str = Field(
        default="online", min_length=1, description="With availability_topic: what it says when it is there."
    )
    payload_not_available: str = Field(
        default="offline", min_length=1, description="With availability_topic: what it says when it is not."
    )
    expression: Annotated[str, AfterValidator(_expression)] = Field(
        default="",
        validate_default=True,
        description='With computed: what it is, such as "LAB:P1 - LAB:P2"; names with other marks than : _ . in double '
        "quotes.",
    )
    unit: str = Field(default="", max_length=64, description="With mqtt and computed: its unit.")
    description: str = Field(default="", description="What it tells.")

    @property
    def is_averaged(self) -> bool:
        """Whether averages of its arrays are kept for ever."""
        return self.retention_h is not None if self.average is None else self.average

    def __str__(self) -> str:
        """Return its protocol and what differs from the defaults, on one line."""
        told = {"protocol": self.protocol, **self.model_dump(mode="json", exclude_defaults=True)}
        return ", ".join(f"{key} = {value}" for key, value in told.items())

    def with_options(self, options: "PvDefaults") -> "PvPolicy":
        """Return the same policy but for the options that were given.

        Parameters
        ----------
        options : PvDefaults
            What changes. What only an earlier protocol or mode knows goes with it.

        Raises
        ------
        ValidationError
            Where they do not go together.
        """
        given = options.model_dump(exclude_unset=True)
        kept = self.model_dump(exclude_unset=True)
        protocol, mode = given.get("protocol", self.protocol), given.get("mode", self.mode)
        lost = {key for key, protocols in _PROTOCOLS_BY_KEY.items() if protocol not in protocols}
        lost |= {"period_s"} if mode == "monitor" else set()
        return PvPolicy.model_validate({key: value for key, value in kept.items() if key not in lost} | given)

    @field_validator(*_PROTOCOLS_BY_KEY)
    @classmethod
    def _check_protocol(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        protocol, key = info.data.get("protocol"), str(info.field_name)
        if protocol is None:  # its own mistake is told
            return value
        is_known = protocol in _PROTOCOLS_BY_KEY[key]
        if value and not is_known:
            protocols = " or ".join(_PROTOCOLS_BY_KEY[key])
            raise UsageError(f"protocol is {protocol}", do=f"{key} only with protocol {protocols}")
        if is_known and not value and key in _NEEDED:
            raise UsageError(f"protocol is {protocol}, which needs one", do=f"{key}: {_NEEDED[key]}")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.mode == "scan") != (self.period_s is not None):
            raise ValueError("mode = scan and period_s belong together")
        return self


class PvDefaults(PvPolicy):
    """What the policies of a group have in common: parts of policies, so that it need not be one by itself."""

    @field_validator(*_PROTOCOLS_BY_KEY)
    @classmethod
    def _check_protocol(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:  # noqa: ARG003  # as above
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        return self


class PvGroup(BaseModel):
    """PVs that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(default="", description="What the group is about.")
    defaults: PvDefaults = Field(
        default_factory=PvDefaults,
        description="Policy of every PV of the group, as far as its own entry says nothing else.",
    )
    pv: dict[Annotated[str, AfterValidator(_entry_name)], PvPolicy] = Field(
        default_factory=dict,
        description='The PVs: "NAME" = {protocol, mode, events, ..., description}, or {} for the defaults; '
        '"pva://NAME" is "NAME" with protocol = "pva".',
    )

    @field_validator("pv", mode="wrap")
    @classmethod
    def _read_entries(cls, found: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if not isinstance(found, dict):
            return read(found)
        defaults: PvDefaults | None = info.data.get("defaults")  # None: their mistake is told once, where it stands
        common = defaults.model_dump(exclude_unset=True) if defaults else {}
        mistakes, written = [], dict[str, str]()
        entries = dict(found)
        for pv, own in found.items():
            name = split_protocol(pv)[1]
            earlier = written.setdefault(same_pv(name, written.__contains__), pv)
            if earlier is not pv:
                twice = UsageError(f"{pv} is the same PV as {earlier}", do="each PV once")
                mistakes.append(_located(twice, (pv,), pv))
            if isinstance(own, dict):
                try:
                    entries[pv] = common | without_protocol(pv, own)[1]
                except UsageError as error:
                    mistakes.append(_located(error, (pv, "protocol"), own["protocol"]))
                    entries[pv] = common | own | {"protocol": split_protocol(pv)[0]}
        return _read_all(entries, read, mistakes)


def _located(error: UsageError, location: tuple[str, ...], value: object) -> InitErrorDetails:
    kind = PydanticCustomError("value_error", "Value error, {error}", {"error": error})
    return InitErrorDetails(type=kind, loc=location, input=value)


def _read_all(entries: object, read: ValidatorFunctionWrapHandler, mistakes: list[InitErrorDetails]) -> Any:
    """Return what is read, or raise its mistakes together with those that were found before."""
    try:
        value = read(entries)
    except ValidationError as error:
        found = error.errors(include_url=False)
        mistakes += [
            InitErrorDetails(type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {}))
            for each in found
        ]
    if mistakes:
        # raised inside a validator it keeps its own locations: each mistake gets the line of its entry
        raise ValidationError.from_exception_data("pv", mistakes)
    return value
