"""``nualley catalog``: backup and restore, the move to another database, copies to read elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from nualley.app.backup import backup_catalog, drill_backup, restore_catalog
from nualley.app.catalog_copies import move_catalog, pull_catalog
from nualley.app.site import open_site
from nualley.cli.options import Answer, Output
from nualley.cli.output import print_json, print_note, print_table
from nualley.cli.progress import copy_progress, row_progress
from nualley.core import format_time

app = App(name="catalog", help="The catalog: backup, restore, move to another database, copies.")


@app.command
def backup(file: Path, /, *, output: Output = Output()) -> None:
    """Copy the catalog, while it is in use, into a verified new file; its folder has to be there.

    Example: nualley catalog backup /backup/catalog-2026-11-23.sqlite

    Parameters
    ----------
    file : Path
        The new file: SQLite, also where the catalog is on a PostgreSQL server.
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


@app.command
def drill(file: Path | None = None, /, *, output: Output = Output()) -> None:
    """Restore the newest backup of the worker into a temporary place, and compare it with what the backup says.

    Example: nualley catalog drill

    Parameters
    ----------
    file : Path, optional
        Another backup that the worker made.
    """
    done = drill_backup(open_site(output.experiment), file)
    if output.is_json:
        print_json({"file": done.file, "time_ns": done.time_ns, "restored": not done.trouble, **asdict(done.content)})
    else:
        n_rows = sum(done.content.n_rows_by_table.values())
        print_note(f"{done.file}: {n_rows} rows came back as they were, at {format_time(done.time_ns, digits=0)}")


@app.command
def move(
    source: str,
    target: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    answer: Answer = Answer(),
) -> None:
    """Move a catalog to an empty database, verified by counts and digests; the old one takes nothing any more.

    Example: nualley catalog move store/catalog.sqlite postgresql://nualley@db.lab.org/nualley

    Parameters
    ----------
    source : str
        A SQLite file, sqlite:///FILE or postgresql://USER@HOST/DATABASE; a password stands in PGPASSWORD or ~/.pgpass.
    target : str
        Likewise; an empty database, or a file that is not there yet. Stopped at any moment, the same call goes on.
    dry_run : bool
        Read the source and look at the target; copy and mark nothing.
    """
    with row_progress(is_shown=not answer.is_json) as report:
        done = move_catalog(source, target, is_dry=dry_run, report=report)
    content = done.content
    if answer.is_json:
        print_json(asdict(done))
        return
    rows = [(name, n_rows, content.xxh3_128_by_table[name]) for name, n_rows in sorted(content.n_rows_by_table.items())]
    print_table(("table", "rows", "xxh3_128"), rows, right=(1,))
    if dry_run:
        print_note(f"nothing was moved; without --dry-run these rows go to {done.target}")
    else:
        print_note(
            f'moved and verified; next: set catalog.url = "{done.target}" in experiment.toml, restart nualley up'
        )


@app.command
def pull(
    source: str | None = None,
    /,
    *,
    out: Path,
    token_file: Path | None = None,
    output: Output = Output(),
) -> None:
    """Write a copy of a catalog to read elsewhere: a SQLite file that takes nothing.

    Example: nualley catalog pull http://127.0.0.1:8710 --out catalog.sqlite

    Parameters
    ----------
    source : str, optional
        Address of a running web, or a database as for move; by default the catalog of the experiment.
    out : Path
        The new file; its folder has to be there. NUALLEY_CATALOG__URL=sqlite:////FULL/PATH makes commands read it.
    token_file : Path, optional
        File with the token for a web; by default the token stands in NUALLEY_CATALOG_TOKEN.
    """
    with copy_progress(is_shown=not output.is_json) as report:
        content = pull_catalog(
            source,
            out,
            find_configuration=lambda: open_site(output.experiment).configuration,
            token_file=token_file,
            report=report,
        )
    if output.is_json:
        print_json({"file": str(out), **asdict(content)})
    else:
        print_note(f"{out}: verified; read it with NUALLEY_CATALOG__URL=sqlite:///{out.absolute()}")
