"""The catalog on a real PostgreSQL server: making, several writers, a server that goes away, and what it refuses."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import IntegrityError

from nualley.catalog import CatalogDamaged, CatalogMissing, CatalogUnreachable
from nualley.catalog.adapters import schema, server, tables
from nualley.catalog.adapters.database import open_database
from nualley.catalog.adapters.server import shown_address
from nualley.catalog.adapters.sql import open_catalog
from nualley.catalog.errors import CatalogNewer, CatalogUnwritable, ServerUnfit
from nualley.catalog.settings import parse_url
from nualley.core import ExitCode, UsageError
from nualley.testing.postgres import PASSWORD, NoServerError, PostgresServer
from tests.integration.test_catalog_processes import N_FILES, N_PROCESSES, write
from tests.unit.catalog.records import make_run

pytestmark = pytest.mark.enable_socket  # the server that asks for a password listens at a port of loopback

NUMBERS = itertools.count()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """Return the address of an empty database, as a person writes it."""
    return postgres.create(f"server{next(NUMBERS)}")


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server that tests stop, and that asks for a password at its port."""
    with PostgresServer(is_on_loopback=True, synchronous_commit="off") as server:
        yield server


# ---------------------------------------------------------------- schema
def test_the_steps_make_the_tables_as_they_are_declared(url: str) -> None:
    opened = open_database(parse_url(url), create=True)
    with opened.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    opened.close()


def test_every_version_goes_up_and_down(url: str) -> None:
    opened = open_database(parse_url(url), create=True)
    for version in reversed(("base", *schema.VERSIONS)):
        opened.write(lambda connection, version=version: schema.migrate(connection, version))
    with opened.reading() as connection:
        assert schema.read_version(connection) is None
        assert inspect(connection).get_table_names() == ["alembic_version"]
    for version in schema.VERSIONS:
        opened.write(lambda connection, version=version: schema.migrate(connection, version))
        with opened.reading() as connection:
            assert schema.read_version(connection) == version
    with opened.reading() as connection:
        assert set(inspect(connection).get_table_names()) == {*tables.metadata.tables, "alembic_version"}
    opened.close()


def test_a_reader_makes_no_catalog_and_another_database_is_not_touched(url: str) -> None:
    with pytest.raises(CatalogMissing, match="no catalog yet"):
        open_catalog(parse_url(url), create=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    with pytest.raises(CatalogDamaged, match="it holds the tables photos"):
        open_catalog(parse_url(url))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall() == [
            ("photos",)
        ]


def test_a_newer_catalog_is_refused(url: str) -> None:
    open_catalog(parse_url(url)).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CatalogNewer, match="has version 9999"):
        open_catalog(parse_url(url))


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    url = postgres.create(f"latin{next(NUMBERS)}", encoding="LATIN1")
    with pytest.raises(ServerUnfit, match="has the encoding LATIN1, expected UTF8") as caught:
        open_catalog(parse_url(url))
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert "createdb" in caught.value.do


# ---------------------------------------------------------------- readers and writers
def test_four_writing_processes(url: str) -> None:
    location = parse_url(url)
    with ProcessPoolExecutor(N_PROCESSES, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write, location, worker) for worker in range(N_PROCESSES)]
        # no job raised: none was turned away, and what two enter at once is there once
        assert sum(job.result() for job in jobs) == (N_PROCESSES - 1) * N_FILES
    with open_catalog(location) as catalog:
        totals = catalog.totals()
        assert (totals.n_runs, totals.n_files) == (5, N_FILES * (N_PROCESSES + 1))
        assert totals.n_verified_replicas == totals.n_files == len(catalog.activities())
        assert sum(len(catalog.notes(run.run_id)) for run in catalog.runs()) == N_FILES * N_PROCESSES


def test_a_reader_sees_one_moment_and_can_change_nothing(url: str) -> None:
    with open_catalog(parse_url(url)) as catalog:
        with catalog._database.reading() as connection:
            count = "SELECT count(*) FROM run"
            assert connection.exec_driver_sql(count).scalar() == 0
            catalog.register_run(make_run())
            assert connection.exec_driver_sql(count).scalar() == 0
        with pytest.raises(CatalogUnwritable, match="read-only"), catalog._database.reading() as connection:
            connection.exec_driver_sql("DELETE FROM run")
        assert len(catalog.runs()) == 1


def test_writers_follow_each_other_and_a_stuck_one_is_told(url: str) -> None:
    with open_catalog(parse_url(url), busy_timeout_ms=1) as catalog, open_catalog(parse_url(url)) as other:

        def stuck(_connection: Connection) -> None:
            with pytest.raises(CatalogUnreachable, match="another process keeps the catalog locked") as caught:
                catalog.register_run(make_run())
            assert caught.value.exit_code == ExitCode.UNREACHABLE
            assert catalog.runs() == []  # a reader is never locked out

        other._database.write(stuck)
        catalog.register_run(make_run())


def test_what_is_acknowledged_is_durable_though_the_server_would_not_wait(fragile: PostgresServer) -> None:
    location = parse_url(fragile.create(f"durable{next(NUMBERS)}"))
    with open_catalog(location) as catalog:
        asked = "SELECT current_setting('synchronous_commit')"
        assert catalog._database.write(lambda connection: connection.exec_driver_sql(asked).scalar()) == "on"
        catalog.register_run(make_run())
        fragile.stop()
        fragile.start()
        assert [run.run_id for run in catalog.runs()] == ["cenns-10-42"]


def test_rows_without_their_parent_are_refused(url: str) -> None:
    opened = open_database(parse_url(url), create=True)
    statement = "INSERT INTO note (run_id, time_ns, author, text) VALUES ('absent-1', 0, '', '')"
    with pytest.raises(IntegrityError, match="foreign key"):
        opened.write(lambda connection: connection.exec_driver_sql(statement))
    opened.close()


# ---------------------------------------------------------------- a server that is away
def test_a_server_that_goes_away_is_told_and_the_next_call_works(fragile: PostgresServer) -> None:
    location = parse_url(fragile.create(f"away{next(NUMBERS)}"))
    with open_catalog(location) as catalog:
        catalog.register_run(make_run())
        with (
            pytest.raises(CatalogUnreachable, match="lost|stops|does not answer") as caught,
            catalog._database.reading() as connection,
        ):
            fragile.stop()
            connection.exec_driver_sql("SELECT 1")
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        with pytest.raises(CatalogUnreachable, match="does not answer") as caught:
            catalog.register_run(make_run(43))
        assert "look whether it runs" in caught.value.do
        fragile.start()
        catalog.register_run(make_run(43))
        assert [run.number for run in catalog.runs()] == [42, 43]


@pytest.mark.parametrize("idle_s", [0, 3600], ids=["long-unused", "just-used"])
def test_a_connection_that_was_closed_while_nobody_used_it_is_made_anew(
    fragile: PostgresServer, monkeypatch: pytest.MonkeyPatch, idle_s: float
) -> None:
    monkeypatch.setattr(server, "_IDLE_S", idle_s)
    location = parse_url(fragile.create(f"idle{next(NUMBERS)}"))
    with open_catalog(location) as catalog:
        catalog.register_run(make_run())
        fragile.stop()
        fragile.start()
        assert len(catalog.runs()) == 1


def test_a_wrong_password_is_told_without_it(fragile: PostgresServer) -> None:
    fragile.create("guarded")
    open_catalog(parse_url(fragile.host_url("guarded", password=PASSWORD))).close()
    for url in (fragile.host_url("guarded", password="hunter2"), fragile.host_url("guarded")):
        with pytest.raises(CatalogUnreachable, match="does not let this user in: .*password") as caught:
            open_catalog(parse_url(url))
        assert "PGPASSWORD" in caught.value.do
        assert f"where: postgresql://nualley@127.0.0.1:{fragile.port}/guarded" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_the_password_comes_from_the_environment_or_a_file(
    fragile: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fragile.create("secrets")
    location = parse_url(fragile.host_url("secrets"))
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        open_catalog(location).close()
    file = tmp_path_factory.mktemp("secrets") / "pgpass"
    file.write_text(f"127.0.0.1:{fragile.port}:*:nualley:{PASSWORD}\n")
    file.chmod(0o600)
    open_catalog(parse_url(f"{fragile.host_url('secrets')}?passfile={file}")).close()


def test_no_such_database_and_no_such_host(postgres: PostgresServer) -> None:
    with pytest.raises(CatalogUnreachable, match="has no such database") as caught:
        open_catalog(parse_url(postgres.url("absent")))
    assert "createdb" in caught.value.do
    with pytest.raises(CatalogUnreachable, match="does not answer: .*") as caught:
        open_catalog("postgresql+psycopg://me:hunter2@/db?host=/absent&connect_timeout=2")
    assert "hunter2" not in str(caught.value)


def test_a_user_without_rights_is_told(url: str) -> None:
    open_catalog(parse_url(url)).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
    with open_catalog(parse_url(url.replace("nualley@", "guest@"))) as catalog:
        assert catalog.runs() == []
        with pytest.raises(CatalogUnwritable, match="may not do that: permission denied for table run"):
            catalog.register_run(make_run())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY guest")
        connection.execute("DROP ROLE guest")


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg://me:hunter2@host:x/db", "postgresql+psycopg://me@host/db?password=hunter2"]
)
def test_no_text_shows_a_password(address: str) -> None:
    try:
        assert "hunter2" not in shown_address(address)
    except UsageError as error:
        assert "hunter2" not in str(error)  # noqa: PT017  # either is right, neither may tell


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoServerError, match="PostgreSQL does not start"):
        PostgresServer(shared_buffers="nonsense")
    monkeypatch.setattr("nualley.testing.postgres.find_programs", lambda: None)
    with pytest.raises(NoServerError, match="not installed"):
        PostgresServer()
