"""Runs of the demo's DAQs: their numbers, their pauses, their files."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nualley.demo.pulses import Digitizer
from nualley.testing.cohar750 import Cohar750Writer
from nualley.testing.wavedump import WaveDumpWriter, write_config

_RUN = re.compile(r"run(\d+)")
_TAG_NS = 8  # a V1720 counts its trigger time tag in steps of 8 ns, in 31 bits
_TAG_BITS = 31

# CENNS-10: two photomultipliers on a 12-bit, 250 MS/s digitizer; COH-Ar-750: 16 bits, 125 MS/s, four of its channels
DIGITIZERS = {
    "wavedump": Digitizer(channels=2, record_length=1536, sample_ns=4.0, bits=12, baseline_ADC=3800.0),
    "cohar750-hdf5": Digitizer(channels=4, record_length=1024, sample_ns=8.0, bits=16, baseline_ADC=60_000.0),
}


@dataclass(frozen=True, slots=True)
class Pause:
    """A short pause in a run.

    Parameters
    ----------
    start_s, stop_s : float
        From and to [s after the start of the run].
    """

    start_s: float
    stop_s: float


def planned_pause(seed: int, number: int, run_s: float) -> Pause | None:
    """Return the pause of a run, if it has one: about every fifth.

    Parameters
    ----------
    seed : int
        Of the world.
    number : int
        Of the run.
    run_s : float
        How long a run lasts [s].

    Returns
    -------
    Pause or None
        A tenth of the run, in its middle half.
    """
    rng = np.random.default_rng((seed, 3, number))
    if rng.random() >= 0.2:
        return None
    start_s = run_s * rng.uniform(0.25, 0.65)
    return Pause(start_s, start_s + 0.1 * run_s)


def next_number(drop: Path, state_file: Path) -> int:
    """Return the number of the next run: one more than any in the drop directory or in the state file.

    Parameters
    ----------
    drop : Path
        Where runs are written.
    state_file : Path
        Holds the last number, for when the drop directory was emptied.

    Returns
    -------
    int
        At least 1.
    """
    matches = [_RUN.fullmatch(path.name) for path in drop.iterdir()] if drop.is_dir() else []
    numbers = [int(match[1]) for match in matches if match]
    if state_file.exists():
        numbers.append(int(json.loads(state_file.read_text())["run"]))
    return max(numbers, default=0) + 1


def note_number(state_file: Path, number: int) -> None:
    """Write the number of a run before it begins, so that no restart gives it again."""
    part = state_file.with_name(state_file.name + ".part")
    with part.open("w") as file:
        json.dump({"run": number}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(state_file)


class RunWriter(Protocol):
    """Writes the events of one run."""

    def write(self, waveforms: NDArray[np.uint16], times_ns: Sequence[int]) -> None:
        """Write events: samples of shape (event, channel, sample), times since the start of the run [ns]."""
        ...

    def close(self, *, truncated: bool) -> None:
        """Close the files; ``truncated`` leaves the last event of the first one unfinished."""
        ...


class WaveDumpRun:
    """A run as WaveDump leaves it: one file a channel and the configuration beside.

    Parameters
    ----------
    folder : Path
        The run's own, which exists.
    digitizer : Digitizer
        How events are recorded.
    """

    def __init__(self, folder: Path, digitizer: Digitizer) -> None:
        common: dict[str, object] = {
            "OPEN": "PCI 0 0 0",
            "RECORD_LENGTH": digitizer.record_length,
            "POST_TRIGGER": 80,
            "PULSE_POLARITY": "NEGATIVE",
            "EXTERNAL_TRIGGER": "DISABLED",
            "OUTPUT_FILE_FORMAT": "BINARY",
            "OUTPUT_FILE_HEADER": "YES",
            "ENABLE_INPUT": "NO",
        }
        channel = {"ENABLE_INPUT": "YES", "TRIGGER_THRESHOLD": 50, "CHANNEL_TRIGGER": "ACQUISITION_ONLY"}
        write_config(folder, {"COMMON": common, **{str(number): channel for number in range(digitizer.channels)}})
        self._writers = [
            WaveDumpWriter(folder / f"wave{number}.dat", channel=number) for number in range(digitizer.channels)
        ]
        self._length = digitizer.record_length

    def write(self, waveforms: NDArray[np.uint16], times_ns: Sequence[int]) -> None:
        """Write events; see `RunWriter`."""
        tags = [time_ns // _TAG_NS % 2**_TAG_BITS for time_ns in times_ns]
        for number, writer in enumerate(self._writers):
            writer.write(waveforms[:, number, :], tags)
            writer.flush()

    def close(self, *, truncated: bool) -> None:
        """Close the files; see `RunWriter`."""
        if truncated:
            event_B = 24 + 2 * self._length
            words = np.array([event_B, 0, 0, 0, self._writers[0].n_events, 0], dtype="<u4")
            self._writers[0].write_raw(words.tobytes() + b"\x10\x0e" * (self._length // 3))
        for writer in self._writers:
            writer.close()


class Cohar750Run:
    """A run as COH-Ar-750's DAQ leaves it: one HDF5 file.

    Parameters
    ----------
    folder : Path
        The run's own, which exists.
    digitizer : Digitizer
        How events are recorded.
    """

    def __init__(self, folder: Path, digitizer: Digitizer) -> None:
        # SWMR: what is flushed can be read at once, and a DAQ that is killed leaves a file that still opens
        self._writer = Cohar750Writer(
            folder / f"{folder.name}.h5",
            channels=digitizer.channels,
            record_length=digitizer.record_length,
            swmr=True,
        )

    def write(self, waveforms: NDArray[np.uint16], times_ns: Sequence[int]) -> None:
        """Write events; see `RunWriter`."""
        self._writer.append(waveforms, times_ns)
        self._writer.flush()

    def close(self, *, truncated: bool) -> None:
        """Close the file; HDF5 has no half events, so ``truncated`` changes nothing."""
        del truncated
        self._writer.close()


RUN_WRITERS: dict[str, type[WaveDumpRun] | type[Cohar750Run]] = {
    "wavedump": WaveDumpRun,
    "cohar750-hdf5": Cohar750Run,
}
