"""What a purge has to remember, as a small JSON file in the store."""

import json
from pathlib import Path
from typing import Any

from nualley.core import dump_json, make_folders, replacing
from nualley.replicas.purging import PurgeMemory, PurgeReport
from nualley.replicas.watched import SteadyMoment, WatchedTime


class PurgeFile:
    """`replicas.purging.Memory` in a file.

    Parameters
    ----------
    path : Path
        ``trash/purge.json`` of the store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> PurgeMemory:
        """Return it; an empty one where there is none, or none that can be understood: then all begins anew."""
        try:
            return _memory(json.loads(self._path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return PurgeMemory()

    def save(self, memory: PurgeMemory) -> None:
        """Keep it, durably."""
        make_folders(self._path.parent)
        last = memory.watched.last
        told = {
            "watched": memory.watched.stretches,
            "last": None if last is None else {"boot": last.boot, "steady_ns": last.steady_ns},
            "begun_ns_by_key": memory.begun_ns_by_key,
            "reports": {path: report.to_json() for path, report in memory.reports.items()},
        }
        with replacing(self._path) as part:
            part.write_text(dump_json(told), encoding="utf-8")


def _memory(told: dict[str, Any]) -> PurgeMemory:
    last = None if told["last"] is None else SteadyMoment(**told["last"])
    watched = WatchedTime(tuple((int(start_ns), int(stop_ns)) for start_ns, stop_ns in told["watched"]), last)
    reports = {
        path: PurgeReport(**{**report, "problems": tuple(report["problems"])})
        for path, report in told["reports"].items()
    }
    begun = {str(key): int(begun_ns) for key, begun_ns in told["begun_ns_by_key"].items()}
    return PurgeMemory(watched, begun, reports)
