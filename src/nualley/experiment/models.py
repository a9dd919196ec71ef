"""The experiment itself: its name, place, time zone and store (``experiment.toml``)."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nualley.core import UsageError, nearest


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        if known and name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}? " if near else ""
            raise UsageError(
                f"{name!r} is not a time zone", do=f'{hint}write an IANA name such as "America/New_York" or "UTC"'
            ) from None
        # a machine without a time zone database cannot tell a wrong name: times are shown in UTC there
    return name


class Experiment(BaseModel):
    """What the experiment is called and where its data are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the experiment.")
    site: str = Field(default="", description="Where it stands.")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="IANA time zone in which people there read the clock; data are always in UTC."
    )
    store: Path = Field(
        default=Path("store"),
        description="Directory of what happened: archive, catalog, scans. A relative path starts at the experiment "
        "directory.",
    )
    description: str = Field(default="", description="What it is about, in a sentence or two.")
