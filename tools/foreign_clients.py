"""Install the unmodified clients of an Archiver Appliance that tests/clients reads our server with.

Each gets a virtual environment of its own below ``.clients/``; what is there already is left alone.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".clients"
UV = Path(sys.executable).with_name("uv")
CLIENTS = {
    "aapy": ("3.11", ["aapy==0.12"]),
    "arvpyf": ("3.11", ["arvpyf==0.4.3"]),
    "archapp": ("3.11", ["archapp==1.1.0"]),
    # it needs Python 3.12, and imports aiohttp without asking for it
    "epicsarchiver-retrieval-client": ("3.12", ["epicsarchiver-retrieval-client==1.0.1", "aiohttp", "requests"]),
}


def interpreter(version: str) -> str:
    """Return a Python of a version: pyenv's where it has one, whose shims answer to no name; else as uv finds it."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(versions.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else version


def install(name: str) -> bool:
    """Make the environment of one client; say and return whether it is there."""
    python, packages = CLIENTS[name]
    folder, begin_s = FOLDER / name, time.monotonic()
    done = folder / "done"
    if done.exists():
        print(f"{name}: is there")
        return True
    for words in (
        ["venv", "--quiet", "--clear", "--no-python-downloads", "--python", interpreter(python), str(folder)],
        ["pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages],
    ):
        made = subprocess.run([str(UV), *words], capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"{name}: not installed\n{made.stderr}", file=sys.stderr)
            return False
    done.touch()
    print(f"{name}: installed in {time.monotonic() - begin_s:.0f} s")
    return True


def main() -> int:
    """Install all; 1 where one is missing."""
    missing = [name for name in CLIENTS if not install(name)]
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
