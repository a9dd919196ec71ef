"""`nualley init`: a repository that works unedited, never over something."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from nualley.config import FolderNotEmptyError, check, load, write_template
from nualley.config.template import FOLDERS
from nualley.core import ExitCode, NualleyError
from tests.unit.config.conftest import FORMATS

COMMENTED = re.compile(r"^# (\[[a-z_.]+\]|[a-z_]+ = )", re.MULTILINE)


def test_it_works_unedited(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "new"
    written = write_template(directory)
    assert all(path.is_file() for path in written)
    assert check(directory, {}) == []  # with the formats that are really installed
    configuration = load(directory, {}, FORMATS)
    (drive,) = configuration.storage.drives.values()
    (drop,) = configuration.storage.drop
    assert drive.path.is_dir()
    assert drop.path.is_dir()
    assert configuration.store.is_dir()
    assert all(path.is_relative_to(directory) for path in (drive.path, drop.path, configuration.store))
    daq = configuration.detectors[drop.detector].daq
    assert daq is not None
    assert daq.format == "wavedump"
    assert configuration.epics.pva_auto_addr_list is False
    assert configuration.epics.auto_addr_list is False  # nothing is broadcast before somebody says so


def test_git_is_told_to_leave_data_out(tmp_path: Path) -> None:
    write_template(tmp_path)
    ignored = (tmp_path / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {f"/{folder.partition('/')[0]}/" for folder in FOLDERS} <= set(ignored)
    assert not (tmp_path / "gitignore").exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert write_template(tmp_path)


@pytest.mark.parametrize("name", ["experiment.toml", ".git", "x"])
def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(FolderNotEmptyError, match=f"is not empty: it holds {name}") as caught:
        write_template(tmp_path)
    assert caught.value.exit_code is ExitCode.USAGE
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(NualleyError, match=r"cannot be written to .*file: File exists"):
        write_template(path)


def test_commented_keys_are_right_too(tmp_path: Path) -> None:
    """Whoever takes the hash away before a key gets a repository without mistakes."""
    write_template(tmp_path)
    for name in ("experiment.toml", "beam.toml", "people.toml", "detectors/hpge.toml"):
        path = tmp_path / name
        text, n = COMMENTED.subn(r"\1", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        assert n > 0
    others = [mistake for mistake in check(tmp_path, {}, FORMATS) if "pvs/ archives" not in mistake.expected]
    assert others == []


def test_every_template_file_is_toml_or_gitignore() -> None:
    template = files("nualley.config") / "template"
    names = [entry.name for entry in template.iterdir() if entry.is_file()]
    assert sorted(names) == ["beam.toml", "drives.toml", "experiment.toml", "flags.toml", "gitignore", "people.toml"]
