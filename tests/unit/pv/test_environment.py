"""The environment that Channel Access gets, and the table that it comes from."""

import pytest
from pydantic import ValidationError

from nualley.pv import EpicsSettings, epics_environment

TIMEOUTS = {"EPICS_CA_CONN_TMO": "3", "EPICS_PVA_CONN_TMO": "2", "EPICS_CA_MAX_SEARCH_PERIOD": "60"}


def test_an_empty_table_sets_the_timeouts_only():
    assert epics_environment(EpicsSettings(), {}) == TIMEOUTS


def test_timeouts_that_the_user_set_stay():
    environ = {"EPICS_CA_CONN_TMO": "30", "EPICS_PVA_CONN_TMO": "40", "EPICS_CA_MAX_SEARCH_PERIOD": "300"}
    assert epics_environment(EpicsSettings(), environ) == {}


def test_what_the_table_names_wins_over_the_environment():
    settings = EpicsSettings.model_validate(
        {
            "addr_list": ["10.0.0.1", "10.0.0.2:15064"],
            "auto_addr_list": False,
            "name_servers": ["10.0.0.3"],
            "max_array_bytes": 1_000_000,
            "pva_addr_list": ["10.0.0.4:5076", "10.0.0.5"],
            "pva_auto_addr_list": False,
            "pva_name_servers": ["10.0.0.6:5075"],
        }
    )
    found = epics_environment(settings, {"EPICS_CA_ADDR_LIST": "elsewhere"})
    assert found == {
        **TIMEOUTS,
        "EPICS_CA_ADDR_LIST": "10.0.0.1 10.0.0.2:15064",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_NAME_SERVERS": "10.0.0.3",
        "EPICS_CA_MAX_ARRAY_BYTES": "1000000",
        "EPICS_CA_AUTO_ARRAY_BYTES": "NO",
        "EPICS_PVA_ADDR_LIST": "10.0.0.4:5076 10.0.0.5",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_NAME_SERVERS": "10.0.0.6:5075",
    }


def test_a_table_may_switch_the_search_on_every_network_on():
    assert epics_environment(EpicsSettings(auto_addr_list=True), {})["EPICS_CA_AUTO_ADDR_LIST"] == "YES"


def test_the_environment_writes_lists_as_words():
    assert EpicsSettings.model_validate({"addr_list": "a:1  b"}).addr_list == ("a:1", "b")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"adr_list": []}, "Extra inputs are not permitted"),
        ({"life_s": 5.0}, "less than or equal to 4"),
        ({"life_s": 0.0}, "greater than or equal to 0.2"),
        ({"max_array_bytes": 10}, "greater than or equal to 16384"),
    ],
)
def test_what_cannot_be_is_refused(table, said):
    with pytest.raises(ValidationError, match=said):
        EpicsSettings.model_validate(table)


def test_every_setting_is_described():
    assert all(field.description for field in EpicsSettings.model_fields.values())
