"""What a reader must be told where the file does not say it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DaqSettings(BaseModel):
    """Facts of the DAQ that raw files may lack; what a file says of itself wins.

    Parameters
    ----------
    header : bool or None
        Whether each event has a header (wavedump).
    record_length : int or None
        Samples per waveform, >= 1, for files without header.
    sample_bits : {8, 16} or None
        Bits in which a sample is stored.
    channel : int or None
        Channel of the file, >= 0, for files without header.
    sample_period_ns : float or None
        Time between two samples [ns], > 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: bool | None = Field(
        default=None, description="whether each event has a header (wavedump); unset: the file's content decides"
    )
    record_length: int | None = Field(
        default=None, ge=1, description="samples per waveform, needed by wavedump files without header"
    )
    sample_bits: Literal[8, 16] | None = Field(
        default=None,
        description="bits in which a sample is stored; unset: 16, or what RECORD_LENGTH and the headers imply",
    )
    channel: int | None = Field(
        default=None, ge=0, description="channel of a file without header; unset: the number in its name"
    )
    sample_period_ns: float | None = Field(default=None, gt=0, description="time between two samples [ns]")
