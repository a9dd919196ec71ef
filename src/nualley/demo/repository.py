"""The experiment repository of the demo: the COHERENT example, told where this demo's IOC is."""

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nualley.config import Configuration, load
from nualley.core import NualleyError

SETTLE_S = 2.0
"""A DAQ file that rested so long counts as finished [s]; experiments take a minute."""


def example() -> Path:
    """Return the folder of the COHERENT example: inside the installed package, or beside its sources.

    Raises
    ------
    NualleyError
        Where it is in neither.
    """
    packaged = Path(str(files("nualley.demo"))) / "coherent"
    beside = Path(__file__).resolve().parents[3] / "experiments" / "coherent"
    for folder in (packaged, beside):
        if (folder / "experiment.toml").is_file():
            return folder
    raise NualleyError(
        "the COHERENT example is not installed", where=str(packaged), do="install nualley anew: make install"
    )


def write_repository(directory: Path, *, addr_list: Sequence[str], port: int) -> Configuration:
    """Write the demo's experiment repository, or bring an earlier one's addresses up to date.

    Parameters
    ----------
    directory : Path
        Where; runs and archive of an earlier demo in it go on.
    addr_list : sequence of str
        Where Channel Access finds the IOC.
    port : int
        TCP port of the status page.

    Returns
    -------
    Configuration
        What was written, read back.
    """
    source = example()
    shutil.copytree(source, directory, dirs_exist_ok=True)
    text = (source / "experiment.toml").read_text()
    addresses = ", ".join(f'"{address}"' for address in addr_list)
    for table, lines in (
        ("epics", f"addr_list = [{addresses}]\nauto_addr_list = false"),
        ("ingest", f"settle_s = {SETTLE_S}\npoll_s = 0.5"),
        ("web", f"port = {port}"),
    ):
        text = text.replace(f"[{table}]\n", f"[{table}]\n{lines}\n", 1)
    (directory / "experiment.toml").write_text(text)
    configuration = load(directory, {})
    for drive in configuration.storage.to_drives():
        drive.path.mkdir(parents=True, exist_ok=True)
    for drop in configuration.storage.drop:
        drop.path.mkdir(parents=True, exist_ok=True)
    return configuration
