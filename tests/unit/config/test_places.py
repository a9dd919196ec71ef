"""Where things lie."""

from pathlib import Path

import pytest

from tests.unit.config.conftest import Broken

DRIVE = 'path = "drives/data1"'
DROP = 'path = "drop/hpge"'
TAKEN_AGAIN = "what nualley writes would be taken in again"


def add_drive(repository: Broken, path: str) -> None:
    repository.append("drives.toml", f'\n[drives.other]\npath = "{path}"\n')


def add_drop(repository: Broken, path: str) -> None:
    repository.append("drives.toml", f'\n[[drop]]\npath = "{path}"\ndetector = "hpge"\n')


@pytest.mark.parametrize("path", ["drop/hpge/", "drop/hpge/run1", "drop", "./drop/x/../hpge"])
def test_two_drops_in_each_other(repository: Broken, path: str) -> None:
    line = repository.line("drives.toml", DROP)
    add_drop(repository, path)
    mistake = repository.only()
    assert (mistake.file, mistake.key, mistake.found) == ("drives.toml", "drop[1].path", f'"{path}"')
    assert mistake.line == repository.line("drives.toml", f'path = "{path}"')
    there = repository.directory / "drop" / "hpge"
    assert mistake.expected == (
        f"a directory apart from the drop directory {there} (drives.toml:{line}): a file has one detector"
    )


@pytest.mark.parametrize("path", ["drives/data1", "drives/data1/x", "drives"])
def test_two_drives_in_each_other(repository: Broken, path: str) -> None:
    add_drive(repository, path)
    mistake = repository.only()
    assert mistake.key == "drives.other.path"
    assert mistake.expected.endswith("two copies on one disk are not two copies")


@pytest.mark.parametrize("path", ["store", "store/archive", "store/run/x"])
def test_a_drive_in_the_way_of_the_store(repository: Broken, path: str) -> None:
    add_drive(repository, path)
    mistake = repository.only()
    assert mistake.key == "drives.other.path"
    assert mistake.expected.endswith("the archive's own files would be mixed with raw files")


@pytest.mark.parametrize("path", ["drives/data1", "drives/data1/raw", "drives", "store", "store/drop", "."])
def test_a_drop_where_nualley_writes(repository: Broken, path: str) -> None:
    repository.replace("drives.toml", DROP, f'path = "{path}"')
    mistake = repository.only()
    assert (mistake.key, mistake.found) == ("drop[0].path", f'"{path}"')
    assert mistake.expected.endswith(TAKEN_AGAIN)


@pytest.mark.parametrize("path", ["store2", "storeroom", "store/data1", "../elsewhere"])
def test_a_drive_beside_the_store_is_well(repository: Broken, path: str) -> None:
    add_drive(repository, path)
    assert repository.check() == []


def test_a_store_on_a_drive_is_well(repository: Broken) -> None:
    assert repository.check(NUALLEY_STORE="drives/data1/store") == []


def test_the_default_store_counts_too(repository: Broken) -> None:
    line = repository.line("experiment.toml", "store = ")
    text = (repository.directory / "experiment.toml").read_text(encoding="utf-8").splitlines()
    repository.write("experiment.toml", "\n".join(text[: line - 1] + text[line:]))
    add_drive(repository, "store")
    expected = repository.only().expected
    assert expected.startswith(f"a directory apart from the store {repository.directory / 'store'}: ")


def test_a_store_from_the_environment_is_named_by_its_variable(repository: Broken) -> None:
    mistake = repository.only(NUALLEY_STORE="drives/data1")
    assert (mistake.file, mistake.key) == ("drives.toml", "drives.data1.path")
    assert "(NUALLEY_STORE)" in mistake.expected


@pytest.mark.parametrize("value", ["", "  ", "a\\u0000b"])
@pytest.mark.parametrize(
    ("file", "old", "kind"),
    [("drives.toml", DRIVE, "drive"), ("drives.toml", DROP, "drop directory"), ("experiment.toml", "store =", "store")],
)
def test_what_is_no_path(repository: Broken, *, file: str, old: str, kind: str, value: str) -> None:
    line = repository.line(file, old)
    rows = (repository.directory / file).read_text(encoding="utf-8").splitlines()
    rows[line - 1] = f'{old.split(maxsplit=1)[0]} = "{value}"'
    repository.write(file, "\n".join(rows))
    mistake = repository.only()
    assert (mistake.line, mistake.found) == (line, f'"{value}"')
    assert mistake.expected == f"the path of the {kind}: text that is not empty, without the character NUL"


@pytest.mark.parametrize("place", [("drives.toml", DRIVE), ("drives.toml", DROP)])
def test_a_user_whom_the_machine_does_not_know(repository: Broken, place: tuple[str, str]) -> None:
    repository.replace(*place, 'path = "~no-such-user-here/x"')
    assert repository.only().expected == "a path; this machine does not know the user"


@pytest.mark.parametrize("below", ["", "/store"])
def test_a_store_that_is_a_file(repository: Broken, tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    mistake = repository.only(NUALLEY_STORE=f"{file}{below}")
    assert (mistake.file, mistake.key) == ("environment", "NUALLEY_STORE")
    assert mistake.expected == f"a directory; {file} is none"


def test_a_store_whose_name_is_too_long(repository: Broken) -> None:
    assert repository.only(NUALLEY_STORE="a" * 5000).expected == "a directory; file name too long"


def test_a_store_that_may_not_be_looked_at_is_not_held_against_the_text(
    repository: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def refuse(path: Path) -> bool:
        if path.name == "store":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)
    assert repository.check() == []
