"""Detectors: target, place, times of operation and DAQ (``detectors/<id>.toml``)."""

import re
from typing import Annotated, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from nualley.core import DetectorId, Interval, UsageError, escape_name
from nualley.experiment.dated import Dated, Period, check_disjoint
from nualley.experiment.quantities import LengthM, MassKg, TimeNs

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check_detector_id(name: str) -> DetectorId:
    """Return a name as the id of a detector.

    Parameters
    ----------
    name : str
        The stem of a file in ``detectors/``.

    Returns
    -------
    DetectorId
        The same.

    Raises
    ------
    UsageError
        Where it is more than lower-case letters, digits and single hyphens.

    Examples
    --------
    >>> check_detector_id("coh-ar-750")
    'coh-ar-750'
    """
    if _ID.fullmatch(name) is None:
        _refuse_id(name)
    return DetectorId(name)


def _refuse_id(name: str) -> NoReturn:
    words = re.findall(r"[a-z0-9]+", name.lower())
    hint = f"did you mean {'-'.join(words)!r}? " if words else ""
    raise UsageError(
        f"'{escape_name(name)}' is not the id of a detector",
        do=f"{hint}use lower-case letters and digits, joined by single hyphens",
    )


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Table):
    """What neutrinos meet."""

    material: str = Field(min_length=1, description='The material, such as "CsI[Na]".')
    mass_kg: Dated[MassKg] = Field(alias="mass", description='Mass that counts [kg], such as "14.6 kg"; may be dated.')


class DaqPvs(_Table):
    """PVs in which a DAQ tells what it does."""

    run: str | None = Field(default=None, min_length=1, description="PV of the run number.")
    state: str | None = Field(default=None, min_length=1, description="PV of the run state (an enum or a string).")
    live_fraction: str | None = Field(
        default=None, min_length=1, description="PV of the live fraction, 0 to 1; absent: dead time is unknown."
    )


class Daq(_Table):
    """How a detector's data are taken, and what its raw files do not say themselves."""

    format: str = Field(min_length=1, description="Raw format: the name of an installed reader.")
    pvs: DaqPvs = Field(default=DaqPvs(), description="PVs in which the DAQ tells what it does.")
    running: tuple[str, ...] = Field(
        default=("Running",), min_length=1, description="Values of the state PV that mean: data are taken."
    )
    paused: tuple[str, ...] = Field(
        default=("Paused",), description="Values of the state PV that mean: inside a run, but no data are taken."
    )
    header: bool | None = Field(
        default=None, description="Whether each event has a header (wavedump); absent: the file's content decides."
    )
    record_length: int | None = Field(
        default=None, ge=1, description="Samples per waveform; needed for wavedump files without header."
    )
    sample_bits: Literal[8, 16] | None = Field(
        default=None, description="Bits in which a sample is stored: 8 or 16; absent: what the file implies."
    )
    channel: int | None = Field(
        default=None, ge=0, description="Channel of a file without header; absent: the number in its name."
    )
    sample_period_ns: TimeNs | None = Field(
        default=None, alias="sample_period", description='Time between two samples [ns], such as "4 ns".'
    )
    channels: dict[int, str] = Field(
        default_factory=dict, description="What is connected to each channel: number = name."
    )

    @field_validator("paused", mode="after")
    @classmethod
    def _states_differ(cls, paused: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if both := sorted(set(paused) & set(info.data.get("running", ()))):
            raise UsageError(f"{', '.join(map(repr, both))} stands in 'running' too", do="give each state one meaning")
        return paused


class Detector(_Table):
    """One detector: what it is, where it stands, when it ran and how it is read."""

    id: Annotated[DetectorId, AfterValidator(check_detector_id)] = Field(
        description="The id: the stem of its file, lower-case letters, digits and single hyphens."
    )
    name: str = Field(min_length=1, description="The name that people use.")
    description: str = Field(default="", description="What it is for, in a sentence or two.")
    target: Target = Field(description="What neutrinos meet.")
    distance_m: Dated[LengthM] = Field(
        alias="distance", description='Distance from the beam target [m], such as "19.3 m"; may be dated.'
    )
    position: Dated[str] | None = Field(default=None, description="Where it stands, in words; may be dated.")
    periods: Annotated[tuple[Period, ...], AfterValidator(check_disjoint)] = Field(
        default=(), alias="operated", description="When it took data: a list of {from, to, source, note}."
    )
    daq: Daq | None = Field(default=None, description="How its data are taken; absent: not known or no DAQ.")

    @property
    def operated(self) -> tuple[Interval, ...]:
        """When it took data, as half-open intervals; open ends lie at the ends of int64."""
        return tuple(period.interval for period in self.periods)
