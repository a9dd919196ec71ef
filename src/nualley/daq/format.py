"""What a raw format promises: the plug-in point ``nualley.readers``."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from nualley.daq.ports import Reader
from nualley.daq.settings import DaqSettings


@runtime_checkable
class Format(Protocol):
    """A raw format: the object that an entry point of the group ``nualley.readers`` names (or its class)."""

    def probe(self, path: Path, head: bytes) -> float:
        """Say how surely a file is of this format, by its content alone.

        Parameters
        ----------
        path : Path
            The file; may be opened.
        head : bytes
            Its first bytes, at most 64 KiB.

        Returns
        -------
        float
            0 (certainly not) to 1 (certainly).
        """
        ...

    def open(self, path: Path, settings: DaqSettings, *, is_growing: bool = False) -> Reader:
        """Open a file as this format, whatever `probe` says.

        Parameters
        ----------
        path : Path
            The file.
        settings : DaqSettings
            What the detector's description says where the file does not.
        is_growing : bool
            Whether the DAQ still writes: an incomplete last event is then no defect.

        Returns
        -------
        Reader
            Bad content is in its defects.

        Raises
        ------
        UnreadableFileError
            Where the operating system refuses to read it.
        MissingSettingError
            Where the format needs a value that the settings lack.
        """
        ...
