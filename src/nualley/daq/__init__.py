"""Raw files of DAQs: what format they are, their events, samples and defects."""

from nualley.daq.checks import ReadersCheck
from nualley.daq.errors import (
    BadOffsetError,
    FileShrankError,
    MissingSettingError,
    PluginError,
    UnknownFormatError,
    UnreadableFileError,
)
from nualley.daq.format import Format
from nualley.daq.models import Chunk, Defect, DefectKind, FileSummary, Settings
from nualley.daq.ports import Reader
from nualley.daq.registry import Formats, installed_formats
from nualley.daq.service import format_names, open_raw, probe, summarise
from nualley.daq.settings import DaqSettings

__all__ = [
    "BadOffsetError",
    "Chunk",
    "DaqSettings",
    "Defect",
    "DefectKind",
    "FileShrankError",
    "FileSummary",
    "Format",
    "Formats",
    "MissingSettingError",
    "PluginError",
    "Reader",
    "ReadersCheck",
    "Settings",
    "UnknownFormatError",
    "UnreadableFileError",
    "format_names",
    "installed_formats",
    "open_raw",
    "probe",
    "summarise",
]
