"""The experiment itself: time zone and store."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nualley.experiment import Experiment, models


def test_defaults() -> None:
    experiment = Experiment.model_validate({"name": "X"})
    assert (experiment.time_zone, experiment.store) == ("UTC", Path("store"))


def known_zones(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(models, "available_timezones", lambda: set(names))


def test_a_wrong_zone_gets_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    known_zones(monkeypatch, "UTC", "America/New_York")
    with pytest.raises(ValidationError, match="did you mean 'America/New_York'"):
        Experiment.model_validate({"name": "X", "time_zone": "America/NewYork"})


@pytest.mark.parametrize("zone", ["../etc/passwd", "/etc/passwd", "", "EST5EDT7"])
def test_what_is_no_zone_is_refused(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known_zones(monkeypatch, "UTC")
    with pytest.raises(ValidationError, match="is not a time zone"):
        Experiment.model_validate({"name": "X", "time_zone": zone})


def test_a_machine_without_zones_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    known_zones(monkeypatch)
    assert Experiment.model_validate({"name": "X", "time_zone": "Nowhere/Land"}).time_zone == "Nowhere/Land"
