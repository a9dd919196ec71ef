"""What can go wrong while raw files are taken in; what is wrong inside one is a defect."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from nualley.core import ExitCode, IntegrityError, NualleyError, UnreachableError, UsageError


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


class OwnFile(UsageError):
    """A file that lies where nualley itself keeps its replicas or its records: it is no raw file of a DAQ."""


class ReplicaDamaged(IntegrityError):
    """A replica does not hold the bytes that the catalog knows; it was left as it is, or set aside."""


class ReplicaLost(IntegrityError):
    """A replica is not there any more, on a drive that is."""


class ReplicaUnproven(UnreachableError):
    """A replica could not be read, so that nothing is known of it: its drive is missing, or refuses."""


class Skipped(NualleyError):
    """Something in a directory that is not taken in, by its name or its kind; said, and no failure."""

    exit_code = ExitCode.DONE


class DropProblem(NualleyError, OSError):
    """Something in a drop directory cannot be looked at, or is no file that could be taken in."""

    __str__ = NualleyError.__str__
