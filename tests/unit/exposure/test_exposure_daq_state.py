"""What a DAQ did, from its PVs."""

import numpy as np
import pytest

from nualley.core import IntervalSet
from nualley.experiment import Beam
from nualley.exposure import DaqSources, daq_sources, read_run_stretches
from nualley.exposure.daq_state import read_daq_state, state_changes
from nualley.exposure.sources import ScaledPv, beam_sources
from nualley.physics import PvRows
from tests.unit.exposure.fakes import STATES, FakeArchive, FakePv, at, detector

DAQ = daq_sources(detector("a"))


def archive(**pvs: FakePv) -> FakeArchive:
    return FakeArchive({name.replace("_", ":"): pv for name, pv in pvs.items()})


def test_runs_from_enum_or_text() -> None:
    enum = FakePv([(0.0, 0), (10.0, 1), (30.0, 2), (35.0, 1), (50.0, 0)], labels=STATES)
    text = FakePv([(t, STATES[int(str(v))]) for t, v in enum.samples])
    for state in (enum, text):
        (run,) = read_run_stretches(archive(a_RUN=FakePv([(5.0, 7.0)]), a_STATE=state), DAQ, at(0), at(100))
        assert (run.number, run.start_ns, run.stop_ns) == (7, at(10), at(50))
        assert run.pauses == IntervalSet.of(at(30), at(35))


def test_runs_of_a_daq_without_pvs() -> None:
    assert read_run_stretches(archive(), DaqSources(), at(0), at(100)) == []
    assert read_run_stretches(archive(), DAQ, at(0), at(100)) == []
    number_only = DaqSources(run="a:RUN")
    (run,) = read_run_stretches(archive(a_RUN=FakePv([(5.0, 7)])), number_only, at(0), at(100))
    assert (run.start_ns, run.stop_ns) == (at(5), None)


def test_an_invalid_state_is_not_believed() -> None:
    state = FakePv([(0.0, 1), (10.0, 0), (20.0, 1)], labels=STATES, severities={10.0: 3})
    pvs = archive(a_RUN=FakePv([(-5.0, 7)]), a_STATE=state)
    (run,) = read_run_stretches(pvs, DAQ, at(0), at(100))
    assert (run.start_ns, run.stop_ns) == (at(0), None)
    assert read_daq_state(pvs, DAQ, at(0), at(100)).dark == IntervalSet.of(at(10), at(20))


def test_an_index_without_a_label_stands_as_its_number() -> None:
    rows = PvRows(np.array([1, 2]), np.array([5.0, -1.0]), np.zeros(2, dtype=np.int8))
    assert state_changes(rows, STATES).value == ["5", "-1"]


def test_a_detector_without_daq_has_no_sources() -> None:
    assert daq_sources(None) == DaqSources()
    nothing = detector("a").model_copy(update={"daq": None})
    assert daq_sources(nothing) == DaqSources()


def test_units_of_the_beam_become_ours() -> None:
    beam = Beam.model_validate(
        {
            "power": {"pv": "P", "unit": "kW"},
            "proton_energy": {"pv": "E", "unit": "GeV"},
            "rate": {"pv": "F", "unit": "Hz"},
            "charge_per_pulse": {"pv": "Q", "unit": "protons"},
            "beam_on_min": "70 kW",
        }
    )
    found = beam_sources(beam)
    assert found.power_W == ScaledPv("P", 1e3)
    assert found.proton_energy_MeV == ScaledPv("E", 1e3)
    assert found.charge_C == ScaledPv("Q", 1.602176634e-19)
    assert found.rate_Hz == ScaledPv("F")
    assert found.beam_on_min_W == 70e3
    least = beam_sources(Beam.model_validate({"power": {"pv": "P", "unit": "W"}}))
    assert (least.proton_energy_MeV, least.rate_Hz, least.charge_C) == (None, None, None)


@pytest.mark.parametrize("number", ["run 7", "inf", 1e300, -1.0, 7.5, 2.0**54])
def test_what_is_no_run_number_is_no_run(number: object) -> None:
    assert read_run_stretches(archive(a_RUN=FakePv([(5.0, number)])), DaqSources(run="a:RUN"), at(0), at(100)) == []
    mixed = FakePv([(5.0, 7), (20.0, number), (30.0, 8)])
    numbers = [run.number for run in read_run_stretches(archive(a_RUN=mixed), DaqSources(run="a:RUN"), at(0), at(100))]
    assert set(numbers) == {7, 8}


def test_a_run_number_may_be_a_text() -> None:
    (run,) = read_run_stretches(archive(a_RUN=FakePv([(5.0, "7")])), DaqSources(run="a:RUN"), at(0), at(100))
    assert run.number == 7
