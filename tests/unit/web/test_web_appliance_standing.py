"""How PVs stand, as an appliance's clients and commands are told: after renames, and where a PV is silent."""

import pytest

from nualley.app.archive import open_archive_writer
from nualley.app.archive_changes import change_archive
from nualley.app.finding import is_found
from nualley.app.site import Site
from nualley.archive import PvPolicy, Verb
from nualley.archive.rules import rule_of
from nualley.config import load
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Life, Sample, ValueType
from tests.unit.web.fakes import FakeClock
from tests.unit.web.test_web_appliance import ask, strict
from tests.web.bench import write_experiment

NOW_NS = parse_time_ns("2026-01-01T00:00:00Z", 0)
IOC = "127.0.0.1:5064"
DISCONNECTED = "/mgmt/bpl/getCurrentlyDisconnectedPVs"


@pytest.fixture
def site(tmp_path):
    return Site(load(write_experiment(tmp_path), {"NUALLEY_STORE": str(tmp_path / "store")}), FakeClock(NOW_NS))


def hear(emit, pv, value, time_ns):
    emit(Connection(pv, True, IOC, time_ns, time_ns, "ca"))
    emit(Sample(pv, time_ns, value, ValueType.FLOAT64, 0, 0, "ca", time_ns))
    emit(Life(IOC, time_ns))


@pytest.mark.parametrize("back", ["rename", "remove and add"])
async def test_a_pv_that_got_its_name_back_is_found_and_connected(site, back):
    policy = PvPolicy().model_dump(mode="json", exclude_unset=True)
    change_archive(site, Verb.ADD, "T:SLOW", policy=policy)
    site.clock.time_ns += SECOND_NS
    change_archive(site, Verb.RENAME, "T:SLOW", name="T:SLOWER")
    site.clock.time_ns += SECOND_NS
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    hear(writer.recorder.receive, "T:SLOWER", 1.0, site.clock.time_ns)
    writer.recorder.pause("T:SLOWER")
    writer.close()
    site.clock.time_ns += SECOND_NS
    if back == "rename":
        change_archive(site, Verb.RENAME, "T:SLOWER", name="T:SLOW")
    else:
        change_archive(site, Verb.REMOVE, "T:SLOWER")
        change_archive(site, Verb.ADD, "T:SLOW", policy=policy)
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    hear(writer.recorder.receive, "T:SLOW", 2.0, site.clock.time_ns)
    writer.close()
    (last,) = site.last_values(["T:SLOW"])
    assert (last.pv, last.value, last.state) == ("T:SLOW", 2.0, "connected")
    (status,) = strict(await ask(site, "/mgmt/bpl/getPVStatus?pv=T:SLOW"))
    assert (status["status"], status["connectionState"]) == ("Being archived", "true")
    assert is_found(site, "T:SLOW", sleep=lambda _: pytest.fail("it is there"))


async def test_a_silent_pv_whose_ioc_lives_is_not_among_the_disconnected_ones(site):
    for pv in ("T:PER", "T:LOST"):
        change_archive(site, Verb.ADD, pv, policy={"periodic_s": 2})
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    recorder = writer.recorder
    for pv in ("T:PER", "T:LOST"):
        recorder.rule(pv, rule_of(PvPolicy(periodic_s=2)))
        hear(recorder.receive, pv, 1.0, site.clock.time_ns)
    site.clock.time_ns += 8 * SECOND_NS
    recorder.receive(Connection("T:LOST", False, IOC, site.clock.time_ns, NOW_NS, "ca"))
    recorder.receive(Life(IOC, site.clock.time_ns))
    recorder.tick()
    writer.close()
    (last,) = site.last_values(["T:PER"])
    assert last.state == "stale"
    assert [row["pvName"] for row in strict(await ask(site, DISCONNECTED))] == ["T:LOST"]
    states = strict(await ask(site, "/mgmt/bpl/getPVStatus?pv=T:PER,T:LOST"))
    assert [row["connectionState"] for row in states] == ["true", "false"]
    site.clock.time_ns += 11 * SECOND_NS  # nobody writes any more, so nobody knows
    assert {row["pvName"] for row in strict(await ask(site, DISCONNECTED))} == {"T:PER", "T:LOST"}


async def test_a_pv_whose_last_sample_was_quarantined_is_connected_and_says_why(site):
    change_archive(site, Verb.ADD, "T:BAD", policy={})
    writer = open_archive_writer(site.archive_folder, clock=site.clock)
    emit = writer.recorder.receive
    hear(emit, "T:BAD", 1.0, site.clock.time_ns)
    site.clock.time_ns += SECOND_NS
    emit(Sample("T:BAD", NOW_NS - SECOND_NS, 2.0, ValueType.FLOAT64, 0, 0, "ca", site.clock.time_ns))
    emit(Life(IOC, site.clock.time_ns))
    writer.close()
    (last,) = site.last_values(["T:BAD"])
    assert (last.state, last.reason, last.standing) == ("quarantined", "backward", "quarantined (backward)")
    assert strict(await ask(site, DISCONNECTED)) == []
    (status,) = strict(await ask(site, "/mgmt/bpl/getPVStatus?pv=T:BAD"))
    assert (status["connectionState"], status["lastEventQuarantined"]) == ("true", "backward")
    rows = {row["name"]: row["value"] for row in strict(await ask(site, "/mgmt/bpl/getPVDetails?pv=T:BAD"))}
    assert rows["Is this PV currently connected?"] == "yes"
    assert rows["Why is what came last quarantined?"] == "backward"
    assert is_found(site, "T:BAD", sleep=lambda _: pytest.fail("it is there"))
