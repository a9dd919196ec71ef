"""Under any writes in any order, the sums by detector, stage, month and drive are those of a recount."""

import contextlib
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.catalog import FileUsage, ReplicaState, TimeSource
from nualley.catalog.adapters.sql import SqlCatalog, open_catalog
from nualley.catalog.settings import parse_url
from nualley.core import NualleyError
from nualley.testing.postgres import PostgresServer
from tests.unit.catalog.records import make_activity, make_file, make_replica, make_run

MONTH_NS = 31 * 86_400 * 10**9
times = st.none() | st.integers(-3, 3).map(lambda n: n * MONTH_NS + n)
numbers, states = st.integers(1, 2), st.sampled_from(list(ReplicaState))
drives = st.sampled_from(["data1", "data2"])

writes = st.lists(
    st.one_of(
        st.tuples(
            st.just("add_file"), numbers, st.sampled_from("ab"), st.integers(1, 2), drives, states, times,
            st.sampled_from(["raw", "tier1"]),
        ),
        st.tuples(st.just("add_replica"), st.integers(1, 3), drives, states),
        st.tuples(st.just("update_replica"), st.integers(1, 5), states),
        st.tuples(st.just("register_run"), numbers, times),
        st.tuples(st.just("update_run_times"), numbers, times),
        st.tuples(st.just("correct_run_times"), numbers, times),
    ),
    max_size=15,
)  # fmt: skip


def do(catalog: SqlCatalog, write: tuple[Any, ...]) -> None:
    match write:
        case ("add_file", number, name, content, drive, state, start_ns, stage):
            run = make_run(number, start_ns=start_ns, time_source=TimeSource.PV if start_ns else TimeSource.UNKNOWN)
            file = make_file(run, name, content, size_B=content * 1000, stage=stage)
            replica = make_replica(drive, f"/{drive}/{number}/{name}", state=state)
            catalog.add_file(run, file, replicas=[replica], activity=make_activity())
        case ("add_replica", file_id, drive, state):
            catalog.add_replica(file_id, make_replica(drive, f"/{drive}/second/{file_id}", state=state))
        case ("update_replica", replica_id, state):
            catalog.update_replica(replica_id, state=state)
        case ("register_run", number, start_ns):
            catalog.register_run(make_run(number, start_ns=start_ns, time_source=TimeSource.GIVEN))
        case ("update_run_times", number, start_ns):
            catalog.update_run_times(f"cenns-10-{number}", start_ns=start_ns, stop_ns=None, time_source=TimeSource.PV)
        case ("correct_run_times", number, start_ns):
            start_ns = start_ns or 0
            catalog.correct_run_times(
                f"cenns-10-{number}", start_ns=start_ns, stop_ns=start_ns + 1, reason="clock", author=""
            )


def recount(catalog: SqlCatalog) -> list[FileUsage]:
    """Count every replica of every file anew, in Python."""
    n_files: Counter[tuple[str, str, str, str]] = Counter()
    size_B: Counter[tuple[str, str, str, str]] = Counter()
    for run in catalog.runs():
        moment_ns = run.created_ns if run.start_ns is None else run.start_ns
        month = datetime.fromtimestamp(moment_ns // 10**9, UTC).strftime("%Y-%m")
        for file in catalog.files(run.run_id):
            for replica in catalog.replicas(file.file_id):
                if replica.state.is_there:
                    key = run.detector, file.stage, month, replica.drive
                    n_files[key] += 1
                    size_B[key] += file.size_B
    return [
        FileUsage(detector=key[0], stage=key[1], month=key[2], drive=key[3], n_files=n_files[key], size_B=size_B[key])
        for key in sorted(n_files)
    ]


def check(catalog: SqlCatalog, sequence: list[tuple[Any, ...]]) -> None:
    for write in sequence:
        with contextlib.suppress(NualleyError):  # what is refused enters nothing, and counts nothing
            do(catalog, write)
    counted = recount(catalog)
    assert catalog.usage() == counted
    by_drive = Counter[str]()
    for usage in counted:
        by_drive[usage.drive or ""] += usage.size_B
    assert {usage.drive: usage.size_B for usage in catalog.usage(["drive"])} == by_drive


@given(writes)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_usage_is_a_recount_on_sqlite(sequence: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_catalog(Path(folder) / "catalog.sqlite") as catalog:
        check(catalog, sequence)


@given(sequences=st.lists(writes, max_size=6))
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_usage_is_a_recount_on_postgresql(postgres: PostgresServer, sequences: list[list[tuple[Any, ...]]]) -> None:
    name = "usage"
    try:
        url = postgres.create(name)
    except RuntimeError:  # of an example before
        url = postgres.url(name)
    with open_catalog(parse_url(url)) as catalog:
        for sequence in sequences:
            check(catalog, sequence)
