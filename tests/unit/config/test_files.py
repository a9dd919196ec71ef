"""Files that are missing, unreadable, wrongly named or not text."""

import codecs
import json
import os

import pytest

from nualley.config.documents import read
from nualley.config.mistakes import Mistake
from tests.unit.config.conftest import Broken


@pytest.mark.parametrize("file", ["beam.toml", "drives.toml", "experiment.toml"])
def test_a_missing_file_is_named(repository: Broken, file: str) -> None:
    (repository.directory / file).unlink()
    mistake = repository.only()
    assert (mistake.file, mistake.line, mistake.found) == (file, None, "no such file")


def test_a_missing_file_with_a_near_name(repository: Broken) -> None:
    (repository.directory / "beam.toml").rename(repository.directory / "baem.toml")
    found = {(mistake.file, mistake.nearest) for mistake in repository.check()}
    assert found == {("beam.toml", "baem.toml"), ("baem.toml", "beam.toml")}


def test_a_folder_with_a_near_name(repository: Broken) -> None:
    (repository.directory / "pvs").rename(repository.directory / "pv")
    files = {mistake.file: mistake.nearest for mistake in repository.check()}
    assert files["pv"] == "pvs"


def test_without_detectors_there_is_nothing_to_do(repository: Broken) -> None:
    (repository.directory / "detectors/hpge.toml").unlink()
    repository.replace("drives.toml", '[[drop]]\npath = "drop/hpge"\ndetector = "hpge"', "")
    mistake = repository.only()
    assert (mistake.file, mistake.found) == ("detectors/*.toml", "no such file")


def test_people_and_pvs_may_be_absent(repository: Broken) -> None:
    (repository.directory / "people.toml").unlink()
    assert repository.check() == []


def test_files_of_others_are_left_alone(repository: Broken) -> None:
    for name in ("pyproject.toml", "README.md", "detectors/notes.txt", "detectors/.#hpge.toml"):
        repository.write(name, "not for us")
    (repository.directory / "notebooks").mkdir()
    assert repository.check() == []


def test_bytes_that_are_not_utf8_have_a_line(repository: Broken) -> None:
    path = repository.directory / "people.toml"
    path.write_bytes(b"# people\n# \xe9t\xe9\n[people]\nada = 3\n")
    first, second = repository.check()
    assert (first.line, first.found, first.expected) == (2, "the byte 0xe9", "text in UTF-8")
    assert (second.line, second.key) == (4, "people.ada")


def test_a_file_that_cannot_be_read_is_named(repository: Broken) -> None:
    path = repository.directory / "people.toml"
    path.unlink()
    path.mkdir()
    mistake = repository.only()
    assert (mistake.file, mistake.found, mistake.expected) == (
        "people.toml",
        "is a directory",
        "a file that can be read",
    )


def test_a_folder_that_is_not_there_lacks_every_file(repository: Broken) -> None:
    repository.directory.rename(repository.directory.with_name("moved"))
    files = [mistake.file for mistake in repository.check()]
    assert files == ["beam.toml", "detectors/*.toml", "drives.toml", "experiment.toml"]


def test_a_pipe_in_place_of_a_file_is_a_mistake_and_no_wait(tmp_path):
    os.mkfifo(tmp_path / "beam.toml")
    found = read("beam.toml", tmp_path / "beam.toml")
    assert isinstance(found, Mistake)
    assert found.found == "a pipe or a device"


def test_a_byte_order_mark_is_no_mistake(repository: Broken) -> None:
    path = repository.directory / "beam.toml"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert repository.check() == []


def test_a_file_name_that_is_not_utf8_is_shown_reversibly(repository: Broken) -> None:
    (repository.directory / "detectors" / os.fsdecode(b"a\xff.toml")).write_text("name = 3\n")
    mistakes = repository.check()
    assert {mistake.file for mistake in mistakes} == {"detectors/a\\xff.toml"}
    assert mistakes[0].found == "the file name 'a\\xff'"
    assert "'a\\xff' is not the id of a detector" in mistakes[0].expected
    for mistake in mistakes:
        str(mistake).encode()
        json.dumps(mistake.to_json(), ensure_ascii=False).encode()
