"""Several processes and one catalog."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from nualley.catalog.adapters.backup import backup, inspect
from nualley.catalog.adapters.sql import open_catalog
from nualley.storage.adapters.posix import PosixFiles
from tests.unit.catalog.records import make_activity, make_file, make_replica, make_run

N_PROCESSES = 4
N_FILES = 40


def write(location: Path | str, worker: int) -> int:
    """Open a catalog that may not exist yet, and enter files: some of its own, some that all enter."""
    n_known = 0
    with open_catalog(location) as catalog:
        for number in range(N_FILES):
            run = make_run(number % 5)
            shared, own = f"shared{number}", f"own{worker}-{number}"
            for name in (shared, own):
                added = catalog.add_file(
                    run,
                    make_file(run, name),
                    replicas=[make_replica(path=f"/data1/{number % 5}/{name}")],
                    activity=make_activity(),
                )
                n_known += added.already_there
            catalog.add_tag(run.run_id, f"tag{number % 3}")
            catalog.add_note(run.run_id, f"note {worker} {number}")
            catalog.totals()
    return n_known


def test_four_writing_processes_and_backups_meanwhile(tmp_path: Path) -> None:
    location = tmp_path / "store" / "catalog.sqlite"
    with ProcessPoolExecutor(N_PROCESSES, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write, location, worker) for worker in range(N_PROCESSES)]
        contents = []
        while not all(job.done() for job in jobs):
            if location.exists() and any(job.running() for job in jobs):
                try:
                    with open_catalog(location, create=False) as reader:
                        reader.runs()
                except FileNotFoundError:  # it is being made
                    continue
                file = tmp_path / f"backup{len(contents)}"
                contents.append((file, backup(location, file, files=PosixFiles())))
        assert sum(job.result() for job in jobs) == (N_PROCESSES - 1) * N_FILES
    with open_catalog(location) as catalog:
        totals = catalog.totals()
        assert (totals.n_runs, totals.n_files) == (5, N_FILES * (N_PROCESSES + 1))
        assert totals.n_verified_replicas == totals.n_files == len(catalog.activities())
        assert sum(len(catalog.notes(run.run_id)) for run in catalog.runs()) == N_FILES * N_PROCESSES
        assert [run.tags for run in catalog.runs()] == [("tag0", "tag1", "tag2")] * 5
    assert contents
    for file, content in contents:
        assert inspect(file) == content
        assert content.n_rows_by_table["replica"] == content.n_rows_by_table["file"]
