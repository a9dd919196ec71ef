"""The experiment repository of the demo: the COHERENT example, told where this demo's IOC is."""

import re
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nualley.config import Configuration, load
from nualley.core import NualleyError

SETTLE_S = 2.0
"""A DAQ file that rested so long counts as finished [s]; experiments take a minute."""


def _set(text: str, table: str, key: str, value: object) -> str:
    """Set one key of a table, in its line or in a new one behind the table's head; all other text stays."""
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if line.split("#")[0].strip() == f"[{table}]"]
    if not heads:
        lines += ["", f"[{table}]"]
        heads = [len(lines) - 1]
    first = heads[0] + 1
    following = (number for number in range(first, len(lines)) if lines[number].startswith("["))
    for number in range(first, next(following, len(lines))):
        if lines[number].startswith(key):
            lines[number] = f"{key} {value}"
            break
    else:
        lines.insert(first, f"{key} {value}")
    return "\n".join(lines) + "\n"


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
    path = directory / "experiment.toml"
    if not path.is_file():
        shutil.copytree(example(), directory, dirs_exist_ok=True)
        # a page of the demo left open shall not be taken for the experiment's
        path.write_text(re.sub(r'^name = "(.+)"', r'name = "\1 demo"', path.read_text(), count=1, flags=re.MULTILINE))
    text = path.read_text()
    addresses = ", ".join(f'"{address}"' for address in addr_list)
    for table, key, value in (
        ("epics", "addr_list", f"[{addresses}]"),
        ("epics", "auto_addr_list", "false"),
        ("epics", "pva_auto_addr_list", "false"),
        ("ingest", "settle_s", SETTLE_S),
        ("ingest", "poll_s", 0.5),
        ("web", "port", port),
    ):
        text = _set(text, table, f"{key} =", value)
    path.write_text(text)
    configuration = load(directory, {})
    for drive in configuration.storage.to_drives():
        drive.path.mkdir(parents=True, exist_ok=True)
    for drop in configuration.storage.drop:
        drop.path.mkdir(parents=True, exist_ok=True)
    return configuration
