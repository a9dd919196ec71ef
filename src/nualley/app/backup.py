"""Backup and restore of an experiment's catalog."""

from pathlib import Path

from nualley.app.errors import RoleTakenError
from nualley.app.locks import role_state
from nualley.app.site import Site
from nualley.catalog.adapters.backup import backup, restore
from nualley.catalog.models import CatalogContent
from nualley.storage.adapters.posix import PosixFiles


def backup_catalog(site: Site, file: Path) -> CatalogContent:
    """Copy the catalog, while it is in use, into a verified file; see `nualley.catalog.adapters.backup.backup`."""
    configuration = site.configuration
    return backup(configuration.catalog.location(configuration.store), file, files=PosixFiles())


def restore_catalog(site: Site, file: Path, *, replace: bool = False) -> CatalogContent:
    """Make a backup the catalog; see `nualley.catalog.adapters.backup.restore`.

    Raises
    ------
    RoleTakenError
        Where the worker runs: it would not take in again what the backup does not know.
    """
    configuration = site.configuration
    holder = role_state(configuration.store, "worker").holder
    if holder:
        raise RoleTakenError(
            f"the worker runs as {holder}; what it took in since the backup would be missing in the record",
            where=str(configuration.store),
            do="stop it (nualley up, or systemctl stop nualley-worker), restore, and start it again",
        )
    location = configuration.catalog.location(configuration.store)
    return restore(file, location, files=PosixFiles(), replace=replace, now_ns=site.clock.now_ns())
