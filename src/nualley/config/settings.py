"""Settings that belong to no domain below: the status page; and the whole of ``experiment.toml``."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nualley.archive import ArchiveSettings
from nualley.catalog import CatalogSettings
from nualley.core import UsageError
from nualley.experiment import Experiment
from nualley.ingest import IngestSettings
from nualley.pv import EpicsSettings


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


class WebSettings(BaseModel):
    """Where the status page listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_loopback)] = Field(
        default="127.0.0.1", description="Address; only this machine's own, until there are accounts."
    )
    port: int = Field(default=8710, ge=1, le=65535, description="TCP port.")


class ExperimentFile(Experiment):
    """What ``experiment.toml`` says: the experiment, and a table for each service."""

    epics: EpicsSettings = Field(default=EpicsSettings(), description="How EPICS is reached.")
    archive: ArchiveSettings = Field(default=ArchiveSettings(), description="How the archive writes.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="When and how raw files are taken in.")
    catalog: CatalogSettings = Field(default=CatalogSettings(), description="Where the record of runs is kept.")
    web: WebSettings = Field(default=WebSettings(), description="Where the status page listens.")
