"""The worker's keeping of run traces: it ends when it is told to, and needs a trace to begin."""

import asyncio
import threading
from pathlib import Path

import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.run_traces import StoppedError, _look, _StoppableHistory, keep_run_traces
from nualley.app.site import Site, open_site
from nualley.cli.main import main

TRACE = '\n[trace]\npv = "LAB:TRACE"\nunit = "A"\nsample_period = "10 ns"\n'


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "e"
    assert main(["init", str(folder)]) == 0
    beam, pvs = folder / "beam.toml", folder / "pvs" / "more.toml"
    beam.write_text(beam.read_text() + TRACE)
    pvs.write_text('[pv]\n"LAB:TRACE" = { retention_h = 1 }\n')
    return open_site(folder)


def test_nothing_is_read_once_it_is_to_stop(site: Site) -> None:
    open_archive_writer(site.archive_folder).close()
    history = _StoppableHistory(site.archive())
    history.stopped = threading.Event()
    assert history.read_traces("LAB:TRACE", 0, 10).time_ns.size == 0
    history.stopped.set()
    with pytest.raises(StoppedError, match="stopped"):
        history.read_traces("LAB:TRACE", 0, 10)


def test_before_anything_is_archived_it_waits(site: Site) -> None:
    assert _look(site, None, threading.Event()) is None
    open_archive_writer(site.archive_folder).close()
    assert _look(open_site(site.configuration.directory), None, threading.Event()) is not None


async def test_it_ends_with_the_worker(site: Site) -> None:
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_run_traces(site, stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(keeping, 30)


async def test_without_a_trace_there_is_nothing_to_keep(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    assert main(["init", str(folder)]) == 0
    await asyncio.wait_for(keep_run_traces(open_site(folder), asyncio.Event()), 30)
