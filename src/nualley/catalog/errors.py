"""What can go wrong with the catalog."""

# ruff: noqa: N818
# an error is named by what happened: DriveFull, RunNotFound

from nualley.core import ConfigurationError, IntegrityError, NualleyError, UnreachableError


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


class RunNotFound(NualleyError, KeyError):
    """No such run is in the catalog."""


class FileNotInCatalog(NualleyError, KeyError):
    """No such file is in the catalog."""


class FileConflict(IntegrityError):
    """Other bytes are known under the same (detector, run, name); the newcomer was not entered."""


class DriveConflict(IntegrityError):
    """A drive's name or id is registered for another drive."""


class ReplicaConflict(IntegrityError):
    """The place is known to hold another file."""
