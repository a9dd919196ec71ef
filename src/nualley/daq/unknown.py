"""A file that no reader knows, or that is empty: read all the same, as no events and one defect."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nualley.daq.models import Chunk, Defect, Settings

UNKNOWN = "unknown"


@dataclass(frozen=True)
class UnknownReader:
    """A reader of a file of which nothing is known.

    Parameters
    ----------
    path : Path
        The file.
    defects : tuple of Defect
        Why.
    """

    path: Path
    defects: tuple[Defect, ...]

    @property
    def format(self) -> str:
        """``unknown``."""
        return UNKNOWN

    @property
    def header(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    @property
    def settings(self) -> Settings:
        """Nothing."""
        return {}

    @property
    def channels(self) -> tuple[int, ...]:
        """None at all."""
        return ()

    @property
    def record_length(self) -> int | None:
        """Not known."""
        return None

    @property
    def n_events(self) -> int:
        """Zero."""
        return 0

    @property
    def resume_offset(self) -> int:
        """Zero: what it turns into is read from the start."""
        return 0

    def iter_chunks(self, max_bytes: int, start_offset: int = 0, *, samples: bool = True) -> Iterator[Chunk]:
        """Yield nothing."""
        del max_bytes, start_offset, samples
        return iter(())
