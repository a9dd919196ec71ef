"""The archive: every sample and every gap of the live values, durable before it is acknowledged."""

from nualley.archive.changes import Aliases, Change, NameStretch, Pending, Verb
from nualley.archive.condition import Condition
from nualley.archive.errors import (
    ArchiveBusyError,
    ArchiveMissingError,
    ArchiveNewerError,
    ChangeRefusedError,
    ChangesWriteError,
    LogDamagedError,
    LogWriteError,
    PvNotArchivedError,
)
from nualley.archive.models import BIN_COLUMNS, TRACE_COLUMNS, ConnectionRow, LastValue, PvState, PvSummary, RowKind
from nualley.archive.names import is_valid_pv_name, same_pv, split_protocol
from nualley.archive.progress import Account, Loss
from nualley.archive.pv_record import Ledger
from nualley.archive.settings import ArchiveSettings, PvDefaults, PvGroup, PvPolicy

__all__ = [
    "BIN_COLUMNS",
    "TRACE_COLUMNS",
    "Account",
    "Aliases",
    "ArchiveBusyError",
    "ArchiveMissingError",
    "ArchiveNewerError",
    "ArchiveSettings",
    "Change",
    "ChangeRefusedError",
    "ChangesWriteError",
    "Condition",
    "ConnectionRow",
    "LastValue",
    "Ledger",
    "LogDamagedError",
    "LogWriteError",
    "Loss",
    "NameStretch",
    "Pending",
    "PvDefaults",
    "PvGroup",
    "PvNotArchivedError",
    "PvPolicy",
    "PvState",
    "PvSummary",
    "RowKind",
    "Verb",
    "is_valid_pv_name",
    "same_pv",
    "split_protocol",
]
