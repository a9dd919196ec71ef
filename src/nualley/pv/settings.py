"""How EPICS is reached: the table [epics] of experiment.toml."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _words(value: object) -> object:
    # the environment has no lists: NUALLEY_EPICS__ADDR_LIST="10.0.0.1 10.0.0.2" means two
    return tuple(value.split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class EpicsSettings(BaseModel):
    """Where PVs are searched and how IOCs are watched.

    What is written here wins over ``EPICS_CA_*`` in the environment; what is left out leaves the environment as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    addr_list: Words = Field(
        default=(), description="Addresses that PVs are searched at: host or host:port (EPICS_CA_ADDR_LIST)."
    )
    auto_addr_list: bool = Field(
        default=True, description="Whether PVs are also searched on every attached network (EPICS_CA_AUTO_ADDR_LIST)."
    )
    name_servers: Words = Field(
        default=(), description="Name servers asked over TCP: host or host:port (EPICS_CA_NAME_SERVERS)."
    )
    max_array_bytes: int | None = Field(
        default=None,
        ge=16384,
        description="Largest array taken [B] (EPICS_CA_MAX_ARRAY_BYTES); left out: as large as the IOC sends.",
    )
    life_s: float = Field(
        default=2.0, ge=0.2, le=4.0, description="How often every IOC is asked for a sign of life [s]."
    )
    heartbeats: Words = Field(
        default=(),
        description="PVs that change by themselves all the time: their IOC is watched by them, without questions.",
    )
