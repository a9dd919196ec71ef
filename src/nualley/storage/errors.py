"""What can go wrong with drives and copies."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from collections.abc import Sequence
from typing import Self

from nualley.core import (
    ConfigurationError,
    ExitCode,
    IntegrityError,
    NualleyError,
    UnreachableError,
    UsageError,
    nearest,
)


class StorageError(NualleyError, OSError):
    """A file or a drive cannot be used; ``errno`` is not set, the text says it."""


class SourceUnreadable(StorageError):
    """The source is no regular file, may not be read, or the drive under it fails."""


class SourceVanished(StorageError, FileNotFoundError):
    """The source is not there, or went away while it was copied."""


class SourceChanged(IntegrityError):
    """The source changed while it was copied: the copy was thrown away."""


class DigestMismatch(IntegrityError):
    """The source does not have the bytes that the caller expects."""


class VerifyFailed(IntegrityError):
    """What was read back from the drive is not what was written: the copy was thrown away."""


class DestinationConflict(IntegrityError):
    """Other bytes, or something that is no file, lie under the final name; they were not touched."""


class DestinationBusy(StorageError):
    """Another process is writing the same destination right now."""


class DestinationRefused(StorageError):
    """The file system under the destination refuses what a safe copy needs: a right, a lock or an exclusive name."""


class DriveFull(StorageError):
    """The drive or the user's quota has no room for the file; what was written was removed."""


class DriveReadOnly(StorageError):
    """The drive is mounted read-only."""


class DriveFailing(StorageError):
    """The drive answered a write, a sync or the verifying read with an error."""


class NoDriveFits(StorageError):
    """No drive of the wanted role is there, writable and below its limit once the bytes are written."""


class UnsafeName(ConfigurationError):
    """A name would leave the folder that it belongs to."""


class ShortHistory(NualleyError, ValueError):
    """A drive was watched for too few days to say when it will be full."""


class WrongHistory(ConfigurationError):
    """A history of a drive that cannot be what it says."""


class UnknownDrive(UsageError, KeyError):
    """No drive of ``drives.toml`` has this name."""

    __str__ = NualleyError.__str__

    @classmethod
    def named(cls, name: str, known: Sequence[str], *, where: str) -> Self:
        """Return the error of a name that is none of those that are known; it names the nearest one.

        Parameters
        ----------
        name : str
            What was written.
        known : sequence of str
            Names of drives.
        where : str
            Where it was written.
        """
        near = nearest(name, known)
        return cls(
            f"{name!r} is not a drive of this experiment",
            where=where,
            do=f"did you mean {near!r}?" if near else f"one of {', '.join(known) or 'none: add one in drives.toml'}",
        )


class DriveMissing(UnreachableError):
    """The drive is not there, or another lies in its place."""


class ScanRunning(StorageError):
    """Another process is scanning the same drive."""


class ScanFailed(StorageError):
    """A scan did not come to its end; nothing stands under its name."""

    @classmethod
    def of(cls, what: str, *, where: str, do: str, code: int) -> Self:
        """Return the error that the scanning process told, with its exit code."""
        error = cls(what, where=where, do=do)
        error.exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED
        return error


class ScanDamaged(IntegrityError):
    """A scan, or what was added up of it, does not read back as it was written."""


class NoScan(StorageError, LookupError):
    """Nothing was scanned yet, so nothing can be said of what is on the drives."""
