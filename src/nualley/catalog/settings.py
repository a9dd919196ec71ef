"""Settings of the catalog: where it is kept (``[catalog]`` of ``experiment.toml``)."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nualley.core import UsageError, nearest

FILE_NAME = "catalog.sqlite"

_SQLITE = "sqlite:///"
_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")


def _url(url: str | None) -> str | None:
    if url is None:
        return None
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        near = nearest(scheme, _SCHEMES)
        hint = f"did you mean {near!r}? " if near else ""
        raise UsageError(
            f"{url!r} is not the address of a catalog",
            do=f"{hint}write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
        )
    if scheme == "sqlite" and not rest.removeprefix("/"):
        raise UsageError(f"{url!r} names no file", do="write sqlite:///FILE, or leave it out for the one in the store")
    return url


class CatalogSettings(BaseModel):
    """Where the record of runs and files is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str | None, AfterValidator(_url)] = Field(
        default=None,
        description="SQLAlchemy address of the database; absent: catalog.sqlite in the store. A relative SQLite file "
        "starts at the store.",
    )

    def location(self, store: Path) -> Path | str:
        """Return where the catalog is.

        Parameters
        ----------
        store : Path
            The store's directory.

        Returns
        -------
        Path or str
            The SQLite file, or the address of a database server.
        """
        if self.url is None:
            return store / FILE_NAME
        return store / self.url.removeprefix(_SQLITE) if self.url.startswith(_SQLITE) else self.url
