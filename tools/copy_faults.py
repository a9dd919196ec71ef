"""What copying programs leave behind after a fault, beside ``nualley transfer copy``: real processes, the same faults.

``python -m tools.copy_faults`` writes docs/reference/copy-faults.md. Full drives and another user need root, errors of
a drive and the order of system calls need strace; what cannot be made is "not measured".
"""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xxhash

from nualley import __version__
from nualley.app.site import open_site
from nualley.app.transfers import open_transfers
from nualley.cli.main import main as nualley

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "copy-faults.md"
BIG, SMALL = "wave0.dat", "wave1.dat"
_NOBODY = 65534
_OTHER = b"somebody else's bytes"
_POLL_S = 0.0005
_LONGEST_S = 120.0
_MOST_LATE = 10  # of so many copies one is met before it is over
_READS = "read,pread64,readv,preadv,preadv2"


class NotMeasured(Exception):  # noqa: N818  # named by what happened
    """A fault that this machine cannot make."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that copies a folder.

    Parameters
    ----------
    name : str
        As people call it.
    version : str
        Which one was measured.
    copy : callable
        Takes source and destination; returns its command.
    copy_list : callable or None
        Takes source, destination and a file with names; returns its command. None: it takes no list.
    """

    name: str
    version: str
    copy: Callable[[Path, Path], list[str]]
    copy_list: Callable[[Path, Path, Path], list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of a fault.

    Parameters
    ----------
    text : str
        In words.
    is_kept : bool or None
        Whether no wrong bytes were under a final name, trouble was told, and the same command then came to its end;
        None where it was not measured.
    """

    text: str
    is_kept: bool | None


@dataclass(frozen=True, slots=True)
class Left:
    """What is at a destination: names with right bytes, names with wrong ones, and what is no name of the source."""

    whole: list[str]
    wrong: list[str]
    others: list[str]


class Bench:
    """A folder with a source, and an experiment for nualley.

    Parameters
    ----------
    folder : Path
        An empty one; others may reach it.
    size_B : int
        Size of the larger file [B].
    """

    def __init__(self, folder: Path, size_B: int) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir()
        self.experiment = folder / "experiment"
        subprocess.run([sys.executable, "-m", "nualley.cli", "init", self.experiment], check=True, capture_output=True)
        for name, n_B in ((BIG, size_B), (SMALL, 1000)):
            with (self.source / name).open("wb") as file:
                for start_B in range(0, n_B, 1 << 20):
                    file.write(os.urandom(min(1 << 20, n_B - start_B)))
        self._numbers = iter(range(10**6))

    def fresh(self) -> Path:
        """Return an empty destination."""
        path = self.folder / f"copy{next(self._numbers)}"
        path.mkdir()
        return path

    def look(self, destination: Path) -> Left:
        """Compare a destination with the source."""
        wanted = {name: digest(self.source / name) for name in (BIG, SMALL)}
        there = {os.fspath(path.relative_to(destination)): path for path in destination.rglob("*") if path.is_file()}
        same = {name: digest(there[name]) == wanted[name] for name in wanted if name in there}
        return Left(
            [name for name, is_same in same.items() if is_same],
            [name for name, is_same in same.items() if not is_same],
            sorted(there.keys() - wanted.keys()),
        )

    def is_whole_again(self, tool: Tool, destination: Path) -> bool:
        """Give the same command again, and return whether all is there with the right bytes."""
        code = run(tool.copy(self.source, destination))
        left = self.look(destination)
        return code == 0 and len(left.whole) == len((BIG, SMALL)) and not left.wrong


def digest(path: Path) -> str:
    """Return what tells the bytes of a file."""
    found = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def run(command: Sequence[str], **words: object) -> int:
    """Run a command to its end; return its exit code."""
    done = subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=False, **words)  # type: ignore[call-overload]  # as given
    return int(done.returncode)


# ---------------------------------------------------------------- the programs
def find_tools(experiment: Path) -> list[Tool]:
    """Return the programs that are installed, nualley first."""
    ours = [sys.executable, "-m", "nualley.cli", "transfer"]
    named = ["--experiment", os.fspath(experiment), "--json"]
    tools = [
        Tool("nualley transfer copy", __version__, lambda source, to: [*ours, "copy", f"{source}", f"{to}/", *named]),
        Tool(
            "cp -r",
            _version("cp", "--version"),
            lambda source, to: ["cp", "-r", f"{source}/.", f"{to}"],
            lambda source, to, names: ["cp", "-t", f"{to}", *(f"{source}/{n}" for n in names.read_text().split())],
        ),
    ]
    if rsync := shutil.which("rsync"):
        tools.append(
            Tool(
                "rsync -a",
                _version(rsync, "--version"),
                lambda source, to: [rsync, "-a", f"{source}/", f"{to}/"],
                lambda source, to, names: [rsync, "-a", f"--files-from={names}", f"{source}/", f"{to}/"],
            )
        )
    beside = Path(sys.executable).with_name("rclone")
    if rclone := os.fspath(beside) if beside.exists() else shutil.which("rclone"):
        tools.append(
            Tool(
                "rclone copy",
                _version(rclone, "version"),
                lambda source, to: [rclone, "copy", f"{source}", f"{to}", "--config", ""],
                lambda source, to, names: [rclone, "copy", "--files-from", f"{names}", f"{source}", f"{to}"],
            )
        )
    return tools


def _version(*command: str) -> str:
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)+", told)
    return found[0] if found else "unknown"


# ---------------------------------------------------------------- in the middle of a copy
@contextlib.contextmanager
def copying(tool: Tool, source: Path, destination: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a copy, and go on once something of the larger file is at the destination, or the copy has ended."""
    with subprocess.Popen(
        tool.copy(source, destination), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while process.poll() is None and not any(BIG in name for name in os.listdir(destination)):  # noqa: PTH208
            time.sleep(_POLL_S)
        try:
            yield process
            process.wait(_LONGEST_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def usual_s(tool: Tool, bench: Bench) -> float:
    """Return how long a copy takes from the first byte at the destination on [s]."""
    destination = bench.fresh()
    with copying(tool, bench.source, destination) as process:
        begun_s = time.monotonic()
        process.wait(_LONGEST_S)
    spent_s = time.monotonic() - begun_s
    assert len(bench.look(destination).whole) == len((BIG, SMALL)), f"{tool.name} does not copy at all"
    shutil.rmtree(destination)
    return spent_s


def kill(tool: Tool, bench: Bench, chance: random.Random, n_tries: int) -> Cell:
    """Kill -9 in the middle, and give the command again."""
    spent_s = usual_s(tool, bench)
    n_wrong, n_whole_again, left_over = 0, 0, set()
    for _ in range(n_tries):
        destination = bench.fresh()
        with copying(tool, bench.source, destination) as process:
            time.sleep(chance.uniform(0, spent_s))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        n_wrong += bool(bench.look(destination).wrong)
        n_whole_again += bench.is_whole_again(tool, destination)
        left_over |= {_kind(name) for name in bench.look(destination).others}
        shutil.rmtree(destination)
    said = [
        f"part of a file under its final name in {n_wrong} of {n_tries}" if n_wrong else "nothing wrong under a name"
    ]
    said.append("whole after the same command" if n_whole_again == n_tries else "NOT whole after the same command")
    if left_over:
        said.append(f"{', '.join(sorted(left_over))} stays")
    return Cell("; ".join(said), not n_wrong and n_whole_again == n_tries)


def _kind(name: str) -> str:
    """Return what a name that is left over looks like."""
    path = Path(name).name
    known = {".nualley.part": "a .part", ".partial": "a .partial"}
    return next((kind for end, kind in known.items() if path.endswith(end)), "a temporary file")


def source_changes(tool: Tool, bench: Bench, chance: random.Random, n_tries: int) -> Cell:
    """Write to the first and the last bytes of the source while it is copied."""
    spent_s = usual_s(tool, bench)
    n_torn, n_told, n_before, n_again, n_whole_again = 0, 0, 0, 0, 0
    for _ in range(n_tries):
        destination, big = bench.fresh(), bench.source / BIG
        hour_ago_s = time.time() - 3600
        os.utime(big, (hour_ago_s, hour_ago_s))
        before = digest(big)
        with copying(tool, bench.source, destination) as process:
            time.sleep(chance.uniform(0, spent_s / 2))
            with big.open("r+b") as file:
                file.write(os.urandom(4096))
                file.seek(-4096, os.SEEK_END)
                file.write(os.urandom(4096))
            code = process.wait(_LONGEST_S)
        copied = digest(destination / BIG) if (destination / BIG).exists() else None
        is_torn = copied not in (None, before, digest(big))
        n_torn += is_torn
        n_told += is_torn and bool(code)
        n_before += copied == before
        if copied != before:  # what was whole before the change is a copy of then
            n_again += 1
            n_whole_again += bench.is_whole_again(tool, destination)
        shutil.rmtree(destination)
    if n_before == n_tries:
        return Cell("not measured: it was done before the change", None)
    torn = f"old and new bytes mixed under the final name in {n_torn} of {n_tries - n_before}, told in {n_told}"
    said = [torn if n_torn else f"never old and new bytes mixed ({n_tries - n_before} tries)"]
    said.append("whole after the same command" if n_whole_again == n_again else "NOT whole after the same command")
    return Cell("; ".join(said), not n_torn and n_whole_again == n_again)


def destination_appears(tool: Tool, bench: Bench, _chance: random.Random, n_tries: int) -> Cell:
    """Make a file of that name, as somebody else would, while it is copied."""
    n_lost, n_told, n_made, n_counted = 0, 0, 0, 0
    size_B = (bench.source / BIG).stat().st_size
    for _ in range(_MOST_LATE * n_tries):
        destination = bench.fresh()
        final = destination / BIG
        with copying(tool, bench.source, destination) as process:
            is_made = _make_alone(final)
            is_late = not is_made and final.stat().st_size == size_B
            code = process.wait(_LONGEST_S)
        n_counted += not is_late
        if is_made:
            n_made += 1
            n_lost += final.read_bytes() != _OTHER
            n_told += bool(code)
        shutil.rmtree(destination)
        if n_counted == n_tries:
            break
    if not n_counted:
        raise NotMeasured("each copy was over before a file could be made")
    if not n_made:
        return Cell("cannot happen: the unfinished file has the final name from its first byte on", None)
    if n_lost:
        return Cell(f"overwritten in {n_lost} of {n_made}, told in {n_told}", False)
    return Cell(f"kept, and told in {n_told} of {n_made}", n_told == n_made)


def _make_alone(path: Path) -> bool:
    try:
        with path.open("xb") as file:
            file.write(_OTHER)
    except FileExistsError:
        return False
    return True


# ---------------------------------------------------------------- drives
def drive_full(tool: Tool, bench: Bench, _chance: random.Random, _n_tries: int) -> Cell:
    """Copy to a drive that has no room for the file."""
    destination = bench.fresh()
    size_B = (bench.source / BIG).stat().st_size
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size_B * 3 // 4}", "tmpfs", os.fspath(destination)]
    if run(mounted):
        raise NotMeasured("only root can mount a small drive")
    try:
        code = run(tool.copy(bench.source, destination))
        left = bench.look(destination)
        run(["mount", "-o", f"remount,size={size_B * 3}", os.fspath(destination)])
        is_whole = bench.is_whole_again(tool, destination)
    finally:
        run(["umount", "-l", os.fspath(destination)])
    return _after(left, code, is_whole=is_whole, after="once there is room")


def drive_fails(tool: Tool, bench: Bench, _chance: random.Random, _n_tries: int) -> Cell:
    """Let reading the source fail with an input/output error after some bytes."""
    destination, source = bench.fresh(), os.fspath(bench.source / BIG)
    reads = f"{_READS},copy_file_range,sendfile,splice"
    # a copy inside the kernel reads all at once: programs that ask for one are sent to read for themselves
    errors = [f"inject={_READS}:error=EIO:when=4+", "inject=copy_file_range,sendfile,splice:error=EXDEV"]
    with tempfile.NamedTemporaryFile() as log:
        strace = ["strace", "-f", "-o", log.name, "-P", source, "-e", f"trace={reads}"]
        words = [word for error in errors for word in ("-e", error)]
        code = _traced([*strace, *words, *tool.copy(bench.source, destination)])
        if "INJECTED" not in Path(log.name).read_text():
            raise NotMeasured("strace could not make its reads fail")
    left = bench.look(destination)
    is_whole = bench.is_whole_again(tool, destination)
    shutil.rmtree(destination)
    return _after(left, code, is_whole=is_whole, after="once it can be read")


def _after(left: Left, code: int, *, is_whole: bool, after: str) -> Cell:
    said = ["part of the file under its final name" if left.wrong else "nothing wrong under a name"]
    if left.others:
        said.append(f"{', '.join(sorted({_kind(name) for name in left.others}))} stays")
    said.append(f"exit {code}")
    said.append(f"whole after the same command {after}" if is_whole else f"NOT whole after the same command {after}")
    return Cell("; ".join(said), not left.wrong and code != 0 and is_whole)


def _traced(command: Sequence[str]) -> int:
    if shutil.which("strace") is None:
        raise NotMeasured("strace is not installed")
    code = run(command)
    if run(["strace", "-o", os.devnull, "true"]):
        raise NotMeasured("strace may not trace here")
    return code


def power_cut(tool: Tool, bench: Bench, _chance: random.Random, _n_tries: int) -> Cell:
    """Look at the order of the system calls: what is synced before the file has its name, and after it."""
    destination = bench.fresh()
    with tempfile.NamedTemporaryFile() as log:
        calls = "trace=fsync,fdatasync,sync_file_range,syncfs,rename,renameat,renameat2,link,linkat"
        code = _traced(["strace", "-f", "-y", "-o", log.name, "-e", calls, *tool.copy(bench.source, destination)])
        lines = Path(log.name).read_text().splitlines()
    assert code == 0
    shutil.rmtree(destination)
    folder = re.escape(os.fspath(destination))
    named = [number for number, line in enumerate(lines) if re.search(rf"(rename|link)\w*\(.*{re.escape(BIG)}\"", line)]
    data = [number for number, line in enumerate(lines) if re.search(rf"f(data)?sync\(\d+<{folder}/.*{BIG}", line)]
    folders = [number for number, line in enumerate(lines) if re.search(rf"fsync\(\d+<{folder}>", line)]
    if not data:
        return Cell("nothing is synced: after a power cut a file may be empty under its final name", False)
    is_before = bool(named) and data[0] < named[0]
    is_after = bool(named) and bool(folders) and folders[-1] > named[0]
    said = ["bytes synced before the name is given" if is_before else "bytes synced after the name is given"]
    said.append("its folder synced after it" if is_after else "its folder not synced")
    return Cell("; ".join(said), is_before and is_after)


# ---------------------------------------------------------------- what cannot be seen, what a list says
def folder_unreadable(tool: Tool, bench: Bench, _chance: random.Random, _n_tries: int) -> Cell:
    """Copy as a user who may not read a folder of the source."""
    if os.geteuid():
        raise NotMeasured("only root can become another user")
    destination, closed = bench.fresh(), bench.source / "closed"
    closed.mkdir(mode=0o700)
    (closed / "wave2.dat").write_bytes(b"more")
    try:
        _open_to_all(destination)
        code = _as_nobody(tool, bench, destination)
        left = bench.look(destination)
    finally:
        shutil.rmtree(closed)
    shutil.rmtree(destination)
    n_copied = len(left.whole)
    told = f"told, exit {code}" if code else "NOT told, exit 0"
    return Cell(f"{told}; {n_copied} of 2 readable files copied", bool(code) and n_copied == len((BIG, SMALL)))


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def _as_nobody(tool: Tool, bench: Bench, destination: Path) -> int:
    command = tool.copy(bench.source, destination)
    if command[0] != sys.executable:
        return run(command, user=_NOBODY, group=_NOBODY, extra_groups=[])
    # another user may not reach the interpreter: what it needs is loaded before
    warm = tool.copy(bench.source, bench.fresh())
    with contextlib.redirect_stdout(io.StringIO()):
        nualley(warm[3:])
    _open_to_all(bench.experiment)
    child = os.fork()
    if not child:
        code = 99
        try:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            code = int(nualley(command[3:]))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def list_is_wrong(tool: Tool, bench: Bench, _chance: random.Random, _n_tries: int) -> Cell:
    """Copy by a list that lacks a file that is there, and names one that is not."""
    destination = bench.fresh()
    if tool.copy_list is None:
        code = _nualley_by_wrong_list(bench, destination)
        n_there, said = len(bench.look(destination).whole), ""
        is_kept = code != 0 and n_there == len((BIG, SMALL))
    else:
        names = bench.folder / "names"
        names.write_text(f"{SMALL}\n")
        lacks_code = run(tool.copy_list(bench.source, destination, names))
        n_there = len(bench.look(destination).whole)
        names.write_text(f"{BIG}\n{SMALL}\ngone.dat\n")
        code = run(tool.copy_list(bench.source, destination, names))
        said = f" (exit {lacks_code})"
        is_kept = n_there == len((BIG, SMALL)) and code != 0
    shutil.rmtree(destination)
    lacking = "copied all the same" if n_there == len((BIG, SMALL)) else "not copied, and not told"
    gone = f"told, exit {code}" if code else "not told, exit 0"
    return Cell(f"what the list lacks is {lacking}{said}; what is only in the list is {gone}", is_kept)


def _nualley_by_wrong_list(bench: Bench, destination: Path) -> int:
    """Begin a transfer, spoil its list in the catalog, and go on with it."""
    site = open_site(bench.experiment)
    with open_transfers(site) as transfers:
        begun = transfers.begin(bench.source, destination)
    with contextlib.closing(sqlite3.connect(site.configuration.store / "catalog.sqlite")) as connection:
        connection.execute("DELETE FROM transfer_file WHERE transfer_id = ? AND path = ?", (begun.transfer_id, BIG))
        connection.execute(
            "UPDATE transfer_file SET path = 'gone.dat' WHERE transfer_id = ? AND path = ?", (begun.transfer_id, SMALL)
        )
        connection.commit()
    words = ["transfer", "resume", str(begun.transfer_id), "--experiment", os.fspath(bench.experiment), "--json"]
    return run([sys.executable, "-m", "nualley.cli", *words])


Fault = Callable[[Tool, Bench, random.Random, int], Cell]
FAULTS: dict[str, Fault] = {
    "`kill -9` in the middle": kill,
    "the drive is full": drive_full,
    "reading the source fails (EIO)": drive_fails,
    "the source is written to meanwhile": source_changes,
    "a file of that name appears meanwhile": destination_appears,
    "a folder may not be read": folder_unreadable,
    "the list of files is wrong": list_is_wrong,
    "the power is cut": power_cut,
}


def measure(fault: Fault, tool: Tool, bench: Bench, *, seed: int, n_tries: int) -> Cell:
    """Make a fault and return what came of it, or why it cannot be made here."""
    try:
        return fault(tool, bench, random.Random(seed), n_tries)
    except NotMeasured as why:
        return Cell(f"not measured: {why}", None)


# ---------------------------------------------------------------- the page
_HEAD = """# Copies and faults

`make soak` makes these faults and writes this page; last on {date}, {n_tries} times each where the moment matters, with
a file of {size_MiB} MiB and a small one. Each program ran as a process of its own, with the options that are named, no
others. **Bold** is where wrong bytes are under a final name, trouble is not told, or the same command does not make it
good.

"""
_TAIL = """
- `kill -9` and changes come at random moments of the copy (seed {seed}). A final name is the one that the file has at
  the source.
- A full drive is a tmpfs with room for three quarters of the file. The failing source is made by `strace`, which
  answers from the fourth read on with EIO. The folder that may not be read is that of another user.
- The power is not cut: the order of the system calls is looked at, with `strace`. Bytes that are not synced before they
  have their name may be gone after a power cut while the name is there. `rsync --fsync` syncs bytes, not folders.
- `nualley transfer copy` takes no list from outside; its own, in the catalog, was spoilt between begin and resume.
- A program that gives the final name to the unfinished file cannot meet a file that appears; readers meet that one.
"""


def page(cells: dict[str, dict[str, Cell]], tools: Sequence[Tool], *, seed: int, n_tries: int, size_B: int) -> str:
    """Return the page."""
    lines = [
        f"| fault | {' | '.join(f'`{tool.name}` {tool.version}' for tool in tools)} |",
        "|---|" + "---|" * len(tools),
    ]
    for fault, by_tool in cells.items():
        told = [f"**{cell.text}**" if cell.is_kept is False else cell.text for cell in by_tool.values()]
        lines.append(f"| {fault} | {' | '.join(told)} |")
    date = datetime.now(tz=UTC).strftime("%Y-%m-%d")
    head = _HEAD.format(date=date, n_tries=n_tries, size_MiB=size_B >> 20)
    return head + "\n".join(lines) + "\n" + _TAIL.format(seed=seed)


@contextlib.contextmanager
def open_bench(size_B: int) -> Iterator[Bench]:
    """Make a bench that other users can reach, and take it away."""
    with tempfile.TemporaryDirectory(prefix="nualley-copies-") as folder:
        Path(folder).chmod(0o755)
        yield Bench(Path(folder), size_B)


def measure_all(*, seed: int, n_tries: int, size_B: int) -> tuple[str, list[str]]:
    """Make every fault with every program; return the page, and what nualley did not keep."""
    with open_bench(size_B) as bench:
        tools = find_tools(bench.experiment)
        cells = {
            name: {tool.name: measure(fault, tool, bench, seed=seed, n_tries=n_tries) for tool in tools}
            for name, fault in FAULTS.items()
        }
    ours = {name: by_tool[tools[0].name] for name, by_tool in cells.items()}
    broken = [f"{name}: {cell.text}" for name, cell in ours.items() if cell.is_kept is False]
    return page(cells, tools, seed=seed, n_tries=n_tries, size_B=size_B), broken


if __name__ == "__main__":
    told, not_kept = measure_all(seed=random.SystemRandom().randrange(2**31), n_tries=10, size_B=64 << 20)
    PAGE.write_text(told)
    print(PAGE, *not_kept, sep="\n")
