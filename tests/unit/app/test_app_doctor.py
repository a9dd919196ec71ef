"""What the doctor says of the processes of a store."""

import os

import pytest

from nualley.app import doctor
from nualley.app.doctor import site_checks
from nualley.app.locks import hold_role
from nualley.app.site import Site
from nualley.config import load, write_template
from nualley.core import CheckState, ConfigurationError


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
