"""What can go wrong with the catalog."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from nualley.core import (
    SECOND_NS,
    ConfigurationError,
    IntegrityError,
    NualleyError,
    UnreachableError,
    UsageError,
    format_duration,
    format_time,
)


class CatalogError(NualleyError):
    """The catalog cannot do what was asked."""


class CatalogMissing(CatalogError, FileNotFoundError):
    """There is no catalog yet."""


class CatalogNewer(CatalogError):
    """The database was written by a newer nualley than this one."""


class CatalogOutdated(CatalogError):
    """The database was written by an older nualley and may not be changed by this role."""


class CatalogOnNetwork(ConfigurationError):
    """SQLite on a network file system: its locks do not hold there, the record would be damaged."""


class CatalogUnreachable(UnreachableError):
    """The database does not answer, or another process keeps it locked."""


class CatalogUnwritable(CatalogError, OSError):
    """The drive under the catalog is full, read-only or refuses."""


class CatalogDamaged(IntegrityError):
    """The database is not intact."""


class CatalogNotEmpty(CatalogError, FileExistsError):
    """A restore would overwrite a catalog that already holds something."""


class DriverMissing(ConfigurationError, ImportError):
    """The address asks for a database whose driver is not installed."""


class LibraryMissing(NualleyError, ImportError):
    """A library that is no part of the product is not installed."""


class FlagNotFound(NualleyError, KeyError):
    """No such flag is in the catalog."""


class FlagSuperseded(CatalogError):
    """Another flag stands in the place of this one already."""


class SelectionFrozen(CatalogError):
    """A frozen selection is never changed."""


class SelectionChanged(CatalogError):
    """Somebody defined the selection anew meanwhile."""


class CatalogRefused(CatalogError):
    """A running web refuses a call or a copy of its catalog."""


class ServerUnfit(ConfigurationError):
    """The database on the server cannot hold a catalog."""


class CatalogMoved(ConfigurationError):
    """The catalog went to another database; here it can only be read."""


class TransferNotFound(NualleyError, KeyError):
    """No such transfer is in the catalog."""

    __str__ = NualleyError.__str__


class RunNotFound(NualleyError, KeyError):
    """No such run is in the catalog."""


def stops_too_early(subject: str, start_ns: int, stop_ns: int) -> UsageError:
    """Return why a run cannot have such times.

    Parameters
    ----------
    subject : str
        What would have them, such as ``run hpge-1``.
    start_ns, stop_ns : int
        The bounds [ns since 1970 UTC], stop at or before start.

    Returns
    -------
    UsageError
        With both times and how far they are apart.
    """
    start, stop = (format_time(ns, digits=3) for ns in (start_ns, stop_ns))
    span = f"{format_duration((start_ns - stop_ns) / SECOND_NS)} before it starts at {start}"
    return UsageError(
        f"{subject} would stop at {stop}, {span if stop_ns < start_ns else 'when it starts'}",
        where=f"[{start}, {stop})",
        do="give a stop after the start",
    )


class FileNotInCatalog(NualleyError, KeyError):
    """No such file is in the catalog."""


class FileConflict(IntegrityError):
    """Other bytes are known under the same (detector, run, name); the newcomer was not entered."""


class DriveConflict(IntegrityError):
    """A drive's name or id is registered for another drive."""


class ReplicaNeeded(CatalogError):
    """A replica cannot go: it is not verified, or one of those that would stay is not."""


class ReplicaConflict(IntegrityError):
    """The place is known to hold another file."""
