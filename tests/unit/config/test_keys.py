"""Which keys a model knows at a place."""

from nualley.config.keys import models_at, valid_keys
from nualley.experiment import Detector
from nualley.storage import StorageSettings


def test_keys_are_those_of_the_file() -> None:
    assert "distance" in valid_keys(Detector, ())
    assert "distance_m" not in valid_keys(Detector, ())


def test_keys_inside_optional_tables_and_dated_values() -> None:
    assert valid_keys(Detector, ("daq", "pvs")) == ("run", "state", "live_fraction")
    assert set(valid_keys(Detector, ("target", "mass", "entries", 0))) == {"from", "to", "source", "note", "value"}


def test_keys_inside_free_tables_and_lists() -> None:
    assert "role" in valid_keys(StorageSettings, ("drives", "data1"))
    assert valid_keys(StorageSettings, ("drop", 0)) == ("path", "detector", "purge")


def test_an_unknown_place_stays_where_it_is() -> None:
    assert models_at(Detector, ("nothing",)) == (Detector,)
