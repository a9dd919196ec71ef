"""The IOC fixture itself: what goes wrong in it is said, and two of them do not hear each other."""

from dataclasses import astuple
from pathlib import Path

import pytest

from nualley.pv import Connection, Sample
from nualley.testing.ioc import EpicsPorts, Ioc, Record, without_epics
from nualley.testing.listener import Listener
from nualley.testing.processes import ChildError

pytestmark = [pytest.mark.real_ioc, pytest.mark.enable_socket]


def test_ports_differ():
    ports = EpicsPorts.free()
    assert len({ports.ca, ports.repeater, ports.pva, ports.pva_broadcast}) == 4


def test_ports_are_none_that_the_kernel_gives_to_whoever_asks_before_the_ioc_has_them():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(max(astuple(EpicsPorts.free())) for _ in range(20)) < max(first, 32_768)


def test_nobody_elses_epics_settings_reach_a_child():
    assert without_epics({"EPICS_CA_ADDR_LIST": "elsewhere", "HOME": "/"}) == {"HOME": "/"}


@pytest.mark.parametrize("implementation", ["softioc", "caproto"])
def test_what_the_ioc_refuses_is_said(implementation):
    with Ioc([Record("T:A", "float")], implementation=implementation) as ioc:
        with pytest.raises(ChildError, match=r"was expected to answer .*'T:NO'.*: KeyError\('T:NO'\)"):
            ioc.set("T:NO", 1.0)
        ioc.set("T:A", 2.0)


def test_an_ioc_that_cannot_start_is_said_with_its_last_words():
    ioc = Ioc([Record("T:A", "float", fields={"NOFIELD": 1})])
    with pytest.raises(ChildError, match=r"it ended with status 1\n(?s:.*)NOFIELD"):
        ioc.start()


def test_an_ioc_that_does_not_answer_is_said():
    with Ioc([Record("T:A", "float")]) as ioc:
        ioc.freeze()
        with pytest.raises(ChildError, match=r"it says nothing for 0\.2 s"):
            ioc._running.call(limit_s=0.2, do="set", pv="T:A", value=1.0, time_ns=None)


def test_two_iocs_with_the_same_pv_do_not_hear_each_other():
    with Ioc([Record("T:A", "float", 1.0)]) as one, Ioc([Record("T:A", "float", 2.0)]) as two:
        for ioc, value in ((one, 1.0), (two, 2.0)):
            with Listener(ioc.settings(), ["T:A"], environ=ioc.environment) as listener:
                assert listener.wait_for(Sample, "T:A").value == value
                assert listener.wait_for(Connection, "T:A").ioc == ioc.address


def test_an_ioc_that_was_not_started_is_said():
    with pytest.raises(ChildError, match="the IOC does not run") as caught:
        Ioc([Record("T:A", "float")]).set("T:A", 1.0)
    assert caught.value.do == "start it first: Ioc.start()"
