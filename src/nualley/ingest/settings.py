"""Settings of ingest: ``[ingest]`` of ``experiment.toml``."""

from pydantic import BaseModel, ConfigDict, Field

_YEAR_S = 365 * 86400  # the longest that any of these may take: more is a slip


class IngestSettings(BaseModel):
    """When a raw file is finished, and how many copies are made of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settle_s: float = Field(
        default=60.0,
        ge=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        description="A file whose size and modification time rest so long is finished, also without a run PV [s].",
    )
    copies: int = Field(default=1, ge=1, description="Verified replicas that are made, each on another drive.")
    poll_s: float = Field(
        default=2.0,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        description="How often the drop directories are looked at [s].",
    )
    retry_limit_s: float = Field(
        default=300.0,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        description="A file that failed is tried again after poll_s, then twice as long each time up to this [s].",
    )
    waiting_limit_s: float = Field(
        default=86400.0,
        gt=0,
        le=_YEAR_S,
        allow_inf_nan=False,
        description="A file that was not taken in so long after its last change is reported [s].",
    )
    sidecars: tuple[str, ...] = Field(
        default=("WaveDumpConfig.txt", "*_settings.xml"),
        description="Name patterns of files that stand beside raw files and hold no events; kept as files of the run.",
    )
    ignored: tuple[str, ...] = Field(
        default=(".*", "*.tmp", "*.part"),
        description="Name patterns of files that are never taken from a drop directory, such as temporary ones.",
    )
