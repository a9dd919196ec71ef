"""A catalog on a real SQLite file or a real PostgreSQL server, with a clock that tests set."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from nualley.catalog import Catalog
from nualley.catalog.adapters import tables
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.adapters.web_catalog import open_web_catalog
from nualley.catalog.settings import parse_url
from nualley.testing.postgres import PostgresServer
from tests.unit.catalog.catalog_web import CatalogWeb
from tests.unit.catalog.records import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a catalog without rows: the migration runs once."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    open_catalog(path).close()
    return path.read_bytes()


@pytest.fixture
def location(tmp_path: Path, empty_catalog: bytes) -> Path:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(empty_catalog)
    return path


@pytest.fixture(scope="session")
def catalog_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogWeb]:
    """Return a web that answers for the catalog that a test gives it."""
    with CatalogWeb(tmp_path_factory.mktemp("catalog-web")) as web:
        yield web


@pytest.fixture
def catalog(location: Path, clock: FakeClock) -> Iterator[SqlCatalog]:
    with open_catalog(location, clock=clock) as catalog:
        yield catalog


@pytest.fixture(scope="session")
def empty_server(postgres: PostgresServer) -> str:
    """Return the address of a database without rows, as a person writes it: the migration runs once."""
    url = postgres.create("contract", language="en-US")  # as servers order text where nobody said otherwise
    open_catalog(parse_url(url)).close()
    return url


@pytest.fixture
def server_location(empty_server: str) -> str:
    """Return the address of a catalog without rows on a server, as the settings give it."""
    names = ", ".join(f'"{name}"' for name in tables.metadata.tables)
    with psycopg.connect(empty_server, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # the triggers that keep rows rest
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    return parse_url(empty_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_location(request: pytest.FixtureRequest) -> Path | str:
    """Return where an empty catalog is: a file, then a server."""
    return request.getfixturevalue("location" if request.param == "sqlite" else "server_location")


@pytest.fixture
def sql_catalog(any_location: Path | str, clock: FakeClock) -> Iterator[SqlCatalog]:
    """Return an empty catalog whose database is at hand."""
    with open_catalog(any_location, clock=clock) as catalog:
        yield catalog


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("web", marks=pytest.mark.enable_socket)])
def any_catalog(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Catalog]:
    """Return an empty catalog: in a file, on a server of databases, on another host."""
    location = request.getfixturevalue("server_location" if request.param == "postgresql" else "location")
    with open_catalog(location, clock=clock) as catalog:
        if request.param != "web":
            yield catalog
            return
        web: CatalogWeb = request.getfixturevalue("catalog_web")
        web.catalog = catalog
        with open_web_catalog(web.url, web.host_token, drives={}) as remote:
            yield remote
