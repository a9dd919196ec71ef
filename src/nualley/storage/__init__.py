"""Drives, how full they are, and the one durable verified copy."""

from nualley.storage.checks import DriveCheck
from nualley.storage.decide import choose_drive, place
from nualley.storage.errors import (
    DestinationBusy,
    DestinationConflict,
    DestinationRefused,
    DigestMismatch,
    DriveFailing,
    DriveFull,
    DriveReadOnly,
    NoDriveFits,
    SourceChanged,
    SourceUnreadable,
    SourceVanished,
    StorageError,
    UnsafeName,
    VerifyFailed,
)
from nualley.storage.models import Drive, DriveRole, DriveUsage, FileState, NotedUsage, Published, VolumeState
from nualley.storage.ports import DurableFiles, OpenFile, Part, Volumes
from nualley.storage.publication import Progress, publish, publish_made
from nualley.storage.service import measure_drive, measure_drives
from nualley.storage.settings import DriveSettings, DropSettings, PurgeSettings, StorageSettings

__all__ = [
    "DestinationBusy",
    "DestinationConflict",
    "DestinationRefused",
    "DigestMismatch",
    "Drive",
    "DriveCheck",
    "DriveFailing",
    "DriveFull",
    "DriveReadOnly",
    "DriveRole",
    "DriveSettings",
    "DriveUsage",
    "DropSettings",
    "DurableFiles",
    "FileState",
    "NoDriveFits",
    "NotedUsage",
    "OpenFile",
    "Part",
    "Progress",
    "Published",
    "PurgeSettings",
    "SourceChanged",
    "SourceUnreadable",
    "SourceVanished",
    "StorageError",
    "StorageSettings",
    "UnsafeName",
    "VerifyFailed",
    "VolumeState",
    "Volumes",
    "choose_drive",
    "measure_drive",
    "measure_drives",
    "place",
    "publish",
    "publish_made",
]
