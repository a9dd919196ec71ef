"""The environment over the file."""

import pytest

from nualley.config import ConfigurationErrors, load
from tests.unit.config.conftest import FORMATS, Broken


def test_the_environment_wins(repository: Broken) -> None:
    environ = {
        "NUALLEY_STORE": "elsewhere",
        "NUALLEY_INGEST__SETTLE_S": "2",
        "NUALLEY_ARCHIVE__ROTATE_SIZE_B": "1 MiB",
        "NUALLEY_EPICS__ADDR_LIST": "10.0.0.1 10.0.0.2",
        "NUALLEY_EPICS__AUTO_ADDR_LIST": "true",
        "NUALLEY_WEB__PORT": "9000",
    }
    configuration = load(repository.directory, environ, FORMATS)
    assert configuration.store == repository.directory / "elsewhere"
    assert configuration.ingest.settle_s == 2.0
    assert configuration.archive.rotate_size_B == 2**20
    assert configuration.epics.addr_list == ("10.0.0.1", "10.0.0.2")
    assert configuration.epics.auto_addr_list is True
    assert configuration.web.port == 9000


def test_variables_of_others_are_left_alone(repository: Broken) -> None:
    assert repository.check(NUALLEY_EXPERIMENT="x", NUALLEY_SEED="3", HOME="/", PATH="x__y") == []


def test_a_misspelled_variable_is_named(repository: Broken) -> None:
    mistake = repository.only(NUALLEY_ARCHIVE__SYNC_INTERVAL="5")
    assert (mistake.file, mistake.line, mistake.key) == ("environment", None, "NUALLEY_ARCHIVE__SYNC_INTERVAL")
    assert mistake.nearest == "sync_interval_ms"


def test_an_unknown_table_is_named(repository: Broken) -> None:
    mistake = repository.only(NUALLEY_ARCHIV__ROTATE_S="5")
    assert (mistake.found, mistake.nearest) == ("the key 'archiv'", "archive")


def test_a_wrong_value_names_its_variable(repository: Broken) -> None:
    mistake = repository.only(NUALLEY_WEB__PORT="many")
    assert (mistake.file, mistake.key) == ("environment", "NUALLEY_WEB__PORT")
    assert (mistake.found, mistake.expected) == ('"many"', "a whole number")


def test_a_password_in_a_variable_is_not_shown(repository: Broken) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        load(repository.directory, {"NUALLEY_CATALOG__URL": "mysql://ada:hunter2@db/x"}, FORMATS)
    assert "hunter2" not in str(caught.value)
    assert "mysql://ada:***@db/x" in str(caught.value)


def test_a_table_that_is_none_keeps_its_own_mistake(repository: Broken) -> None:
    repository.write("experiment.toml", 'name = "X"\narchive = 3\n')
    mistake = repository.only(NUALLEY_ARCHIVE__ROTATE_S="5")
    assert (mistake.file, mistake.key, mistake.expected) == ("experiment.toml", "archive", "a table")
