"""The beam: which PVs tell its power, energy, rate, charge and shape, and what counts as on (``beam.toml``)."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nualley.core import UsageError
from nualley.experiment.quantities import (
    ChargeUnit,
    EnergyMeV,
    EnergyUnit,
    PowerUnit,
    PowerW,
    RateUnit,
    SignalUnit,
    TimeNs,
)


class BeamPv(BaseModel):
    """A PV of the beam and the unit of its value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pv: str = Field(min_length=1, description="Name of the PV.")
    unit: str = Field(description="Unit of its value.")


class PowerPv(BeamPv):
    """Power on the target."""

    unit: PowerUnit = Field(description="Unit of its value: W, kW, MW.")


class RatePv(BeamPv):
    """Pulses per second."""

    unit: RateUnit = Field(description="Unit of its value: Hz.")


class ChargePv(BeamPv):
    """Charge of one pulse."""

    unit: ChargeUnit = Field(description="Unit of its value: C, mC, uC, nC, or protons.")


class TracePv(BeamPv):
    """The shape of a pulse in time (POT trace), an array."""

    unit: SignalUnit = Field(description="Unit of its samples: A, mA, V, mV, or 1 where it is arbitrary.")
    sample_period_ns: TimeNs = Field(
        alias="sample_period", description='Time between two samples [ns], such as "1 ns".'
    )


class ProtonEnergy(BaseModel):
    """Kinetic energy of the protons: a PV, or a constant where none is archived."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pv: str | None = Field(default=None, min_length=1, description="Name of the PV.")
    unit: EnergyUnit | None = Field(default=None, description="Unit of the PV's value: MeV, GeV.")
    value_MeV: EnergyMeV | None = Field(
        default=None, alias="value", description='A constant instead of a PV [MeV], such as "1000 MeV".'
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "ProtonEnergy":
        if (self.pv is None) == (self.value_MeV is None):
            found = "neither 'pv' nor 'value'" if self.pv is None else "both 'pv' and 'value'"
            raise UsageError(f"proton_energy has {found}", do="give either pv and unit, or value")
        if (self.pv is None) != (self.unit is None):
            found = "'unit' without 'pv'" if self.pv is None else "'pv' without 'unit'"
            raise UsageError(
                f"proton_energy has {found}", do='give pv and unit together; value = "1000 MeV" has its own'
            )
        return self


class Beam(BaseModel):
    """What is known of the beam, and from which PV."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    power: PowerPv = Field(description="Beam power on the target.")
    proton_energy: ProtonEnergy | None = Field(
        default=None, description="Kinetic energy of the protons; absent: protons on target cannot be counted."
    )
    rate: RatePv | None = Field(default=None, description="Pulses per second; absent: pulses are not counted.")
    charge_per_pulse: ChargePv | None = Field(
        default=None, description="Charge of each pulse, an independent count of the protons."
    )
    trace: TracePv | None = Field(default=None, description="Shape of a pulse in time.")
    beam_on_min_W: PowerW = Field(
        default=50e3, alias="beam_on_min", description='Power from which on the beam counts as on [W], such as "50 kW".'
    )
