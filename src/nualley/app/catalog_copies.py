"""A catalog moved to another database, and copies of it to read elsewhere."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nualley.catalog import parse_location
from nualley.catalog.adapters.backup import backup
from nualley.catalog.adapters.moves import Move, move
from nualley.catalog.adapters.pull import pull, pull_over_http
from nualley.catalog.models import CatalogContent
from nualley.catalog.settings import is_web
from nualley.catalog.wire import TOKEN_VARIABLE
from nualley.config import Configuration
from nualley.core import Clock, SystemClock, UsageError, escape_name, reason
from nualley.storage.adapters.posix import PosixFiles

Report = Callable[[str, int, int], None]


def move_catalog(
    source: str, target: str, *, is_dry: bool = False, report: Report | None = None, clock: Clock | None = None
) -> Move:
    """Move a catalog from one database to another; see `nualley.catalog.adapters.moves.move`.

    Parameters
    ----------
    source, target : str
        As `nualley.catalog.parse_location` reads them.
    is_dry : bool
        Look only.
    report : callable, optional
        Takes what is done, rows done and rows in all.
    clock : Clock, optional
        Dates the mark.
    """
    now_ns = (clock or SystemClock()).now_ns()
    return move(parse_location(source), parse_location(target), now_ns=now_ns, is_dry=is_dry, report=report)


def pull_catalog(
    source: str | None,
    file: Path,
    *,
    find_configuration: Callable[[], Configuration],
    token_file: Path | None = None,
    report: Report | None = None,
) -> CatalogContent:
    """Write a copy that can only be read; see `nualley.catalog.adapters.pull`.

    Parameters
    ----------
    source : str or None
        The address of a running web, a database as `nualley.catalog.parse_location` reads it, or None: the catalog of
        the experiment.
    file : Path
        The copy.
    find_configuration : callable
        Reads the experiment repository, where it is needed.
    token_file : Path, optional
        Holds the token for a web; by default it stands in `TOKEN_VARIABLE`.
    report : callable, optional
        Takes what is done, bytes done and bytes in all [B].
    """
    files, now_ns = PosixFiles(), SystemClock().now_ns()
    location: Path | str
    if source is None:
        configuration = find_configuration()
        location = configuration.catalog.location(configuration.store)
    else:
        location = source if is_web(source) else parse_location(source)
    if is_web(location):
        return pull_over_http(str(location), file, token=_token(token_file), files=files, now_ns=now_ns, report=report)
    return pull(location, file, files=files, now_ns=now_ns)


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "")
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the token cannot be read: {why}",
            where=escape_name(str(file)),
            do=f"name a file that holds the token alone, or set {TOKEN_VARIABLE}",
        ) from error


@contextmanager
def temporary_copy(configuration: Configuration) -> Iterator[tuple[Path, CatalogContent]]:
    """Give a copy of an experiment's catalog that is gone afterwards, and what it holds."""
    with tempfile.TemporaryDirectory(prefix=".catalog-copy-", dir=configuration.store) as folder:
        file = Path(folder) / "catalog.sqlite"
        location = configuration.catalog.database(configuration.store)
        yield file, backup(location, file, files=PosixFiles())
