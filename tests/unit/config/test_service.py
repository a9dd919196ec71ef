"""Finding, loading, checking, describing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from nualley.config import (
    ConfigurationErrors,
    NoExperimentError,
    check,
    find_experiment,
    load,
    schemas,
)
from nualley.config.files import KINDS
from nualley.config.keys import fields, models_at
from nualley.core import ExitCode
from nualley.daq import DaqSettings
from nualley.experiment import Daq
from tests.unit.config.conftest import FORMATS, Broken


def test_load_joins_everything_with_absolute_paths(repository: Broken) -> None:
    configuration = load(repository.directory, {}, FORMATS)
    directory = repository.directory
    assert configuration.directory == directory
    assert configuration.store == directory / "store"
    assert configuration.experiment.name == "My experiment"
    assert list(configuration.detectors) == ["hpge"]
    assert configuration.detectors["hpge"].id == "hpge"
    assert configuration.beam.power.pv in configuration.pv_groups["beam"].pv
    assert configuration.people.people == {}
    assert configuration.storage.drives["data1"].path == directory / "drives/data1"
    assert configuration.storage.drop[0].path == directory / "drop/hpge"
    assert configuration.ingest.settle_s == 60.0
    assert (configuration.web.host, configuration.web.port) == ("127.0.0.1", 8710)
    assert configuration.catalog.url is None


def test_a_relative_directory_gives_absolute_paths(repository: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.directory.parent)
    configuration = load(Path("experiment"), {}, FORMATS)
    assert configuration.store == repository.directory / "store"


def test_a_far_store_is_kept(repository: Broken) -> None:
    assert load(repository.directory, {"NUALLEY_STORE": "/data/store"}, FORMATS).store == Path("/data/store")


def test_load_raises_every_mistake_at_once(repository: Broken) -> None:
    repository.replace("beam.toml", 'unit = "MW"', 'unit = "Mw"')
    repository.replace("drives.toml", 'role = "raw"', 'role = "rwa"')
    repository.append("people.toml", "oops\n")
    with pytest.raises(ConfigurationErrors, match="the experiment repository has 3 mistakes") as caught:
        load(repository.directory, {}, FORMATS)
    assert [mistake.file for mistake in caught.value.mistakes] == ["beam.toml", "drives.toml", "people.toml"]
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    assert "did you mean MW?" in str(caught.value)
    assert f"nualley check {repository.directory}" in caught.value.do


def test_one_mistake_is_not_many(repository: Broken) -> None:
    repository.append("people.toml", "oops\n")
    with pytest.raises(ConfigurationErrors, match="has one mistake"):
        load(repository.directory, {}, FORMATS)


def test_without_formats_nothing_can_be_read(repository: Broken) -> None:
    (mistake,) = check(repository.directory, {}, ())
    assert mistake.expected == "a raw format: none is installed"


def test_find_by_option_then_variable_then_parents(repository: Broken, tmp_path: Path) -> None:
    other = Broken(tmp_path / "other").directory
    inside = repository.directory / "detectors"
    environ = {"NUALLEY_EXPERIMENT": str(other)}
    assert find_experiment(inside, environ, repository.directory) == repository.directory
    assert find_experiment(inside, environ) == other
    assert find_experiment(inside, {"NUALLEY_EXPERIMENT": ""}) == repository.directory
    assert find_experiment(tmp_path, {}, Path("other")) == other


def test_find_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(
        NoExperimentError, match=r"neither .* nor a directory above it has an experiment\.toml"
    ) as caught:
        find_experiment(tmp_path, {})
    assert "nualley init DIR" in caught.value.do
    with pytest.raises(NoExperimentError, match="x is no directory"):
        find_experiment(tmp_path, {"NUALLEY_EXPERIMENT": "x"})
    (tmp_path / "x").mkdir()
    with pytest.raises(NoExperimentError, match=r"has no experiment\.toml") as caught:
        find_experiment(tmp_path, {"NUALLEY_EXPERIMENT": "x"})
    assert caught.value.where == "NUALLEY_EXPERIMENT"
    with pytest.raises(NoExperimentError) as caught:
        find_experiment(tmp_path, {}, Path("x"))
    assert caught.value.where == str(tmp_path / "x")


def test_schemas_are_json_and_know_the_keys_of_the_files() -> None:
    found = schemas()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "experiment.toml", "beam.toml", "people.toml", "drives.toml", "detectors/*.toml", "pvs/*.toml",
        "flags.toml", "selections/*.toml",
    }  # fmt: skip
    detector = found["detectors/*.toml"]
    properties, required = detector["properties"], detector["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    assert {"name", "distance", "operated", "daq"} <= set(properties)
    assert "id" not in properties
    assert set(required) == {"name", "target", "distance"}


def undocumented(model: type[BaseModel]) -> Iterator[str]:
    for key, field in fields(model).items():
        if not field.description:
            yield f"{model.__name__}.{key}"
        for table in models_at(model, (key,)):
            if table is not model:
                yield from undocumented(table)


@pytest.mark.parametrize("pattern", KINDS)
def test_every_key_is_documented(pattern: str) -> None:
    assert list(undocumented(KINDS[pattern].model)) == []


def test_the_daq_table_says_all_that_readers_ask_for() -> None:
    assert set(DaqSettings.model_fields) <= set(Daq.model_fields)
