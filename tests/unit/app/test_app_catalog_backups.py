"""The worker's backups: made when due, told when they fail; and what doctor says of them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nualley.app.backup import back_up_when_due, drill_backup
from nualley.app.doctor import examine_site
from nualley.app.site import Site
from nualley.app.worker import BACKUP_LOOK_NS, Worker
from nualley.catalog.adapters.backup_folder import list_backups
from nualley.config import load, write_template
from nualley.core import DAY_NS, CheckState
from tests.unit.catalog.records import NOW_NS, make_run


class Clock:
    """A clock that stands still until it is told."""

    time_ns = NOW_NS

    def now_ns(self) -> int:
        return self.time_ns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "backups"
    path.mkdir()
    return path


@pytest.fixture
def site(tmp_path: Path, folder: Path) -> Site:
    write_template(tmp_path / "experiment")
    environ = {"NUALLEY_CATALOG__BACKUP_FOLDER": str(folder), "NUALLEY_CATALOG__BACKUP_KEEP": "2"}
    site = Site(load(tmp_path / "experiment", environ), Clock())
    site.catalog().register_run(make_run())
    return site


def test_one_a_day_and_the_last_two_stay(site: Site, folder: Path) -> None:
    made = []
    for hours in range(0, 24 * 4, 8):
        site.clock.time_ns = NOW_NS + hours * DAY_NS // 24
        made.append(back_up_when_due(site) is not None)
    assert made == [True, False, False] * 4
    assert [backup.time_ns for backup in list_backups(folder)] == [NOW_NS + 2 * DAY_NS, NOW_NS + 3 * DAY_NS]


def test_the_worker_backs_up_and_goes_on_where_it_cannot(site: Site, folder: Path) -> None:
    worker = Worker(site)
    folder.rmdir()
    with capture_logs() as logs:
        asyncio.run(worker._back_up())
        asyncio.run(worker._back_up())  # not again at every look
    assert [(log["event"], log["log_level"]) for log in logs] == [("NO BACKUP OF THE CATALOG", "error")]
    assert "there is no folder" in logs[0]["what"]
    folder.mkdir()
    site.clock.time_ns += BACKUP_LOOK_NS
    with capture_logs() as logs:
        asyncio.run(worker._back_up())
    assert [log["event"] for log in logs] == ["catalog backed up"]
    assert len(list_backups(folder)) == 1


async def test_a_worker_that_runs_makes_one(site: Site, folder: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Worker(site).run(stop))
    async with asyncio.timeout(60):
        while not list_backups(folder):
            await asyncio.to_thread(list_backups, folder)
    stop.set()
    await running


def test_doctor_tells_of_backups_and_drills(site: Site) -> None:
    def states() -> dict[str, CheckState]:
        return {found.name: found.state for found in examine_site(site) if found.name.startswith("catalog.")}

    assert states() == {"catalog.backup": CheckState.WARNING, "catalog.drill": CheckState.WARNING}
    back_up_when_due(site)
    drill_backup(site)
    assert states() == {"catalog.backup": CheckState.OK, "catalog.drill": CheckState.OK}
    site.configuration = replace(
        site.configuration, catalog=site.configuration.catalog.model_copy(update={"backup_folder": None})
    )
    assert states() == {"catalog.backup": CheckState.UNKNOWN}
