"""Looking at a site, part by part."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from nualley.catalog import Totals
from nualley.core import SECOND_NS
from nualley.web.observer import Observer, runs_seen
from tests.unit.web.fakes import (
    NOW_NS,
    FakeCatalog,
    FakeExposures,
    FakeSite,
    missing_archive,
    run_of,
)


@asynccontextmanager
async def observing(site: FakeSite) -> AsyncIterator[Observer]:
    observer = Observer(site)
    tasks = [asyncio.create_task(work) for work in observer.tasks()]
    try:
        yield observer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        observer.stop()


async def test_every_part_is_looked_at(site: FakeSite) -> None:
    async with observing(site) as observer:
        await observer.first_looks(5)
        seen = observer.seen()
    assert seen.archive.value is not None
    assert seen.archive.value.ledger.received == 1000
    assert seen.today.value is not None
    assert seen.runs.value is not None
    assert seen.drives.value == ()
    assert seen.exposures.value == {}
    power = observer.power().value
    assert power is not None
    assert power.power_W[0] == 1.4e6


async def test_a_part_that_fails_says_why_and_the_others_go_on(site: FakeSite) -> None:
    site.archive_part = missing_archive()
    site.drives_part = OSError("disk on fire")
    async with observing(site) as observer:
        await observer.first_looks(5)
        seen = observer.seen()
    assert seen.archive.failure is not None
    assert seen.archive.failure.what == "nothing was archived yet (store/archive)"
    assert seen.archive.failure.do == "nualley up archive"
    assert seen.drives.failure is not None
    assert seen.drives.failure.what == "disk on fire"
    assert seen.runs.failure is None
    assert seen.archive.busy_since_ns is None


async def test_a_drive_that_hangs_holds_up_nothing_else(site: FakeSite, monkeypatch: object) -> None:
    gate = threading.Event()

    def hang() -> list[object]:
        gate.wait(30)
        return []

    site.drive_usages = hang  # type: ignore[assignment,method-assign]
    async with observing(site) as observer:
        await observer.first_looks(0.3)
        seen = observer.seen()
        trouble = seen.drives.trouble(NOW_NS + 60 * SECOND_NS)
        gate.set()
    assert seen.archive.value is not None
    assert seen.drives.value is None
    assert trouble is not None
    assert trouble.what == "no answer for 1 min"


async def test_what_was_seen_stays_when_a_look_fails(site: FakeSite) -> None:
    async with observing(site) as observer:
        await observer.first_looks(5)
        site.archive_part = OSError("gone")
        look = next(look for look in observer._looks if look.part == "archive")
        await observer._look(look)
        seen = observer.seen()
    assert seen.archive.value is not None
    assert seen.archive.failure is not None


async def test_the_exposure_of_a_run_that_is_over_is_computed_once(site: FakeSite) -> None:
    settled, fresh = run_of(1), run_of(2, stop_ns=NOW_NS - 10 * SECOND_NS)
    site.catalog_part = FakeCatalog([settled, fresh])
    exposures = FakeExposures()
    site.exposures_part = exposures
    observer = Observer(site)
    looks = {look.part: look for look in observer._looks}
    await observer._look(looks["runs"])
    await observer._look(looks["exposures"])
    assert exposures.n_asked == 2
    await observer._look(looks["exposures"])
    assert exposures.n_asked == 3
    # its times were corrected: it is another interval
    site.catalog_part = FakeCatalog([replace(settled, stop_ns=(settled.stop_ns or 0) - SECOND_NS), fresh])
    await observer._look(looks["runs"])
    await observer._look(looks["exposures"])
    assert exposures.n_asked == 5
    observer.stop()


# ---------------------------------------------------------------- which runs
def test_the_last_runs_are_the_newest() -> None:
    runs = [run_of(number, stop_ns=NOW_NS - (100 - number) * 1000 * SECOND_NS) for number in range(30)]
    unknown = replace(run_of(77), start_ns=None, stop_ns=None, created_ns=NOW_NS)
    seen = runs_seen([*runs, unknown], {}, n_runs=3)
    assert [run.number for run in seen.last] == [77, 29, 28]
    assert seen.n_runs == 31


def test_a_rate_needs_times_and_events() -> None:
    old, empty, timeless = run_of(1), run_of(2, stop_ns=NOW_NS), replace(run_of(3), start_ns=None, stop_ns=None)
    totals = {run.run_id: Totals(n_events=n) for run, n in ((old, 500), (empty, 0), (timeless, 900))}
    seen = runs_seen([old, empty, timeless], totals, n_runs=1)
    assert seen.newest_counted == {"cenns-10": old}
    assert seen.events_of == {"cenns-10-1": 500}


def test_a_run_without_counts_has_none() -> None:
    seen = runs_seen([run_of(1)], {})
    assert seen.totals == {}
    assert seen.newest_counted == {}
