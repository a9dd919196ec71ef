"""What readers of WaveDump files with and without headers have in common."""

from pathlib import Path
from typing import Any

import numpy as np

from nualley.daq.defect_log import DefectLog
from nualley.daq.errors import BadOffsetError
from nualley.daq.models import Defect, DefectKind, Settings

NAME = "wavedump"


class WaveDumpReader:
    """What files with and without headers have in common."""

    def __init__(self, path: Path, config: dict[str, Any], *, is_growing: bool) -> None:
        self._path = path
        self._config = config
        self._is_growing = is_growing
        self.log = DefectLog()
        self._resume_offset = 0
        self._index_at_resume = 0

    @property
    def format(self) -> str:
        """``wavedump``."""
        return NAME

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def settings(self) -> Settings:
        """WaveDumpConfig.txt beside the file, section by section; empty where there is none."""
        return self._config

    @property
    def defects(self) -> tuple[Defect, ...]:
        """Defects found so far."""
        return self.log.defects()

    @property
    def resume_offset(self) -> int:
        """Where to go on [B]."""
        return self._resume_offset

    def hand_out(self, chunk_stop_B: int, n_events: int) -> None:
        """Note how far reading has come [B], and the index of the event there."""
        self._resume_offset = chunk_stop_B
        self._index_at_resume = n_events

    def is_empty(self, size_B: int) -> bool:
        """Whether the file is empty, which is a defect once nobody writes to it any more."""
        if not size_B and not self._is_growing:
            self.log.add(Defect(DefectKind.EMPTY, 0, "0 B, expected at least one event"))
        return not size_B

    def check_start(self, start_offset: int, size_B: int) -> None:
        """Raise where reading is to begin outside the file."""
        if not 0 <= start_offset <= size_B:
            raise BadOffsetError(
                f"reading was to begin at {start_offset} B, the file has {size_B} B",
                where=str(self._path),
                do="read it from 0: it is not the file that it was",
            )

    def not_a_boundary(self, start_offset: int) -> BadOffsetError:
        """Return the error for a start inside an event."""
        return BadOffsetError(
            f"no event begins at {start_offset} B",
            where=str(self._path),
            do="begin at 0 or at a resume_offset of this file",
        )


def sample_type(sample_B: int) -> "np.dtype[np.unsignedinteger[Any]]":
    """Return the type of samples of 1 or 2 bytes."""
    return np.dtype(f"<u{sample_B}")
