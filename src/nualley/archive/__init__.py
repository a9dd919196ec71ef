"""The archive: every sample and every gap of the live values, durable before it is acknowledged."""

from nualley.archive.errors import (
    ArchiveBusyError,
    ArchiveMissingError,
    ArchiveNewerError,
    LogDamagedError,
    LogWriteError,
    PvNotArchivedError,
)
from nualley.archive.models import BIN_COLUMNS, Account, ConnectionRow, LastValue, Ledger, Loss, PvState, RowKind
from nualley.archive.names import is_valid_pv_name
from nualley.archive.settings import ArchiveSettings, PvGroup, PvPolicy

__all__ = [
    "BIN_COLUMNS",
    "Account",
    "ArchiveBusyError",
    "ArchiveMissingError",
    "ArchiveNewerError",
    "ArchiveSettings",
    "ConnectionRow",
    "LastValue",
    "Ledger",
    "LogDamagedError",
    "LogWriteError",
    "Loss",
    "PvGroup",
    "PvNotArchivedError",
    "PvPolicy",
    "PvState",
    "RowKind",
    "is_valid_pv_name",
]
