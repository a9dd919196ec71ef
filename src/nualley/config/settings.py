"""Settings that belong to no domain below: the status page; and the whole of ``experiment.toml``."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nualley.archive import ArchiveSettings
from nualley.catalog import CatalogSettings
from nualley.core import UsageError, parse_quantity
from nualley.experiment import Experiment
from nualley.ingest import IngestSettings
from nualley.pv import EpicsSettings, MqttSettings
from nualley.replicas import ReplicasSettings


def _loopback(host: str) -> str:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(
            f"{host!r} is an address that other machines can reach, and there are no accounts yet",
            do='write "127.0.0.1"; from outside use a tunnel: ssh -L 8710:127.0.0.1:8710 HOST',
        )
    return host


def _size_B(value: object) -> object:
    # a plain number is in bytes: the key says so
    return round(parse_quantity(value, "B")) if isinstance(value, str) and not value.strip().isdigit() else value


APPLIANCE_PORTS = (17665, 17668)
"""Where an Archiver Appliance answers: /mgmt and /retrieval."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _appliance_ports(value: object) -> object:
    # the environment has words
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value.split(","))
    return APPLIANCE_PORTS if value is True else None if value is False else value


class WebSettings(BaseModel):
    """Where the status page listens, and who may push values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_loopback)] = Field(
        default="127.0.0.1", description="Address; only this machine's own, until there are accounts."
    )
    port: int = Field(default=8710, ge=1, le=65535, description="TCP port.")
    appliance_ports: Annotated[tuple[Port, Port] | None, BeforeValidator(_appliance_ports)] = Field(
        default=None,
        description="Two more TCP ports, for clients of the Archiver Appliance that ask there for /mgmt and "
        "/retrieval; true: [17665, 17668]. Both answer everything that web.port answers. Left out: none.",
    )
    catalog_tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens of those who may read the catalog over HTTP (catalog pull); as "
        "push_tokens_file. Left out: nobody may.",
    )
    catalog_write_tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens of those who may enter flags, notes and tags over HTTP; as push_tokens_file. "
        "Left out: nobody may.",
    )
    catalog_host_tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens of other hosts whose commands and worker use this catalog over HTTP "
        "(catalog.url there), for reading and writing; as push_tokens_file. Left out: none may.",
    )
    manage_tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens of those who may change what is archived over HTTP (archivePV, "
        "pauseArchivingPV, resumeArchivingPV); as push_tokens_file. Left out: nobody may.",
    )
    push_tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens of the programs that may push values; outside of the experiment repository, "
        "readable by its owner alone. Left out: nobody may.",
    )
    push_size_B: Annotated[int, BeforeValidator(_size_B)] = Field(
        default=4 * 2**20,
        ge=1024,
        le=8 * 2**20,
        description='Largest push [B]; a number, or text such as "4 MiB".',
    )
    push_rate_Hz: float = Field(
        default=10_000.0,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="Samples a second that one token may push in the long run [Hz]; ten seconds' worth at once.",
    )

    def resolve(self, directory: Path) -> Self:
        """Return the same with absolute paths, seen from the experiment directory."""
        files = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_tokens_file")}
        return self.model_copy(
            update={name: directory / file.expanduser() for name, file in files.items() if file is not None}
        )


class ExperimentFile(Experiment):
    """What ``experiment.toml`` says: the experiment, and a table for each service."""

    epics: EpicsSettings = Field(default=EpicsSettings(), description="How EPICS is reached.")
    mqtt: MqttSettings = Field(default=MqttSettings(), description="Where the MQTT broker is.")
    archive: ArchiveSettings = Field(default=ArchiveSettings(), description="How the archive writes.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="When and how raw files are taken in.")
    replicas: ReplicasSettings = Field(
        default=ReplicasSettings(), description="How copies are made, and how many there should be."
    )
    catalog: CatalogSettings = Field(default=CatalogSettings(), description="Where the record of runs is kept.")
    web: WebSettings = Field(default=WebSettings(), description="Where the status page listens.")
