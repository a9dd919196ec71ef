"""What can go wrong in the archive."""

from nualley.core import IntegrityError, NualleyError, UnreachableError, UsageError


class PvNotArchivedError(UsageError, KeyError):
    """A PV that the archive does not know."""

    __str__ = NualleyError.__str__


class LogDamagedError(IntegrityError):
    """A write-ahead log of which nobody can say whether it is whole."""


class LogWriteError(NualleyError, OSError):
    """The write-ahead log could not be made durable; nothing of the commit was acknowledged."""

    __str__ = NualleyError.__str__


class LogRemovedError(IntegrityError):
    """The write-ahead log was deleted under the process that writes it."""


class ShardTakenError(NualleyError, BlockingIOError):
    """Another process writes this shard of the archive."""

    __str__ = NualleyError.__str__


class ArchiveBusyError(NualleyError, TimeoutError):
    """The archive changed under a reader more often than the reader was willing to begin anew."""


class ArchiveNewerError(NualleyError, ValueError):
    """The archive was written by a newer nualley than this one."""


class ArchiveOlderError(NualleyError, ValueError):
    """The archive was written by a nualley from before the first release."""


class ReplacedError(NualleyError, RuntimeError):
    """Files of the archive were replaced by another process while this one worked on them."""

    __str__ = NualleyError.__str__


class NoNumbersError(UsageError):
    """Bins that cannot be made: of what is no number, of no time, or too many."""


class OperatorError(UsageError):
    """An operator that does not exist, has a wrong parameter, or cannot work on these values."""


class ArchiveMissingError(UnreachableError, FileNotFoundError):
    """Nothing was ever archived here."""

    __str__ = NualleyError.__str__


class SealOrderError(NualleyError, ValueError):
    """A segment of the log was to be sealed before an earlier one."""


class IndexFailedError(NualleyError, OSError):
    """The archive's index cannot be read or written."""

    __str__ = NualleyError.__str__


class SealedFileDamagedError(IntegrityError, OSError):
    """A Parquet file that the drive does not give back as it was written."""

    __str__ = NualleyError.__str__


RESTORE_INDEX = "nualley archive restore-index puts the copy beside it in its place; the damaged one is kept"
"""What to do about a lost or damaged index: the Parquet files beside it hold all samples."""


class IndexDamagedError(IntegrityError, OSError):
    """The archive's index is missing, or is not what this archive wrote."""

    __str__ = NualleyError.__str__


class ChangeRefusedError(UsageError):
    """A run-time change that makes no sense: of what is not there, is so already, or has a name that is taken."""


class ChangesReadError(NualleyError, OSError):
    """The run-time changes cannot be read."""

    __str__ = NualleyError.__str__


class ChangesWriteError(NualleyError, OSError):
    """A run-time change could not be made durable; it was not made."""

    __str__ = NualleyError.__str__
