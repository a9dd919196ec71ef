"""What the doctor says of the processes of a store."""

import os
import shutil
import time

import pytest

from nualley.app import doctor
from nualley.app.archive import open_archive_writer
from nualley.app.doctor import site_checks
from nualley.app.locks import hold_role
from nualley.app.site import Site
from nualley.config import load, write_template
from nualley.core import CheckState, ConfigurationError
from nualley.pv import Connection, Sample, ValueType


@pytest.fixture
def site(tmp_path) -> Site:
    write_template(tmp_path / "experiment")
    return Site(load(tmp_path / "experiment", {}))


def of_web(site: Site):
    return next(result for result in dict(site_checks(site))["processes"]() if result.name == "process.web")


def test_a_process_runs_ended_or_could_not_go_on(site):
    store = site.configuration.store
    assert (of_web(site).state, of_web(site).detail) == (CheckState.WARNING, "does not run")
    with hold_role(store, "web") as held:
        held.note_address("http://127.0.0.1:9/")
        assert of_web(site).state is CheckState.OK
        assert f"process {os.getpid()} on" in of_web(site).detail
        assert of_web(site).detail.endswith(" at http://127.0.0.1:9/")
    with pytest.raises(ConfigurationError), hold_role(store, "web"):
        raise ConfigurationError("port 9 is taken", do="choose another")
    found = of_web(site)
    assert (found.state, found.detail) == (CheckState.FAILED, "could not go on: port 9 is taken")
    assert found.do == "choose another; then: nualley up web"


def test_a_check_that_this_account_may_not_make_is_told_and_the_others_go_on(site, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "_store", refuse)
    found = {result.name: result for result in doctor.examine_site(site)}
    assert (found["store"].state, found["store"].detail) == (
        CheckState.FAILED,
        "this account cannot look: Permission denied",
    )
    assert found["catalog"].state is CheckState.OK


def test_pvs_that_are_not_connected_are_told_while_the_archive_listens(tmp_path, site):
    text = "[pv]\n" + "".join(f'"{pv}" = {{}}\n' for pv in ("P", *(f"L{number}" for number in range(7))))
    (tmp_path / "experiment" / "pvs" / "lab.toml").write_text(text)
    site = Site(load(tmp_path / "experiment", {}))

    def say(pv: str, *, is_connected: bool) -> None:
        now_ns = time.time_ns()
        writer.recorder.receive(
            Connection(pv, is_connected, "127.0.0.1:5064", now_ns, now_ns if is_connected else 0, "ca")
        )
        if is_connected:
            writer.recorder.receive(Sample(pv, now_ns, 1.0, ValueType.FLOAT64, 0, 0, "ca", now_ns))
        writer.recorder.commit()

    check = dict(site_checks(site))["archive.pvs"]
    assert check() == []
    writer = open_archive_writer(site.archive_folder)
    say("P", is_connected=True)
    assert check() == [], "nobody listens"
    with hold_role(site.configuration.store, "archive"):
        assert [(found.state, found.detail) for found in check()] == [(CheckState.OK, "all 1 are connected")]
        for number in range(7):
            say(f"L{number}", is_connected=False)
        (found,) = check()
    writer.log.close()
    assert found.state is CheckState.WARNING
    assert found.detail.startswith("7 of 8 are not connected: L0 never-connected, L1 never-connected, ")
    assert found.detail.endswith(" and 2 more")


def test_room_for_the_store_is_what_an_account_may_fill(site, monkeypatch):
    site.configuration.store.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr("nualley.app.doctor.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1000, 240, 60))
    (found,) = dict(site_checks(site))["store"]()
    assert found.detail.endswith("20.0% free")
