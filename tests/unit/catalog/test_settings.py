"""Where the catalog is kept."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nualley.catalog import CatalogSettings

STORE = Path("/store")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (None, STORE / "catalog.sqlite"),
        ("sqlite:///other.sqlite", STORE / "other.sqlite"),
        ("sqlite:////data/catalog.sqlite", Path("/data/catalog.sqlite")),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
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
    ],
)
def test_an_address_that_cannot_be(url: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CatalogSettings(url=url)
    assert expected in str(caught.value)
