"""People: who is who, and who answers for what (``people.toml``)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Role(StrEnum):
    """What a person answers for."""

    COORDINATOR = "coordinator"
    DATA_COORDINATOR = "data-coordinator"
    SOFTWARE_COORDINATOR = "software-coordinator"
    RELEASE_MANAGER = "release-manager"
    SHIFTER = "shifter"
    EXPERT = "expert"
    ANALYZER = "analyzer"
    STUDENT = "student"


class Person(BaseModel):
    """One person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="The name in full.")
    email: str | None = Field(
        default=None, pattern=r"^[^@\s]+@[^@\s]+$", description="Address; this file is in git, so only a public one."
    )
    roles: tuple[Role, ...] = Field(default=(), description="What the person answers for.")
    detectors: tuple[str, ...] = Field(default=(), description="Ids of detectors that the person answers for.")


class People(BaseModel):
    """Everybody, by a short name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: dict[str, Person] = Field(default_factory=dict, description="Tables [people.<short name>].")
