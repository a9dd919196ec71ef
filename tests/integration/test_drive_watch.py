"""The worker's rhythms on a real experiment: notes, scans that are due, and the stop in the middle of one."""

import asyncio
from pathlib import Path

import pytest

from nualley.app.drive_watch import DriveWatch
from nualley.app.site import Site
from nualley.app.usage import list_scans
from nualley.config import load, write_template
from nualley.core import DAY_NS, Clock, SystemClock
from nualley.storage.adapters.fill_files import FillFolder


class LaterClock:
    """The machine's clock, some time ahead."""

    def __init__(self, ahead_ns: int = 0) -> None:
        self.ahead_ns = ahead_ns

    def now_ns(self) -> int:
        return SystemClock().now_ns() + self.ahead_ns


def site_in(folder: Path, clock: Clock, settings: str = "") -> Site:
    if not folder.exists():
        write_template(folder)
        (folder / "drives" / "data1").mkdir(parents=True, exist_ok=True)
        with (folder / "drives.toml").open("a") as file:
            file.write(f"\n[scan]\n{settings}\n")
    return Site(load(folder, {}), clock)


def scans(site: Site) -> list[str]:
    return sorted(path.name for path in (site.configuration.store / "scans" / "data1").glob("*.parquet"))


async def test_a_drive_is_scanned_when_its_scan_is_old_enough(tmp_path: Path) -> None:
    clock = LaterClock()
    site = site_in(tmp_path / "experiment", clock)
    await DriveWatch(site).scan()
    assert len(scans(site)) == 1
    await DriveWatch(site).scan()  # also after a restart
    assert len(scans(site)) == 1
    clock.ahead_ns = 8 * DAY_NS
    watch = DriveWatch(site)
    await watch.scan()
    assert len(scans(site)) == 2
    await watch.scan()
    assert len(scans(site)) == 2


async def test_no_scans_where_none_are_wanted(tmp_path: Path) -> None:
    site = site_in(tmp_path / "experiment", SystemClock(), 'every = "0s"')
    await DriveWatch(site).scan()
    assert scans(site) == []


async def test_what_failed_is_not_tried_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LaterClock()
    site = site_in(tmp_path / "experiment", clock)
    site.configuration.store.mkdir(exist_ok=True)
    (site.configuration.store / "scans").write_text("in the way")
    watch = DriveWatch(site)
    tried: list[int] = []
    real = watch._scan

    async def scan(due):  # type: ignore[no-untyped-def]
        tried.append(len(due))
        await real(due)

    monkeypatch.setattr(watch, "_scan", scan)
    await watch.scan()
    await watch.scan()
    assert tried == [1]
    clock.ahead_ns = DAY_NS
    await watch.scan()
    assert tried == [1, 1]


async def test_how_full_drives_are_is_noted(tmp_path: Path) -> None:
    site = site_in(tmp_path / "experiment", SystemClock())
    await DriveWatch(site).note()
    (day,) = FillFolder(site.configuration.store / "fill").days()
    (usage,) = site.drive_usages()
    assert (day.drive, day.capacity_B) == ("data1", day.used_B + day.available_B)
    assert abs(day.used_B - usage.used_B) < 10**9


async def test_it_stops_at_once_in_the_middle_of_a_scan(tmp_path: Path) -> None:
    site = site_in(tmp_path / "experiment", SystemClock())
    watch, stop = DriveWatch(site, settle_s=0.0), asyncio.Event()
    is_looking = asyncio.Event()

    async def endless() -> None:
        is_looking.set()
        await asyncio.Event().wait()

    watch.scan = endless  # type: ignore[method-assign]  # a scan of a huge drive
    running = asyncio.create_task(watch.run(stop))
    await is_looking.wait()
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_look_that_fails_does_not_end_the_next(tmp_path: Path) -> None:
    site = site_in(tmp_path / "experiment", SystemClock(), 'fill = "1ms"')
    watch, stop = DriveWatch(site), asyncio.Event()
    n_looks = 0

    async def failing() -> None:
        nonlocal n_looks
        n_looks += 1
        if n_looks == 3:
            stop.set()
        raise OSError(5, "Input/output error")

    watch.note = failing  # type: ignore[method-assign]  # a drive that fails
    await asyncio.wait_for(watch.run(stop), 10)
    assert n_looks == 3


async def test_quick_looks_follow_the_full_scan(tmp_path: Path) -> None:
    site = site_in(tmp_path / "experiment", SystemClock())
    watch = DriveWatch(site)
    await watch.look_quickly()  # without a scan there is nothing to begin with
    await watch.scan()
    (site.configuration.directory / "drives" / "data1" / "new").write_bytes(b"x" * 100)
    await watch.look_quickly()
    (record,) = list_scans(site)
    assert record.quick is not None
    assert record.quick["size_B"] == record.told["size_B"] + 100
