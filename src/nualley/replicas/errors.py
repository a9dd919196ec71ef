"""What can go wrong with replicas and transfers."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from nualley.core import ConfigurationError, ExitCode, IntegrityError, NualleyError, UnreachableError, UsageError


class ReplicasError(NualleyError):
    """A transfer cannot do what was asked."""


class NothingToCopy(ReplicasError):
    """No file is at the source: a wrong path, or a drive that is not there."""


class IntoItself(UsageError):
    """Source and destination lie in each other."""


class OtherHost(ReplicasError):
    """The paths of a transfer are those of another machine."""


class SourceIncomplete(ReplicasError):
    """A look at the source could not see all of it."""


class StillWritten(ReplicasError):
    """The source goes on changing while it is copied."""


class FileGone(ReplicasError, FileNotFoundError):
    """A file of a transfer is not at the source any more, and was not copied."""


class CopyGone(IntegrityError):
    """A file that was published is not under its final name any more, or has another size."""


class CopyDamaged(IntegrityError):
    """A file that was published holds other bytes than were written."""


class SourceReplicaLost(IntegrityError):
    """The catalog knows a replica where the drive has none."""


class SameFile(ReplicasError):
    """Source and destination are one file: this is no second copy."""


class WrongRole(UsageError):
    """A drive is for other data than are to be written there."""


class TransferRunning(ReplicasError):
    """Another process works on the same transfer."""


class TransferCancelled(ReplicasError):
    """A transfer was given up: nobody goes on with it."""


class TransferFinished(ReplicasError):
    """A transfer is finished: nothing of it is left to give up."""


class TransferStopped(NualleyError):
    """Somebody asked for a stop; what was finished stays, and the rest can be taken up."""

    exit_code = ExitCode.STOPPED


class NotEnoughCopies(ReplicasError):
    """Fewer copies can be made than the placement asks for."""


class UnknownRemote(UsageError, KeyError):
    """No remote of ``drives.toml`` has this name."""

    __str__ = NualleyError.__str__


class TwoRemotes(UsageError):
    """Source and destination are both remotes."""


class RemoteError(ReplicasError):
    """A remote does not do what was asked."""


class RemoteUnreachable(RemoteError, UnreachableError):
    """A remote does not answer, or went away meanwhile."""


class RemoteRefused(RemoteError):
    """A remote does not let this account in, or not do what it asks."""


class RemoteFull(RemoteError):
    """A remote has no room for the file."""


class RemoteNotSetUp(RemoteError, ConfigurationError):
    """What a remote needs on this machine is missing: a program, an extra, or a section of rclone's file."""


class RcloneUnfit(RemoteNotSetUp):
    """The rclone that was found does not do what a safe copy needs."""


class UploadDamaged(IntegrityError):
    """What a remote gives back is not what was sent: the copy was thrown away."""


class RemovalRefused(ReplicasError):
    """A file is not taken away, because one of the rules does not allow it now."""


class RemovalFailed(ReplicasError):
    """The machine refused to move, put back or delete a file."""


class RemovalRunning(ReplicasError):
    """Another process takes files away, or puts them back."""


class PlanDamaged(IntegrityError):
    """A plan is not what was written: a line was changed, cut, or is of another plan."""


class JournalUnwritable(ReplicasError):
    """The journal of what was taken away takes no entry: nothing goes without one."""


class JournalDamaged(IntegrityError):
    """The journal of what was taken away cannot be understood."""


class ClockJumped(ReplicasError):
    """The clock is not to be believed, and with it no age."""


class NotInTrash(UsageError, KeyError):
    """Nothing in the trash is called so."""

    __str__ = NualleyError.__str__
