"""The registry of formats: ours and plug-ins, good and bad."""

import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nualley.core import CheckState, ConfigurationError, ExitCode
from nualley.daq import Formats, PluginError, ReadersCheck, UnknownFormatError, open_raw


class Other:
    """A format of somebody else, that knows files beginning with ``OTHER``."""

    def probe(self, path: Path, head: bytes) -> float:
        return 0.9 if head.startswith(b"OTHER") else 0.0

    def open(self, path: Path, settings: object, *, is_growing: bool = False) -> str:
        return f"{path.name} {is_growing}"


class Raising(Other):
    """A format whose probe is broken."""

    def probe(self, path: Path, head: bytes) -> float:
        raise ZeroDivisionError("plug-in bug")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of somebody else."""
    module = types.ModuleType("somebodys_plugin")
    module.Other, module.instance, module.Raising, module.number = Other, Other(), Raising, 7
    monkeypatch.setitem(sys.modules, "somebodys_plugin", module)
    return module


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "nualley.readers")


def test_a_plugin_stands_beside_ours(ours: tuple[EntryPoint, ...], plugin: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "run.bin"
    path.write_bytes(b"OTHER format")
    for value in ("somebodys_plugin:Other", "somebodys_plugin:instance"):
        formats = Formats([*ours, point("other", value)])
        assert formats.names == ("cohar750-hdf5", "other", "wavedump")
        assert open_raw(path, formats=formats, is_growing=True) == "run.bin True"
        assert open_raw(path, "other", formats=formats) == "run.bin False"
        assert formats.failures == ()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no_such_module:Format", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("somebodys_plugin:Gone", "AttributeError"),
        ("somebodys_plugin:number", "int has no probe and open"),
        ("this:is:nothing", "AttributeError"),
    ],
)
def test_a_plugin_that_fails_is_named_and_does_not_break_the_others(
    ours: tuple[EntryPoint, ...], plugin: types.ModuleType, wavedump_file: Path, value: str, why: str
) -> None:
    formats = Formats([*ours, point("theirs", value)])
    assert open_raw(wavedump_file, formats=formats).n_events == 10
    (failure,) = formats.failures
    assert f"reader plug-in 'theirs' cannot be used: {why}" in failure.what
    assert f"entry point theirs = {value}" in failure.where
    assert failure.exit_code is ExitCode.FAILED
    with pytest.raises(PluginError, match="theirs"):
        formats.load("theirs")
    with pytest.raises(ImportError, match="theirs"):
        open_raw(wavedump_file, "theirs", formats=formats)


def test_a_plugin_whose_code_raises_anything_is_a_failure(
    ours: tuple[EntryPoint, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exploding_plugin.py").write_text("raise RuntimeError('at import')")
    monkeypatch.syspath_prepend(tmp_path)
    formats = Formats([point("a", "exploding_plugin:Format"), *ours])
    assert sorted(formats.load_all()) == ["cohar750-hdf5", "wavedump"]
    assert "RuntimeError: at import" in formats.failures[0].what


def test_a_probe_that_raises_scores_nothing(
    ours: tuple[EntryPoint, ...], plugin: types.ModuleType, wavedump_file: Path
) -> None:
    formats = Formats([*ours, point("raising", "somebodys_plugin:Raising")])
    assert formats.probe(wavedump_file, wavedump_file.read_bytes()) == {
        "cohar750-hdf5": 0.0,
        "raising": 0.0,
        "wavedump": 0.95,
    }
    assert "its probe raised ZeroDivisionError: plug-in bug" in formats.failures[0].what


def test_failed_plugins_are_told_where_nothing_knows_a_file(ours: tuple[EntryPoint, ...], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"OTHER format")
    (defect,) = open_raw(path, formats=Formats([*ours, point("other", "gone_plugin:Other")])).defects
    assert "expected one of cohar750-hdf5, other, wavedump" in defect.detail
    assert "not asked: reader plug-in 'other' cannot be used" in defect.detail


def test_two_plugins_of_one_name_are_told_and_the_first_wins(
    ours: tuple[EntryPoint, ...], plugin: types.ModuleType, wavedump_file: Path
) -> None:
    formats = Formats([*ours, *ours, point("wavedump", "somebodys_plugin:Other")])
    assert open_raw(wavedump_file, "wavedump", formats=formats).n_events == 10
    (failure,) = formats.failures
    assert "its name 'wavedump' is taken by nualley.daq.adapters.wavedump" in failure.what


def test_an_unknown_format_names_the_nearest(formats: Formats, wavedump_file: Path) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        open_raw(wavedump_file, "wavdump", formats=formats)
    assert "no reader for the raw format 'wavdump'" in str(caught.value)
    assert "did you mean 'wavedump'? formats installed: cohar750-hdf5, wavedump" in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    with pytest.raises(LookupError, match="formats installed: none"):
        Formats([]).load("zzz")


def test_the_check_names_what_works_and_what_fails(ours: tuple[EntryPoint, ...]) -> None:
    (good,) = ReadersCheck(Formats(ours))()
    assert (good.name, good.state) == ("daq.readers", CheckState.OK)
    assert good.detail == "raw formats: cohar750-hdf5, wavedump"
    (bad,) = ReadersCheck(Formats([*ours, point("theirs", "gone_plugin:X")]))()
    assert bad.state is CheckState.FAILED
    assert "theirs" in bad.detail
    assert bad.do
    (none,) = ReadersCheck(Formats([]))()
    assert none.state is CheckState.FAILED
    assert "0 raw formats found" in none.detail
