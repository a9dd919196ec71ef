"""CAEN WaveDump binary files: 16- or 8-bit samples, with or without a header before each waveform."""

import os
from pathlib import Path
from typing import Any

from nualley.daq.adapters.wavedump_headed import HeadedReader
from nualley.daq.adapters.wavedump_plain import PlainReader
from nualley.daq.errors import UnreadableFileError
from nualley.daq.ports import RandomAccess, Reader
from nualley.daq.raw_file import RawFile
from nualley.daq.settings import DaqSettings
from nualley.daq.wavedump_config import CONFIG_NAME, MAX_CONFIG_B, NOTES, parse_config
from nualley.daq.wavedump_header import HEADER_B, Header
from nualley.daq.wavedump_walk import count_consistent, find_family

_N_PROBED = 16


class WaveDumpFormat:
    """CAEN WaveDump: recognised by headers that lead from one to the next."""

    def probe(self, path: Path, head: bytes) -> float:
        """Say how surely a file is of this format.

        Parameters
        ----------
        path : Path
            The file.
        head : bytes
            Its first bytes.

        Returns
        -------
        float
            0.95 where three headers or more lead on from the start, 0.8 for one or two that fill the file, 0.4 where
            damage or the end follows them, 0 else: files without header show nothing.
        """
        if len(head) < HEADER_B:
            return 0.0
        with RawFile(path) as file:
            family = find_family(_Head(file), 1) if Header.parse(head).is_plausible(1) else None
            n_headers = count_consistent(file, family, _N_PROBED) if family else 0
            if family is None or not n_headers:
                return 0.0
            if n_headers >= 3:
                return 0.95
            return 0.8 if n_headers * family.event_B == file.size_B else 0.4

    def open(self, path: Path, settings: DaqSettings, *, is_growing: bool = False) -> Reader:
        """Open a file.

        Parameters
        ----------
        path : Path
            The file.
        settings : DaqSettings
            Length and channel for files without header, bits per sample.
        is_growing : bool
            Whether WaveDump still writes.

        Returns
        -------
        Reader
            With or without headers, as the settings say or the content shows.

        Raises
        ------
        UnreadableFileError
            Where the operating system refuses to read it.
        MissingSettingError
            Where a file without header comes without ``record_length``.
        """
        config = _read_config(path)
        with RawFile(path) as file:
            has_header = _has_header(file, settings, config, is_growing=is_growing)
        if has_header:
            return HeadedReader(path, settings, config, is_growing=is_growing)
        return PlainReader(path, settings, config, is_growing=is_growing)


class _Head:
    """The first part of a file as if it were all: a probe must not search gigabytes."""

    _SIZE_B = 1 << 20

    def __init__(self, file: RandomAccess) -> None:
        self._file = file

    @property
    def size_B(self) -> int:
        """Size of the part [B]."""
        return min(self._file.size_B, self._SIZE_B)

    def read(self, offset_B: int, n_B: int) -> bytes:
        """Return bytes of the part."""
        return self._file.read(offset_B, max(0, min(n_B, self.size_B - offset_B)))


def _has_header(file: RandomAccess, settings: DaqSettings, config: dict[str, Any], *, is_growing: bool) -> bool:
    """Whether events have headers: the setting, else the content, else the configuration beside it."""
    if settings.header is not None:
        return settings.header
    if settings.record_length is None or find_family(_Head(file), 1):
        return True
    # a file that has only just begun says nothing yet
    usual = "YES" if is_growing and file.size_B < HEADER_B else "NO"
    return bool(config.get("COMMON", {}).get("OUTPUT_FILE_HEADER", usual) != "NO")


def _read_config(path: Path) -> dict[str, Any]:
    """Return WaveDumpConfig.txt beside a file; what keeps it from being read is a note, not an error."""
    beside = path.parent / CONFIG_NAME
    if not os.path.lexists(beside):
        return {}
    try:
        with RawFile(beside) as file:
            raw = file.read(0, MAX_CONFIG_B)
            config = parse_config(raw)
            if file.size_B > MAX_CONFIG_B:
                note = f"only the first {MAX_CONFIG_B} B of {file.size_B} B were read"
                return {**config, NOTES: [*config.get(NOTES, ()), note]}
            return dict(config)
    except UnreadableFileError as error:
        return {NOTES: [f"{CONFIG_NAME}: {error.what}"]}
