"""Settings of replicas: ``[replicas]`` of ``experiment.toml``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from nualley.core import DAY_NS, UsageError, parse_quantity
from nualley.replicas.models import Policy
from nualley.storage import DriveRole, DurationNs


def parse_rate_B_per_s(text: str) -> int:
    """Return a rate such as "200 MB/s" [B/s].

    Raises
    ------
    UsageError
        Where it is none, or not positive.

    Examples
    --------
    >>> parse_rate_B_per_s("200 MB/s")
    200000000
    """
    amount, slash, second = text.rpartition("/")
    if not slash or second.strip() != "s":
        raise UsageError(f"{text!r} is not a rate", do='write bytes in a second, such as "200 MB/s"')
    rate_B_per_s = round(parse_quantity(amount, "B"))
    if rate_B_per_s <= 0:
        raise UsageError(f"{text!r} lets nothing through", do='write a positive rate, such as "200 MB/s"')
    return rate_B_per_s


def _rate(value: object) -> object:
    return parse_rate_B_per_s(value) if isinstance(value, str) else _refuse_number(value, "200 MB/s")


def _size_B(value: object) -> object:
    return round(parse_quantity(value, "B")) if isinstance(value, str) else _refuse_number(value, "1 TiB")


def _refuse_number(value: object, example: str) -> object:
    if isinstance(value, int | float):
        raise UsageError(f"{value!r} has no unit", do=f'write it as text with its unit, such as "{example}"')
    return value


def _text_such_as(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


RateB = Annotated[int, BeforeValidator(_rate), Field(gt=0), _text_such_as("200 MB/s")]
SizeB = Annotated[int, BeforeValidator(_size_B), Field(ge=0), _text_such_as("1 TiB")]


class PlacementSettings(BaseModel):
    """How many copies of a stage there should be, and where, ``[replicas.placement.<stage>]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    copies: int = Field(ge=0, description="Verified replicas, each on another device; those on tape or remotes count.")
    roles: tuple[DriveRole, ...] | None = Field(
        default=None, min_length=1, description="Roles of the drives that take them; by default the stage's, and any."
    )
    keep_free_B: SizeB = Field(
        default=0, alias="keep_free", description="Bytes that stay free on a drive [B], beside its limit."
    )
    remotes: tuple[str, ...] = Field(
        default=(), description="Remotes of drives.toml that get a copy each, before drives get more than one."
    )


class ReclaimSettings(BaseModel):
    """What may be taken away to make room, ``[replicas.reclaim]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    proof_ns: DurationNs = Field(
        default=30 * DAY_NS,
        alias="proof",
        description="A replica that was read back so lately [ns], and not changed since, is not read once more before "
        "another one goes because of it; '0s': it always is.",
    )
    remote_proof_ns: DurationNs = Field(
        default=0,
        alias="remote_proof",
        description="A copy on a remote that was read back so lately [ns] counts where it is there with its size; "
        "'0s': it is always read back, or its digest reckoned there, before another one goes because of it.",
    )
    stale_ns: DurationNs = Field(
        default=365 * DAY_NS,
        alias="stale",
        description="Files of users that were not written to for so long are proposed [ns], such as '365d'.",
    )
    trash_ns: DurationNs = Field(
        default=14 * DAY_NS,
        alias="trash",
        description="Time in the trash before a file may be deleted for good [ns], such as '14d'.",
    )


class ReplicasSettings(BaseModel):
    """How copies are made, and how many there should be."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    rate_B_per_s: RateB | None = Field(
        default=None,
        alias="rate",
        description="Most bytes that a transfer reads in a second [B/s], copying and reading back; left out: no limit.",
    )
    streams: int = Field(
        default=1, ge=1, le=64, description="Files that are copied from or to one device at the same time."
    )
    scrub_B: SizeB = Field(
        default=2**40,
        alias="scrub",
        description='Bytes of each drive whose replicas the worker reads again every day [B]; "0 B": none.',
    )
    scrub_rate_B_per_s: RateB | None = Field(
        default=None,
        alias="scrub_rate",
        description="Most bytes that are read again in a second [B/s], by the worker and by drives scrub; left out: no "
        "limit. Transfers have their turns at a drive all the same.",
    )
    scrub_remotes_B: SizeB = Field(
        default=0,
        alias="scrub_remotes",
        description='Bytes of each remote whose replicas the worker fetches again every day [B]; "0 B": none, since '
        "some let themselves be paid for it.",
    )
    rclone: Path | None = Field(
        default=None,
        description="The rclone that reaches remotes; by default the one of nualley[remotes], else that of PATH.",
    )
    reclaim: ReclaimSettings = Field(
        default=ReclaimSettings(), description="What may be taken away to make room; never by itself."
    )
    placement: Mapping[str, PlacementSettings] = Field(
        default_factory=dict,
        description="Copies by stage; a stage that is not named has 2 copies where it is raw, else 1.",
    )

    def policy(self, stage: str) -> Policy:
        """Return how many copies of a stage there should be, and where.

        Examples
        --------
        >>> ReplicasSettings().policy("raw").n_copies, ReplicasSettings().policy("hit").n_copies
        (2, 1)
        """
        said = self.placement.get(stage)
        if said is None:
            return Policy(_DEFAULT_COPIES.get(stage, 1), _roles(stage))
        return Policy(said.copies, said.roles or _roles(stage), said.keep_free_B, said.remotes)

    @property
    def n_copies_by_stage(self) -> Mapping[str, int]:
        """How many copies of a stage there should be; of one that is not here, one."""
        return _DEFAULT_COPIES | {stage: said.copies for stage, said in self.placement.items()}


_DEFAULT_COPIES = {"raw": 2}  # whatever else there is can be made again


def _roles(stage: str) -> tuple[DriveRole, ...]:
    return (DriveRole(stage) if stage in set(DriveRole) else DriveRole.PROCESSED, DriveRole.ANY)
