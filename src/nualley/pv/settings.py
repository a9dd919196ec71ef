"""How EPICS and an MQTT broker are reached: the tables [epics] and [mqtt] of experiment.toml."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nualley.core import UsageError

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")  # underscores: some sites' machines have them


def _words(value: object) -> object:
    # the environment has no lists: NUALLEY_EPICS__ADDR_LIST="10.0.0.1 10.0.0.2" means two
    return tuple(value.split()) if isinstance(value, str) else value


def _address(text: str) -> str:
    host, colon, port = text.partition(":")
    if not _is_host(host) or (colon and not _is_port(port)):
        raise UsageError(
            f"{text!r} is no address of an IOC", do='write "HOST" or "HOST:PORT", such as "127.0.0.1:5064"'
        )
    return text


def _is_host(host: str) -> bool:
    if re.fullmatch(r"[\d.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_words)]


class EpicsSettings(BaseModel):
    """Where PVs are searched and how IOCs are watched.

    What is written here wins over ``EPICS_CA_*`` and ``EPICS_PVA_*`` in the environment; what is left out leaves the
    environment as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    addr_list: Addresses = Field(
        default=(),
        description="Channel Access: addresses that PVs are searched at, host or host:port (EPICS_CA_ADDR_LIST).",
    )
    auto_addr_list: bool = Field(
        default=True,
        description="Channel Access: whether PVs are also searched on every attached network "
        "(EPICS_CA_AUTO_ADDR_LIST).",
    )
    name_servers: Addresses = Field(
        default=(),
        description="Channel Access: name servers asked over TCP, host or host:port (EPICS_CA_NAME_SERVERS).",
    )
    max_array_bytes: int | None = Field(
        default=None,
        ge=16384,
        le=2**31 - 1,
        description="Largest array taken over Channel Access [B] (EPICS_CA_MAX_ARRAY_BYTES); left out: as large as "
        "the IOC sends.",
    )
    pva_addr_list: Addresses = Field(
        default=(),
        description="PV Access: addresses that PVs are searched at, host or host:port (EPICS_PVA_ADDR_LIST).",
    )
    pva_auto_addr_list: bool = Field(
        default=True,
        description="PV Access: whether PVs are also searched on every attached network (EPICS_PVA_AUTO_ADDR_LIST).",
    )
    pva_name_servers: Addresses = Field(
        default=(),
        description="PV Access: name servers asked over TCP, host or host:port (EPICS_PVA_NAME_SERVERS).",
    )
    life_s: float = Field(
        default=2.0, ge=0.2, le=4.0, description="How often every IOC is asked for a sign of life [s]."
    )
    heartbeats: Words = Field(
        default=(),
        description="PVs that change by themselves all the time: their IOC is watched by them, without questions.",
    )


class MqttSettings(BaseModel):
    """Where the MQTT broker is. Nothing connects to it before a PV has protocol mqtt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253, description="Name or address of the broker.")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port; with tls usually 8883.")
    username: str = Field(default="", description="Name of our account there; empty: none is told.")
    password_file: Path | None = Field(
        default=None,
        description="File with the password, in its first line; outside of the experiment repository, readable by its "
        "owner alone.",
    )
    tls: bool = Field(default=False, description="Whether the connection is encrypted, and the broker proven.")
    ca_file: Path | None = Field(
        default=None,
        description="With tls: certificates (PEM) that prove the broker; left out: those that this machine trusts.",
    )
    keepalive_s: int = Field(
        default=10, ge=2, le=3600, description="The broker counts us as gone after 1.5 times so long of silence [s]."
    )
    client_id: str = Field(
        default="",
        max_length=128,
        description="Name under which the broker keeps messages for us while we are away; no two clients may have the "
        "same. Left out: made of this machine and the store.",
    )
    session_expiry_s: int = Field(
        default=604_800,
        ge=0,
        le=2**32 - 1,
        description="How long it keeps them while we are away [s]; 4294967295: for ever.",
    )

    def resolve(self, directory: Path) -> Self:
        """Return the same with absolute paths, seen from the experiment directory."""
        files = {"password_file": self.password_file, "ca_file": self.ca_file}
        return self.model_copy(
            update={name: directory / file.expanduser() for name, file in files.items() if file is not None}
        )
