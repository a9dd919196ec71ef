"""The demo's repository: the example, told where the IOC is; what a newcomer edits stays."""

from nualley.config import check
from nualley.demo.repository import _set, write_repository


def test_the_example_is_told_where_the_ioc_is(tmp_path):
    configuration = write_repository(tmp_path, addr_list=["127.0.0.1:5099"], port=9001)
    assert configuration.epics.addr_list == ("127.0.0.1:5099",)
    assert not configuration.epics.auto_addr_list
    assert not configuration.epics.pva_auto_addr_list
    assert (configuration.web.port, configuration.ingest.settle_s) == (9001, 2.0)
    assert configuration.experiment.name == "COHERENT demo"
    assert check(tmp_path, {}) == []


def test_a_second_demo_keeps_what_was_edited(tmp_path):
    write_repository(tmp_path, addr_list=["127.0.0.1:5099"], port=9001)
    beam = tmp_path / "beam.toml"
    beam.write_text(beam.read_text().replace('"50 kW"', '"70 kW"'))
    toml = tmp_path / "experiment.toml"
    toml.write_text(toml.read_text().replace('name = "COHERENT demo"', 'name = "Mine"'))
    configuration = write_repository(tmp_path, addr_list=["127.0.0.1:5100"], port=9002)
    assert configuration.beam.beam_on_min_W == 70e3
    assert configuration.experiment.name == "Mine"
    assert (configuration.epics.addr_list, configuration.web.port) == (("127.0.0.1:5100",), 9002)


def test_a_table_that_was_taken_out_is_put_back():
    assert _set("a = 1\n", "web", "port =", 5) == "a = 1\n\n[web]\nport = 5\n"
    assert _set("[web]\n[x]\nport = 1\n", "web", "port =", 5) == "[web]\nport = 5\n[x]\nport = 1\n"
