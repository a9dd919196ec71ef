"""The miniature alley is physics, repeatable, and goes wrong where it should."""

import math
from itertools import chain, pairwise

import numpy as np
import pytest

from nualley.demo.scenarios import ACTIONS, TRUNCATING, Action, Scenario, Trip, due_actions
from nualley.demo.world import PULSE_FWHM_NS, World

TIMES = np.linspace(0, 200_000, 5001)


@pytest.fixture
def world(seed):
    return World(seed)


def test_same_seed_same_world_and_another_seed_another(seed):
    assert World(seed).state(123.4) == World(seed).state(123.4)
    assert World(seed).state(123.4) != World(seed + 1).state(123.4)
    np.testing.assert_array_equal(World(seed).trace_A(5.0), World(seed).trace_A(5.0))


def test_everything_stays_in_its_range(world):
    for time_s in TIMES:
        state = world.state(float(time_s))
        assert 0 <= state.power_MW < 1.5
        assert 940 <= state.energy_MeV <= 1010
        assert state.rate_Hz in (0.0, 60.0)
        assert (state.rate_Hz == 0) == (state.power_MW == 0) == (state.charge_uC == 0)
        assert 0 < state.radiation_uSv_h < 3
        assert 70 < state.level_percent < 100
        assert all(86 < value < 88.5 for value in state.temperatures_K)
        assert all(0.95 < value < 1.2 for value in state.pressures_bar)


def test_the_energy_drifts_within_a_run(world):
    energies = [world.state(float(time_s)).energy_MeV for time_s in range(600)]
    assert max(energies) - min(energies) > 50
    assert max(abs(a - b) for a, b in zip(energies, energies[10:], strict=False)) > 1


def test_charge_energy_rate_and_power_agree_to_half_a_percent(world):
    for time_s in range(300):
        state = world.state(float(time_s))
        power_MW = state.charge_uC * 1e-6 * state.rate_Hz * state.energy_MeV
        assert math.isclose(power_MW, state.power_MW, rel_tol=0.005)


def test_1_4_MW_at_60_Hz_and_1_GeV_is_23_3_uC(world):
    state = world.state(10.0)
    scaled = state.charge_uC * (1.4 / state.power_MW) * (state.energy_MeV / 1000)
    assert scaled == pytest.approx(23.33, rel=0.002)


def test_the_beam_is_on_for_the_first_five_minutes(world):
    assert all(world.power_MW(time_s / 4) > 1.3 for time_s in range(1200))


def test_radiation_follows_the_beam(world):
    states = [world.state(float(time_s)) for time_s in TIMES]
    power = np.array([state.power_MW for state in states])
    dose = np.array([state.radiation_uSv_h for state in states])
    assert (power == 0).any()
    assert np.corrcoef(power, dose)[0, 1] > 0.98
    assert dose[power == 0].max() < 0.2


def test_there_are_trips_with_ramps_and_maintenance_every_day(world):
    power = np.array([world.power_MW(float(time_s)) for time_s in range(300, 40_000, 2)])
    assert 0.0 < (power == 0).mean() < 0.3
    assert ((power > 0.01) & (power < 1.3)).any()
    assert world.power_MW(75_000.0) == 0
    assert world.power_MW(75_000.0 + 86_400) == 0


def test_a_planned_trip_takes_the_beam_and_gives_it_back_slowly():
    world = World(1, Scenario.BEAM_TRIP)
    assert world.power_MW(24.9) > 1.3
    assert world.power_MW(25.0) == world.power_MW(28.9) == 0
    assert 0.3 < world.power_MW(30.0) < 1.1
    assert world.power_MW(31.1) > 1.3
    assert Trip(1.0, 2.0, 4.0).factor(3.0) == 0.25


def test_the_trace_is_a_bell_of_380_ns_that_holds_the_charge_of_a_pulse(world):
    trace_A = world.trace_A(20.0)
    assert (trace_A.dtype, trace_A.shape) == (np.float32, (2000,))
    assert trace_A.sum() * 1e-3 == pytest.approx(world.state(20.0).charge_uC, rel=0.005)  # A * ns = 1e-3 uC
    above = np.flatnonzero(trace_A > trace_A.max() / 2)
    assert above[-1] - above[0] == pytest.approx(PULSE_FWHM_NS, abs=15)
    assert abs(World(1, Scenario.BEAM_TRIP).trace_A(27.0)).max() < 1.0


def test_scenarios_act_once_and_in_order():
    assert due_actions(Scenario.NONE, 0, 100) == []
    assert due_actions(Scenario.HUNG_IOC, 0, 100) == [Action.FREEZE_IOC, Action.THAW_IOC]
    edges = np.arange(0, 30, 0.5)
    killed = [due_actions(Scenario.KILLED_IOC, a, b) for a, b in pairwise(edges)]
    assert list(chain(*killed)) == [Action.KILL_IOC, Action.START_IOC]


@pytest.mark.parametrize("scenario", [Scenario.HUNG_IOC, Scenario.EVERYTHING])
def test_a_planned_hang_is_long_enough_to_be_noticed(scenario):
    (frozen_s, _), (thawed_s, _) = ACTIONS[scenario][:2]
    assert thawed_s - frozen_s >= 10


def test_in_everything_there_is_each_of_the_others():
    for scenario in (Scenario.HUNG_IOC, Scenario.KILLED_IOC):
        assert {action for _, action in ACTIONS[scenario]} <= {action for _, action in ACTIONS[Scenario.EVERYTHING]}
    times_s = [at_s for at_s, _ in ACTIONS[Scenario.EVERYTHING]]
    assert times_s == sorted(times_s)
    assert World(1, Scenario.EVERYTHING).power_MW(62.0) == 0
    assert {Scenario.TRUNCATED_FILE, Scenario.EVERYTHING} == TRUNCATING
