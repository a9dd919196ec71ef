"""Runs, files and replicas for the tests of the catalog."""

from typing import Any

from nualley.catalog import Activity, FileRecord, Replica, ReplicaState, Run

NOW_NS = 1_795_000_000_000_000_000


class FakeClock:
    """A clock that goes on by one nanosecond at each look."""

    def __init__(self) -> None:
        self.time_ns = NOW_NS

    def now_ns(self) -> int:
        self.time_ns += 1
        return self.time_ns


def make_run(number: int = 42, detector: str = "cenns-10", **changes: Any) -> Run:
    return Run(run_id=f"{detector}-{number}", detector=detector, number=number, **changes)


def make_file(run: Run, name: str = "wave0.dat", content: int = 1, **changes: Any) -> FileRecord:
    values: dict[str, Any] = {
        "format": "wavedump",
        "size_B": 160_192,
        "xxh3_128": f"{content:032x}",
        "adler32": f"{content:08x}",
        "n_events": 8,
        "channels": (3,),
        "record_length": 10_000,
    }
    return FileRecord(run_id=run.run_id, detector=run.detector, name=name, **(values | changes))


def make_replica(drive: str = "data1", path: str = "/data1/cenns-10/raw/42/wave0.dat", **changes: Any) -> Replica:
    return Replica(drive=drive, path=path, **({"state": ReplicaState.VERIFIED, "verified_ns": 5} | changes))


def make_activity(**changes: Any) -> Activity:
    values: dict[str, Any] = {"kind": "ingest", "start_ns": 1, "stop_ns": 2, "code": "0.1.0", "host": "daq1"}
    return Activity(**(values | changes))
