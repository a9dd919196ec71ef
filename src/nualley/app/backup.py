"""Backup and restore of an experiment's catalog, by hand and by the worker, and the drill that proves a backup."""

from pathlib import Path

from nualley.app.errors import RoleTakenError
from nualley.app.locks import role_state
from nualley.app.site import Site
from nualley.catalog.adapters.backup import backup, restore
from nualley.catalog.adapters.backup_folder import Backup, add_backup, drill, last_drill, list_backups
from nualley.catalog.checks import BackupCheck
from nualley.catalog.models import CatalogContent, Drill
from nualley.core import ConfigurationError, escape_name
from nualley.storage.adapters.posix import PosixFiles


def backup_catalog(site: Site, file: Path) -> CatalogContent:
    """Copy the catalog, while it is in use, into a verified file; see `nualley.catalog.adapters.backup.backup`."""
    configuration = site.configuration
    return backup(configuration.catalog.database(configuration.store), file, files=PosixFiles())


def restore_catalog(site: Site, file: Path, *, replace: bool = False) -> CatalogContent:
    """Make a backup the catalog; see `nualley.catalog.adapters.backup.restore`.

    Raises
    ------
    RoleTakenError
        Where the worker runs: it would not take in again what the backup does not know.
    """
    refuse_worker(site, "what it took in since the backup would be missing in the record", "restore")
    configuration = site.configuration
    location = configuration.catalog.database(configuration.store)
    return restore(file, location, files=PosixFiles(), replace=replace, now_ns=site.clock.now_ns())


def refuse_worker(site: Site, harm: str, task: str) -> None:
    """Raise RoleTakenError where the experiment's worker runs.

    Parameters
    ----------
    site : Site
        The experiment.
    harm : str
        What would come of it, for the text.
    task : str
        What is to be done without it: a verb.
    """
    store = site.configuration.store
    holder = role_state(store, "worker").holder
    if holder:
        raise RoleTakenError(
            f"the worker runs as {holder}; {harm}",
            where=str(store),
            do=f"stop it (nualley up, or systemctl stop nualley-worker), {task}, and start it again",
        )


def back_up_when_due(site: Site) -> tuple[Backup, CatalogContent] | None:
    """Add a backup to ``catalog.backup_folder`` where the newest is old enough; return it, None where none was due.

    Raises
    ------
    ConfigurationError
        Where the folder is not there: its drive may be away.
    """
    configuration = site.configuration
    folder = configuration.catalog.backups(configuration.store)
    if folder is None:
        return None
    if not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder {escape_name(str(folder))}",
            where="catalog.backup_folder",
            do="mount its drive, or make it",
        )
    now_ns, found = site.clock.now_ns(), list_backups(folder)
    if found and now_ns - found[-1].time_ns < configuration.catalog.backup_every_ns:
        return None
    location = configuration.catalog.database(configuration.store)
    return add_backup(location, folder, files=PosixFiles(), now_ns=now_ns, keep=configuration.catalog.backup_keep)


def drill_backup(site: Site, file: Path | None = None) -> Drill:
    """Restore the newest backup, or the one that is named, into a temporary place, and compare.

    Raises
    ------
    ConfigurationError
        Where no backup is named and the worker makes none.
    """
    configuration = site.configuration
    folder = configuration.catalog.backups(configuration.store) if file is None else file.parent
    if folder is None:
        raise ConfigurationError(
            "the worker makes no backups of the catalog",
            where="catalog.backup_folder",
            do='set it in experiment.toml, such as backup_folder = "/backup/catalog"',
        )
    return drill(folder, files=PosixFiles(), now_ns=site.clock.now_ns(), file=file)


def backup_check(site: Site) -> BackupCheck | None:
    """Return what looks at the worker's backups, None where it makes none."""
    configuration = site.configuration
    folder = configuration.catalog.backups(configuration.store)
    if folder is None:
        return None

    def newest_ns() -> int | None:
        found = list_backups(folder)
        return found[-1].time_ns if found else None

    return BackupCheck(
        newest_ns, lambda: last_drill(folder), every_ns=configuration.catalog.backup_every_ns, clock=site.clock
    )
