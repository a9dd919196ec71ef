"""What can go wrong while raw files are taken in; what is wrong inside one is a defect."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from nualley.core import IntegrityError, NualleyError, UsageError


class PathMissing(UsageError, FileNotFoundError):
    """A path that was named is not there."""

    __str__ = NualleyError.__str__


class NothingToIngest(UsageError):
    """The paths that were named hold no file."""


class RunNumberUnknown(UsageError):
    """It is not clear which run a file belongs to."""


class FileRefused(IntegrityError):
    """A file that cannot be taken in: empty, of no known format, or of no run. It is left where it is."""


class OtherBytes(IntegrityError):
    """The catalog knows a file of the same detector, run and name with other bytes; the newcomer is left aside."""


class ReaderFailed(NualleyError, RuntimeError):
    """The reader of a raw format broke on a file, which it must not."""


class CopiesMissing(NualleyError):
    """Fewer verified copies than are wanted could be made; those that were made are recorded."""


class DropProblem(NualleyError, OSError):
    """Something in a drop directory cannot be looked at, or is no file that could be taken in."""

    __str__ = NualleyError.__str__
