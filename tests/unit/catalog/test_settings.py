"""Where the catalog is kept."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nualley.catalog import CatalogSettings
from nualley.catalog.settings import parse_url
from nualley.core import UsageError

STORE = Path("/store")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (None, STORE / "catalog.sqlite"),
        ("sqlite:///other.sqlite", STORE / "other.sqlite"),
        ("sqlite:////data/catalog.sqlite", Path("/data/catalog.sqlite")),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql://me@host:5433/db", "postgresql+psycopg://me@host:5433/db"),
        ("postgres://host/db", "postgresql+psycopg://host/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql+psycopg:///db?host=/run/postgresql"),
    ],
)
def test_where_it_is(url: str | None, location: Path | str) -> None:
    assert CatalogSettings(url=url).location(STORE) == location


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/catalog.sqlite", "write sqlite:///FILE"),
        ("sqlit:///x", "did you mean 'sqlite'?"),
        ("mysql://host/db", "is not the address of a catalog"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("postgresql://host", "names no database of a server"),
        ("postgresql://host:port/db", "write postgresql://USER@HOST:PORT/DATABASE"),
    ],
)
def test_an_address_that_cannot_be(url: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CatalogSettings(url=url)
    assert expected in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/db", "postgresql://me:hunter2@host:x/db"])
def test_no_text_holds_a_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert "me@host" in str(caught.value)
    assert "hunter2" not in str(caught.value)
