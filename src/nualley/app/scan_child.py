"""The process that scans one drive: it reads its job from stdin, and tells in lines of JSON how far it is."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nualley.core import PARENT_PID, ExitCode, NualleyError, SystemClock, end_with_parent, reason, try_lock
from nualley.storage import Ownership, OwnershipRule
from nualley.storage.adapters.posix import PosixFiles
from nualley.storage.adapters.priority import step_back
from nualley.storage.adapters.scanner import scan_tree
from nualley.storage.errors import ScanRunning


def main() -> int:
    """Do one job and return an exit code; the answer is the last line of stdout."""
    # asked to stop in whatever way, it takes its part away
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end_with_parent(signal.SIGTERM, os.environ)
    step_back()
    job: dict[str, Any] = {}
    try:
        job |= json.loads(sys.stdin.readline())
        with _alone(job["lock"]):
            _say(_TASKS[job["task"]](job))
    except KeyboardInterrupt:
        if job.get("task") == "scan":  # it may have come before any of the scan's own care
            PosixFiles().remove_stale_part(Path(job["file"]))
        return ExitCode.STOPPED
    except NualleyError as error:
        _say({"error": error.to_json()})
        return error.exit_code
    except OSError as error:
        _say({"error": {"what": f"the machine refuses: {reason(error)}", "where": str(error.filename or ""), "do": ""}})
        return ExitCode.FAILED
    return ExitCode.DONE


def _quick(job: Mapping[str, Any]) -> dict[str, object]:
    from nualley.storage.adapters.directories import look_quickly  # pyarrow.compute is heavy

    report = look_quickly(
        Path(job["root"]), Path(job["file"]), now_ns=SystemClock().now_ns(), hot_ns=int(job["hot_ns"])
    )
    return {"quick": asdict(report)}


def _scan(job: Mapping[str, Any]) -> dict[str, object]:
    destination = Path(job["file"])
    if job["lock"]:
        _remove_parts(destination.parent)
    scan = scan_tree(Path(job["root"]), destination, drive=job["drive"], clock=SystemClock(), told=_tell)
    if job["lock"]:
        _sum_up(job, destination)
    return {"scan": asdict(scan)}


def _sum_up(job: Mapping[str, Any], scan: Path) -> None:
    """Keep who takes what: small, kept for good, and what the history is read from."""
    from nualley.storage.adapters.directories import keep_directories  # pyarrow.compute is heavy
    from nualley.storage.adapters.usage_files import measure_usage, write_usage

    rules = [OwnershipRule(**{**rule, "drives": tuple(rule["drives"])}) for rule in job["rules"]]
    ownership = Ownership(rules, job["drive"], job["detectors"])
    write_usage(scan, measure_usage(scan, ownership), ownership.digest)
    before = sorted(path for path in scan.parent.glob("2*Z.parquet") if path.name < scan.name)
    keep_directories(scan, before[-1] if before else None)


_TASKS = {"scan": _scan, "quick": _quick}


def _tell(n_files: int, n_dirs: int) -> None:
    _say({"seen": [n_files, n_dirs]})


def _say(message: Mapping[str, object]) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201  # the parent reads it


def _remove_parts(folder: Path) -> None:
    """Take away what scans left that were killed: each scan has a name of its own, so that no other would."""
    for part in folder.glob(".*.nualley.part"):
        with suppress(OSError):
            PosixFiles().remove_stale_part(folder / part.name.removeprefix(".").removesuffix(".nualley.part"))


@contextmanager
def _alone(lock: str) -> Iterator[None]:
    """Hold a drive's lock while it is scanned: two at once would only drive its heads about."""
    if not lock:
        yield
        return
    path = Path(lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = try_lock(path)
    if descriptor is None:
        raise ScanRunning(
            "another process is scanning this drive", where=str(path), do="wait until it is done, then try again"
        )
    try:
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    # what the supervisor and the demo use too: who started this process may end at any time
    os.environ.setdefault(PARENT_PID, str(os.getppid()))
    sys.exit(main())
