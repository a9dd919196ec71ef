"""Exposure against brute force on a grid of nanoseconds, additivity to the bit, and the ledger's balance."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nualley.core import Interval, IntervalSet
from nualley.experiment import Beam
from nualley.exposure import Exposures
from nualley.exposure.integral import BeamHistory, Sums, integrate, segments
from nualley.physics import History, LinkChange, PvRows, history_from_rows, proton_rate
from tests.unit.exposure.fakes import FakeClock, FakeRun, FakeRuns, detector

END = 40
KINDS = ("disconnect", "reconnect", "pause", "gap")
MIN_W = 1e5

times = st.integers(-5, END + 5)
powers = st.sampled_from([0.0, 9.9e4, 1e5, 1.4e6, 1.0, float("nan"), float("inf"), -3.0])
energies = st.sampled_from([940.0, 1000.0, 1010.3, 0.0, float("nan")])
rates = st.sampled_from([60.0, 59.9, 0.0, -1.0, float("nan")])
charges = st.sampled_from([2.3e-5, 2.4e-5, float("nan")])
lives = st.sampled_from([0.0, 0.3, 1.0, 1.0000001, 1.5, -0.1, float("nan")])


@st.composite
def archived(draw: st.DrawFn, values: st.SearchStrategy[float]) -> PvRows:
    samples = sorted(
        draw(st.lists(st.tuples(times, values, st.sampled_from([0, 0, 2, 3])), max_size=8)), key=lambda s: s[0]
    )
    noticed = sorted(draw(st.lists(st.tuples(times, st.sampled_from(KINDS), st.integers(0, 6)), max_size=5)))
    return PvRows(
        np.array([t for t, _, _ in samples], dtype=np.int64),
        np.array([v for _, v, _ in samples], dtype=np.float64),
        np.array([s for _, _, s in samples], dtype=np.int8),
        tuple(LinkChange(t, kind, t - behind) for t, kind, behind in noticed),  # type: ignore[arg-type]
    )


def value_at(rows: PvRows, alive: int, time: int) -> float:
    """The rule of knowledge, word by word, for one nanosecond; NaN: not known."""
    if time >= alive:
        return float("nan")
    is_dark = bool(rows.links) and rows.links[0].kind == "reconnect" and time < rows.links[0].time_ns
    for index, link in enumerate(rows.links):
        if link.kind == "reconnect":
            continue
        begins = link.time_ns if link.kind == "pause" else link.last_heard_ns
        ends = next((later.time_ns for later in rows.links[index:] if later.kind == "reconnect"), 10**9)
        is_dark |= begins is not None and begins <= time < ends
    held = [i for i, t in enumerate(rows.time_ns) if t <= time]
    if is_dark or not held or rows.severity[held[-1]] >= 3 or not np.isfinite(rows.value[held[-1]]):
        return float("nan")
    return float(rows.value[held[-1]])


intervals = st.lists(st.tuples(st.integers(0, END), st.integers(0, END)), max_size=4).map(
    lambda pairs: IntervalSet(Interval(min(pair), max(pair)) for pair in pairs)
)
beams = st.tuples(archived(powers), archived(energies), archived(rates), archived(charges), archived(lives))


def steps_of(rows: PvRows, alive: int) -> History:
    return history_from_rows(rows, alive_until_ns=alive, start_ns=0, stop_ns=END)


def brute_force(beam: tuple[PvRows, ...], alive: int, within: IntervalSet, pauses: IntervalSet) -> Sums:
    total = Sums()
    for time in (t for part in within for t in range(part.start_ns, part.stop_ns)):
        power, energy, rate, charge, live = (value_at(rows, alive, time) for rows in beam)
        is_known = not (np.isnan(power) or np.isnan(energy))
        would_be_on = is_known and power >= MIN_W
        is_on = would_be_on and energy > 0
        pot = Fraction(proton_rate(power, energy)) if is_on else Fraction(0)
        has_rate = is_on and rate >= 0
        has_charge = has_rate and not np.isnan(charge)
        is_counted = not any(time in pause for pause in pauses)
        has_live = 0 <= live <= 1 + 1e-6
        total += Sums(
            duration_ns=1,
            beam_on_ns=int(is_on),
            unknown_ns=int(not is_known or (would_be_on and not is_on)),
            pot=pot,
            energy=Fraction(power) if is_on else Fraction(0),
            pulses=Fraction(rate) if has_rate else Fraction(0),
            rate_unknown_ns=int(is_on and not has_rate),
            pot_charge=Fraction(charge / 1.602176634e-19 * rate) if has_charge else Fraction(0),
            pot_beside_charge=pot if has_charge else Fraction(0),
            charge_unknown_ns=int(is_on and not has_charge),
            counted_ns=int(is_counted),
            live_unknown_ns=int(is_counted and not has_live),
            live=Fraction(min(live, 1.0)) if is_counted and has_live else Fraction(0),
            pot_live=Fraction(min(live, 1.0) * float(pot)) if is_counted and has_live else Fraction(0),
            pot_live_unknown=pot if is_counted and not has_live else Fraction(0),
        )
    return total


@given(beams, st.integers(-3, END + 10), intervals, intervals)
def test_integrals_agree_with_counting_nanoseconds(
    beam: tuple[PvRows, ...], alive: int, within: IntervalSet, pauses: IntervalSet
) -> None:
    *steps, live = (steps_of(rows, alive) for rows in beam)
    found = integrate(segments(BeamHistory(*steps), MIN_W, live), within, pauses)
    assert found == brute_force(beam, alive, within, pauses)  # exact, not approximate


@given(
    beams,
    st.integers(-3, END + 10),
    st.lists(st.integers(0, END), min_size=3, max_size=3, unique=True),
)
def test_parts_add_up_to_the_whole_to_the_bit(beam: tuple[PvRows, ...], alive: int, cuts: list[int]) -> None:
    a, b, c = sorted(cuts)
    *steps, live = (steps_of(rows, alive) for rows in beam)

    def over(start: int, stop: int) -> Sums:
        window = BeamHistory(*(history.between(start, stop) for history in steps))
        return integrate(segments(window, MIN_W, live.between(start, stop)), IntervalSet.of(start, stop))

    assert over(a, b) + over(b, c) == over(a, c)


class Archive:
    """The port PvHistory over rows."""

    def __init__(self, pvs: dict[str, PvRows], alive: int) -> None:
        self.pvs = pvs
        self.alive = alive

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        return self.pvs[pv]

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> None:
        raise NotImplementedError

    def read_trace_minutes(self, pv: str, start_ns: int, stop_ns: int) -> None:
        raise NotImplementedError

    def count_traces(self, pv: str, start_ns: int, stop_ns: int) -> int:
        raise NotImplementedError

    def alive_until_ns(self, pv: str) -> int:
        return self.alive

    def labels(self, pv: str) -> tuple[str, ...]:
        return ("Stopped", "Running", "Paused")


@given(
    beams,
    archived(st.sampled_from([0.0, 1.0, 2.0])),
    archived(st.sampled_from([1.0, 2.0])),
    intervals,
    st.integers(0, END - 1),
)
def test_recorded_and_not_recorded_are_what_was_delivered(
    beam: tuple[PvRows, ...], state: PvRows, number: PvRows, recorded: IntervalSet, start: int
) -> None:
    power, energy, *_ = beam
    archive = Archive({"P": power, "E": energy, "a:STATE": state, "a:RUN": number}, END)
    tables = {"power": {"pv": "P", "unit": "W"}, "proton_energy": {"pv": "E", "unit": "MeV"}, "beam_on_min": "100 kW"}
    runs = [FakeRun(f"a-{index}", part.start_ns, part.stop_ns) for index, part in enumerate(recorded)]
    service = Exposures(
        archive,  # type: ignore[arg-type]
        FakeRuns(runs),
        beam=Beam.model_validate(tables),
        detectors={"a": detector("a")},
        clock=FakeClock(END),
    )
    ledger = service.ledger(start, END).detectors["a"]
    assert ledger.is_balanced
    assert sum(part.pot for part in ledger.parts.values()) == ledger.delivered.pot
    assert ledger.delivered.duration_ns == END - start
    assert all(part.pot >= 0 for part in ledger.parts.values())
    expected = brute_force((power, energy, power, power, power), END, IntervalSet.of(start, END), IntervalSet())
    assert ledger.delivered.pot == round(expected.pot / 10**9)
