"""Sealing and compaction in a child process: the one that archives neither waits for them nor holds their memory.

The child dies with its parent, and what it does is crash-safe at every step: the next start does it again.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import structlog

from nualley.app.archive import open_compactor, open_sealer
from nualley.app.logs import configure_logs
from nualley.app.trace_rules import rules_from_json, rules_to_json
from nualley.core import NualleyError, reason
from nualley.physics import TraceRule

_NICENESS = 5
_PR_SET_PDEATHSIG = 1
_log = structlog.get_logger()


class KeepingFailedError(NualleyError, OSError):
    """Sealing or compaction did not come to its end; nothing is lost, and it is tried again."""

    __str__ = NualleyError.__str__


class Keeper(Protocol):
    """Whoever turns closed segments into files, and merges these, while the archive goes on."""

    async def seal(self, segment: int) -> int:
        """Seal a closed segment, and return how many files took over.

        Raises
        ------
        OSError
            Where it did not come to its end; the segment stays as it is.
        """
        ...

    async def compact(self) -> None:
        """Merge the files of periods that are over.

        Raises
        ------
        OSError
            Where it did not come to its end; the files stay as they are.
        """
        ...


class ChildKeeper:
    """The port `Keeper` as child processes.

    Parameters
    ----------
    folder : Path
        ``store/archive``.
    kept_ns : callable
        Says how long rows of some PVs are kept [ns], now.
    rules : callable
        Says how arrays of some PVs are averaged for good, now.
    """

    def __init__(
        self,
        folder: Path,
        kept_ns: Callable[[], Mapping[str, int]] = dict,
        rules: Callable[[], Mapping[str, TraceRule]] = dict,
    ) -> None:
        self._folder = folder
        self._kept_ns = kept_ns
        self._rules = rules

    async def seal(self, segment: int) -> int:
        """Seal a closed segment; see `Keeper`."""
        return int(await self._call("seal", str(segment), told=rules_to_json(self._rules())))

    async def compact(self) -> None:
        """Merge the files of periods that are over; see `Keeper`."""
        told = json.dumps(dict(self._kept_ns())), rules_to_json(self._rules())
        await self._call("compact", told="\n".join(told))

    async def _call(self, *words: str, told: str = "") -> str:
        command = [
            *(sys.executable, "-P", "-m", "nualley.core.child", "nualley.app.keeper"),
            *(str(os.getpid()), str(self._folder), *words),
        ]
        # a session of its own: Ctrl-C at a terminal is for the parent, which waits for it
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            out, _ = await child.communicate(told.encode())
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        if child.returncode != 0:
            raise _failure(words, child.returncode or 0, out)
        return out.decode().strip() or "0"


def _failure(words: tuple[str, ...], code: int, out: bytes) -> KeepingFailedError:
    try:
        error = json.loads(out)["error"]
        return KeepingFailedError(error["what"], where=error["where"], do=error["do"])
    except (ValueError, LookupError):
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return KeepingFailedError(
            f"the process that was to {' '.join(words)} ended {how}",
            where="archive",
            do="it is tried again; the log before this line says more",
        )


def main() -> int:
    """Do what a parent asked for: ``PARENT FOLDER seal SEGMENT`` or ``compact``.

    The last line of stdin says how arrays are averaged; the one before, for ``compact``, how long rows are kept.
    """
    parent, folder, task, *rest = sys.argv[1:]
    _die_with(int(parent))
    os.nice(_NICENESS)
    configure_logs("archive")
    told = sys.stdin.read().split("\n")
    rules = rules_from_json(told[-1])
    try:
        done = (
            _compact(Path(folder), json.loads(told[0]), rules)
            if task == "compact"
            else len(open_sealer(Path(folder), rules=rules).seal(int(rest[0])))
        )
    except NualleyError as error:
        print(json.dumps({"error": error.to_json()}))  # noqa: T201  # the parent reads it
        return int(error.exit_code)
    except OSError as error:
        said = {
            "what": reason(error),
            "where": str(error.filename or folder),
            "do": "nualley doctor looks at the drive",
        }
        print(json.dumps({"error": said}))  # noqa: T201  # the parent reads it
        return 1
    print(done)  # noqa: T201  # the parent reads it
    return 0


def _compact(folder: Path, kept_ns: Mapping[str, int], rules: Mapping[str, TraceRule]) -> int:
    compactor = open_compactor(folder, kept_ns=kept_ns, rules=rules)
    done = [compactor.run(job) for job in compactor.due()]
    for found in done:
        if not found.damage:
            _log.info(
                "dropped, kept no longer" if found.job.is_expired else "compacted",
                folder=found.job.folder,
                type=str(found.job.value_type),
                n_files_before=len(found.job.files),
                n_files=found.n_files,
                size_B=found.size_B,
            )
    return len(done)


def _die_with(parent: int) -> None:
    """End by SIGKILL when the parent ends, however it does: nobody would take up what this process says."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
