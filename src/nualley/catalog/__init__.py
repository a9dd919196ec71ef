"""The record of runs, files, replicas, notes and activities."""

from nualley.catalog.decide import diff_settings
from nualley.catalog.errors import (
    CatalogDamaged,
    CatalogError,
    CatalogMissing,
    CatalogUnreachable,
    DriveConflict,
    FileConflict,
    ReplicaConflict,
    RunNotFound,
    stops_too_early,
)
from nualley.catalog.models import (
    Activity,
    FileAdded,
    FileRecord,
    Json,
    Note,
    Quarantined,
    Replica,
    ReplicaState,
    Run,
    SettingDifference,
    Source,
    SourceState,
    TimeSource,
    Totals,
)
from nualley.catalog.ports import Catalog
from nualley.catalog.settings import CatalogSettings

__all__ = [
    "Activity",
    "Catalog",
    "CatalogDamaged",
    "CatalogError",
    "CatalogMissing",
    "CatalogSettings",
    "CatalogUnreachable",
    "DriveConflict",
    "FileAdded",
    "FileConflict",
    "FileRecord",
    "Json",
    "Note",
    "Quarantined",
    "Replica",
    "ReplicaConflict",
    "ReplicaState",
    "Run",
    "RunNotFound",
    "SettingDifference",
    "Source",
    "SourceState",
    "TimeSource",
    "Totals",
    "diff_settings",
    "stops_too_early",
]
