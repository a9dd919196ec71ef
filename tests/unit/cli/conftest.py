"""An experiment with a run, for commands that are called as a person calls them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nualley.app.site import open_site
from nualley.catalog import FileRecord, Run, TimeSource
from nualley.cli.main import main
from nualley.core import SECOND_NS, digest_file, split_run_id

RUN_START_NS = 1_795_406_400 * SECOND_NS
"""2026-11-23T04:00:00Z."""


def write_drives(experiment: Path, further: str = "", *, folder: Path = Path("drives")) -> None:
    """Describe drives ``data1`` and ``data2`` in a folder, for raw data and to the last byte, and what else is said."""
    drives = [
        f'[drives.{name}]\npath = "{folder / name}"\nrole = "raw"\nlimit = "100 %"\n' for name in ("data1", "data2")
    ]
    (experiment / "drives.toml").write_text("\n".join([*drives, further]))


def record_of(path: Path, run_id: str, **more: Any) -> FileRecord:
    """Return what the catalog is told of a file by its bytes; its format is ``wavedump`` unless it is given."""
    found = digest_file(path)
    fields = {"name": path.name, "format": "wavedump", **more}
    return FileRecord(
        run_id=run_id,
        detector=split_run_id(run_id)[0],
        size_B=found.size_B,
        xxh3_128=found.xxh3_128,
        adler32=found.adler32,
        **fields,
    )


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new experiment; it is also the working directory."""
    monkeypatch.delenv("NUALLEY_EXPERIMENT", raising=False)
    folder = tmp_path / "experiment"
    assert main(["init", str(folder)]) == 0
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the id of the detector of a new experiment, and a store with its runs: each test has a copy of its own."""
    folder = tmp_path_factory.mktemp("recorded") / "experiment"
    assert main(["init", str(folder)]) == 0
    site = open_site(folder, {})
    name = next(iter(site.configuration.detectors))
    stop_ns = RUN_START_NS + 3600 * SECOND_NS
    with site.catalog() as catalog:
        catalog.register_run(
            Run(
                run_id=f"{name}-1",
                detector=name,
                number=1,
                start_ns=RUN_START_NS,
                stop_ns=stop_ns,
                time_source=TimeSource.GIVEN,
            )
        )
        catalog.register_run(Run(run_id=f"{name}-2", detector=name, number=2))
    return str(name), site.configuration.store


@pytest.fixture
def detector(experiment: Path, recorded: tuple[str, Path]) -> str:
    """Return the id of the experiment's detector, which has runs 1 (an hour long) and 2 (without times)."""
    name, store = recorded
    shutil.copytree(store, open_site(experiment).configuration.store, dirs_exist_ok=True)
    return name


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return what calls a command that must be refused as a wrong call, in text and in JSON, and gives the error."""

    def call(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert main([*words, "--json"]) == 2
        error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == 2
        assert said.err.startswith(error["what"])
        return error

    return call
