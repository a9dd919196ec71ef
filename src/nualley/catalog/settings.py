"""Settings of the catalog: where it is kept (``experiment.toml``), and the words of flags (``flags.toml``)."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nualley.catalog.flags import check_flag_name
from nualley.core import SECOND_NS, ConfigurationError, UsageError, nearest, parse_duration_ns

FILE_NAME = "catalog.sqlite"

_SHORTEST_NS = 60 * SECOND_NS
_SQLITE = "sqlite:///"
_SERVER = "postgresql+psycopg://"
_SERVER_SCHEMES = ("postgresql", "postgresql+psycopg", "postgres")
_WEB_SCHEMES = ("http", "https")
_SCHEMES = ("sqlite", *_SERVER_SCHEMES, *_WEB_SCHEMES)
_PASSWORD = re.compile(r"://[^:/@]*:[^@/]+@|[?&](?:ssl)?password=")
_FORMS = "write sqlite:///FILE, postgresql://USER@HOST/DATABASE or http://HOST:PORT of nualley's web"


def parse_url(url: str) -> str:
    """Return the address of a catalog, a server's with the driver that speaks to it.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE``, ``postgresql://USER@HOST:PORT/DATABASE``, with libpq's options behind a question mark, or
        ``http://HOST:PORT`` of a web that runs at the catalog.

    Returns
    -------
    str
        The same; that of a database as SQLAlchemy takes it.

    Raises
    ------
    UsageError
        Where it is none; its text never holds a password.

    Examples
    --------
    >>> parse_url("postgresql://nualley@db.lab.org/nualley")
    'postgresql+psycopg://nualley@db.lab.org/nualley'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        near = nearest(scheme, _SCHEMES)
        hint = f"did you mean {near!r}? " if near else ""
        raise UsageError(f"{_without_password(url)!r} is not the address of a catalog", do=f"{hint}{_FORMS}")
    if scheme == "sqlite":
        if not rest.removeprefix("/"):
            raise UsageError(
                f"{url!r} names no file", do="write sqlite:///FILE, or leave it out for the one in the store"
            )
        return url
    if scheme in _WEB_SCHEMES:
        return web_address(url)
    if not _is_server(rest):
        raise UsageError(
            f"{_without_password(url)!r} names no database of a server",
            do="write postgresql://USER@HOST:PORT/DATABASE, or postgresql:///DATABASE?host=/FOLDER/OF/ITS/SOCKET",
        )
    return f"{_SERVER}{rest}"


def parse_location(text: str) -> Path | str:
    """Return where a catalog is, as a person names it on the command line.

    Parameters
    ----------
    text : str
        The path of a SQLite file, ``sqlite:///FILE`` from the working directory, or the address of a server.

    Returns
    -------
    Path or str
        The file, or the address.

    Raises
    ------
    UsageError
        Where it is neither, as that of a running web, or holds a password: other users see the words of a command.
    """
    if "://" not in text:
        return Path(text)
    url = parse_url(text)
    if is_web(url):
        raise UsageError(
            f"{url} is a running web, and no database",
            where=url,
            do=f"do this where its store is; a copy of it makes: nualley catalog pull {url} --out FILE",
        )
    if url.startswith(_SQLITE):
        return Path(url.removeprefix(_SQLITE))
    if _PASSWORD.search(url):
        raise UsageError(
            "the address holds a password, which other users of this machine see",
            where=_without_password(text).partition("?")[0],
            do="leave it out, and set PGPASSWORD or write it into ~/.pgpass (mode 600)",
        )
    return url


def is_web(location: Path | str) -> bool:
    """Say whether a catalog is asked over HTTP."""
    return isinstance(location, str) and location.partition("://")[0] in _WEB_SCHEMES


def web_address(url: str, where: str = "") -> str:
    """Return the address of a running web, without a slash at its end.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8710``.
    where : str
        Where it was written.

    Raises
    ------
    UsageError
        Where it is none; its text never holds a password.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in _WEB_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or "@" in url or "?" in url or "#" in url or not url.isascii() or not url.isprintable():
        raise UsageError(
            f"{_without_password(url).partition('?')[0]!r} is not the address of a running web",
            where=where,
            do="write http://HOST:PORT, and the token into NUALLEY_CATALOG_TOKEN",
        )
    return url.rstrip("/")


def _is_server(rest: str) -> bool:
    try:
        parts = urlsplit(f"//{rest}")
        return bool(parts.path.removeprefix("/")) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    before, separator, login = head.partition("://")
    return f"{before}{separator}{login.partition(':')[0]}{at}{tail}" if at else url


def _duration(text: str) -> str:
    if parse_duration_ns(text) < _SHORTEST_NS:
        raise UsageError(f"{text!r} is too often", do="write at least 1min")
    return text


def _url(url: str | None) -> str | None:
    return None if url is None else parse_url(url)


class CatalogSettings(BaseModel):
    """Where the record of runs and files is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str | None, AfterValidator(_url)] = Field(
        default=None,
        description="Where the catalog is: sqlite:///FILE (a relative file starts at the store), "
        "postgresql://USER@HOST/DATABASE, or http://HOST:PORT of a web on another host; absent: catalog.sqlite in the "
        "store. A password stands in the environment (PGPASSWORD, or here as NUALLEY_CATALOG__URL) or in ~/.pgpass, "
        "the token for a web in NUALLEY_CATALOG_TOKEN, never in the file.",
    )

    backup_every: Annotated[str, AfterValidator(_duration)] = Field(
        default="1d", description="How long from one backup by the worker to the next, such as 12h."
    )
    backup_folder: Path | None = Field(
        default=None,
        description="Folder of the worker's backups, on another drive than the store; it has to be there. A relative "
        "one starts at the store. Left out: the worker makes none.",
    )
    backup_keep: int | None = Field(
        default=None,
        ge=2,
        description="How many of the worker's backups stay; older ones are removed after a new one was read back. Left "
        "out: all stay.",
    )

    @property
    def backup_every_ns(self) -> int:
        """How long from one backup to the next [ns]."""
        return parse_duration_ns(self.backup_every)

    @property
    def web(self) -> str | None:
        """Address of the web on another host that has the catalog; None where it is a database."""
        return self.url if self.url is not None and is_web(self.url) else None

    def backups(self, store: Path) -> Path | None:
        """Return the folder of the worker's backups, None where it makes none; ``store`` is the store's directory."""
        return None if self.backup_folder is None or self.web else store / self.backup_folder.expanduser()

    def location(self, store: Path) -> Path | str:
        """Return where the catalog is.

        Parameters
        ----------
        store : Path
            The store's directory.

        Returns
        -------
        Path or str
            The SQLite file, the address of a database server, or that of a `web`.
        """
        if self.url is None:
            return store / FILE_NAME
        return store / self.url.removeprefix(_SQLITE) if self.url.startswith(_SQLITE) else self.url

    def database(self, store: Path) -> Path | str:
        """Return the database, where the catalog has it here.

        Parameters
        ----------
        store : Path
            The store's directory.

        Returns
        -------
        Path or str
            The SQLite file, or the address of a database server.

        Raises
        ------
        ConfigurationError
            Where another host has it.
        """
        if self.web:
            raise ConfigurationError(
                f"the catalog is on another host, {self.web}",
                where="catalog.url",
                do="do this there; a copy of it makes: nualley catalog pull --out FILE",
            )
        return self.location(store)


Severity = Literal["good", "caution", "bad"]


class FlagWord(BaseModel):
    """A word that flags may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity = Field(description="How much it says against the data: good, caution or bad.")
    meaning: str = Field(min_length=1, description="What it says, in a sentence.")


class Vocabulary(BaseModel):
    """The words that flags may use, so that all mean the same by them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flag: dict[Annotated[str, AfterValidator(check_flag_name)], FlagWord] = Field(
        default={}, description="The words, by name: lower-case letters and digits, joined by single hyphens."
    )

    def check(self, name: str) -> None:
        """Refuse a word that is not in the vocabulary; UsageError names the nearest one."""
        if name in self.flag:
            return
        near = nearest(name, self.flag)
        known = f"one of {', '.join(self.flag)}" if self.flag else "there is none yet"
        raise UsageError(
            f"{name!r} is no flag of this experiment, expected {known}",
            where="flags.toml",
            do=(f"did you mean {near!r}? " if near else "") + f"or describe it: [flag.{name}] in flags.toml",
        )
