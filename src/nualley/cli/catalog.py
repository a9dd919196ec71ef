"""``nualley catalog``: backup and restore."""

from dataclasses import asdict
from pathlib import Path

from cyclopts import App

from nualley.app.backup import backup_catalog, restore_catalog
from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note

app = App(name="catalog", help="The catalog: backup and restore.")


@app.command
def backup(file: Path, /, *, output: Output = Output()) -> None:
    """Copy the catalog, while it is in use, into a verified new file; its folder has to be there.

    Example: nualley catalog backup /backup/catalog-2026-11-23.sqlite

    Parameters
    ----------
    file : Path
        The new file.
    """
    content = backup_catalog(open_site(output.experiment), file)
    if output.is_json:
        print_json({"file": str(file), **asdict(content)})
    else:
        print_note(f"{file}: verified; restore with: nualley catalog restore {file}")


@app.command
def restore(file: Path, /, *, replace: bool = False, output: Output = Output()) -> None:
    """Make a backup the catalog; it is verified first.

    Example: nualley catalog restore /backup/catalog-2026-11-23.sqlite

    Parameters
    ----------
    file : Path
        The backup.
    replace : bool
        Restore although there is a catalog: one that can be read is backed up beside it first, one that cannot is kept
        beside it as it is.
    """
    content = restore_catalog(open_site(output.experiment), file, replace=replace)
    if output.is_json:
        print_json({"file": str(file), **asdict(content)})
    else:
        print_note("restored and verified; next: nualley runs list")
