"""What a reader of a raw file promises, and what it may ask of the file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from nualley.daq.models import Chunk, Defect, Settings


class Reader(Protocol):
    """One raw file, open for reading; it keeps no handle between two iterations.

    Bad content never raises: it is a defect. Only a file that cannot be read at all raises.
    """

    @property
    def format(self) -> str:
        """Name of the format."""
        ...

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def header(self) -> Mapping[str, Any]:
        """What the file says of itself; JSON-able, keys depend on the format."""
        ...

    @property
    def settings(self) -> Settings:
        """What the file, or a text beside it, says of the DAQ's configuration."""
        ...

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels in the file, ascending."""
        ...

    @property
    def record_length(self) -> int | None:
        """Samples per waveform; None where it varies or is not known. May walk the file once."""
        ...

    @property
    def n_events(self) -> int:
        """Whole events in the file. May walk the file once."""
        ...

    @property
    def defects(self) -> tuple[Defect, ...]:
        """Defects found so far, in the order of the file; complete after a whole iteration."""
        ...

    @property
    def resume_offset(self) -> int:
        """Where to go on behind the last chunk handed out: a follower's next ``start_offset``; opaque."""
        ...

    def iter_chunks(self, max_bytes: int, start_offset: int = 0, *, samples: bool = True) -> Iterator[Chunk]:
        """Read the file from ``start_offset`` on.

        Parameters
        ----------
        max_bytes : int
            A chunk's samples take at most so many bytes, and so do its hits, unless one event alone takes more.
        start_offset : int
            0 or a ``resume_offset`` or ``stop_offset`` of this file.
        samples : bool
            False looks at every header but leaves ``Chunk.samples`` empty: what counting needs.

        Yields
        ------
        Chunk
            Whole events; one event is never split over two chunks, and events come in the order of the file.

        Raises
        ------
        UnreadableFileError
            Where the operating system refuses to read it.
        BadOffsetError
            Where no event begins at ``start_offset``.
        """
        ...


class RandomAccess(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def size_B(self) -> int:
        """Size [B] when it was opened."""
        ...

    def read(self, offset_B: int, n_B: int) -> bytes:
        """Return ``n_B`` bytes from ``offset_B`` on, fewer only at the end."""
        ...
