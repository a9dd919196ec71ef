"""Rows against integrals over samples: any stretch, cut anywhere, gives the same numbers to the last bit."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.core import HOUR_NS, MINUTE_NS, SECOND_NS, IntervalSet
from nualley.experiment import Beam
from nualley.exposure import Exposures
from nualley.exposure.integral import BeamHistory, integrate, segments
from nualley.exposure.models import Series
from nualley.exposure.row_keeper import RowKeeper
from nualley.exposure.row_reader import KeptRows
from nualley.exposure.rows import Parts, make_rows
from nualley.exposure.sources import beam_sources
from nualley.physics import History, LinkChange, PvRows, exact_integral, exact_sums, float_parts, history_from_rows
from tests.unit.exposure.fakes import (
    BEAM,
    T0,
    FakeArchive,
    FakeClock,
    FakePv,
    FakeRowFiles,
    FakeRun,
    FakeRuns,
    at,
    detector,
)

STOP = 3 * HOUR_NS
MIN_W = 1e5
floats = st.floats(-1e30, 1e30, allow_nan=False)


# ------------------------------------------------------------------ exact sums
@given(st.lists(st.tuples(floats, st.integers(0, 2**60), st.booleans()), min_size=1, max_size=40))
def test_sums_of_groups_are_exact(steps: list[tuple[float, int, bool]]) -> None:
    value = np.array([step[0] for step in steps])
    duration_ns = np.array([step[1] for step in steps], dtype=np.int64)
    firsts = np.array([0, *(at for at, step in enumerate(steps) if at and step[2])])
    sums, exponent = exact_sums(value, duration_ns, firsts)
    for number, (first, stop) in enumerate(zip(firsts, [*firsts[1:], len(steps)], strict=True)):
        assert sums[number] * Fraction(2) ** exponent == exact_integral(value[first:stop], duration_ns[first:stop])


def test_sums_of_more_steps_than_int64_holds_are_exact() -> None:
    n = 2**17
    value, duration_ns = np.full(n, np.nextafter(2.0, 1.0)), np.full(n, 2**21 - 1, dtype=np.int64)
    (first, second), exponent = exact_sums(value, duration_ns, np.array([0, 7]))
    assert first * Fraction(2) ** exponent == 7 * Fraction(value[0]) * (2**21 - 1)
    assert second * Fraction(2) ** exponent == (n - 7) * Fraction(value[0]) * (2**21 - 1)


@given(st.integers(-(2**400), 2**400), st.integers(-600, 200))
def test_parts_add_up_exactly_and_the_first_is_the_rounded_number(total: int, exponent: int) -> None:
    parts = float_parts(total, exponent)
    exact = total * Fraction(2) ** exponent
    assert sum(map(Fraction, parts)) == exact
    assert not parts or parts[0] == float(exact)


@given(st.lists(st.lists(floats, max_size=4), min_size=1, max_size=6), st.data())
def test_numbers_are_the_same_in_whatever_parts_and_never_when_one_differs(
    numbers: list[list[float]], data: st.DataObject
) -> None:
    def written(parts: list[list[float]]) -> Parts:
        offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return Parts(offsets, np.array([part for number in parts for part in number], dtype=np.float64))

    one = written(numbers)
    assert one.is_same_as(written([[*data.draw(st.permutations(number)), 1.0, -1.0] for number in numbers]))
    at = data.draw(st.integers(0, len(numbers) - 1))
    assert not one.is_same_as(written([[*number, 1e-30] if i == at else number for i, number in enumerate(numbers)]))
    assert not one.is_same_as(written([*numbers, [0.0]]))


# ------------------------------------------------------------------ rows of steps
edges = st.one_of(
    st.integers(-HOUR_NS, STOP + HOUR_NS),
    st.builds(lambda minute, off: minute * MINUTE_NS + off, st.integers(-10, 190), st.integers(-2, 2)),
)
inside = edges.filter(lambda time: 0 <= time <= STOP)


@st.composite
def archived(draw: st.DrawFn, values: st.SearchStrategy[float]) -> PvRows:
    samples = sorted(
        draw(st.lists(st.tuples(edges, values, st.sampled_from([0, 0, 3])), max_size=8)), key=lambda s: s[0]
    )
    kinds = st.sampled_from(["disconnect", "reconnect", "pause", "gap"])
    noticed = sorted(draw(st.lists(st.tuples(edges, kinds, st.integers(0, HOUR_NS)), max_size=4)))
    return PvRows(
        np.array([t for t, _, _ in samples], dtype=np.int64),
        np.array([v for _, v, _ in samples], dtype=np.float64),
        np.array([s for _, _, s in samples], dtype=np.int8),
        tuple(LinkChange(t, kind, t - behind) for t, kind, behind in noticed),  # type: ignore[arg-type]
    )


powers = st.one_of(st.sampled_from([0.0, 9.9e4, 1e5, float("nan"), -3.0]), st.floats(1e5, 2e6))
energies = st.one_of(st.sampled_from([0.0, float("nan")]), st.floats(900, 1100))
rates = st.sampled_from([60.0, 59.9, 0.0, -1.0, float("nan")])
charges = st.sampled_from([2.3e-5, 2.4e-5, float("nan")])
lives = st.sampled_from([0.0, 0.3, 1.0, 1.5, float("nan")])
beams = st.tuples(archived(powers), archived(energies), archived(rates), archived(charges), archived(lives))


@settings(deadline=None)  # machines differ
@given(beams, st.integers(-3, STOP + 10), inside, inside)
def test_rows_and_samples_give_the_same_over_any_stretch(
    beam: tuple[PvRows, ...], alive: int, one: int, other: int
) -> None:
    histories: list[History] = [
        history_from_rows(rows, alive_until_ns=alive, start_ns=0, stop_ns=STOP) for rows in beam
    ]
    *quantities, live = histories
    steps = segments(BeamHistory(*quantities), MIN_W, live)
    minutes, hours = make_rows(steps, 0, STOP, "footing")
    start, stop = sorted((one, other))
    for rows in (minutes, hours):
        first, last = -(-start // rows.width_ns) * rows.width_ns, stop // rows.width_ns * rows.width_ns
        if first < last:
            assert rows.between(first, last) == integrate(steps, IntervalSet.of(first, last))
    assert minutes.within(HOUR_NS, STOP).between(HOUR_NS, STOP) == hours.between(HOUR_NS, STOP)


# ------------------------------------------------------------------ answers with rows and without
@dataclass
class World:
    """An archive of some hours, rows of it, and runs."""

    archive: FakeArchive
    kept: KeptRows
    clock: FakeClock
    runs: list[FakeRun] = field(default_factory=list)

    def service(self, *, with_rows: bool) -> Exposures:
        return Exposures(
            self.archive,
            FakeRuns(self.runs),
            beam=Beam.model_validate(BEAM),
            detectors={"a": detector("a")},
            clock=self.clock,
            rows=self.kept if with_rows else None,
        )

    def ask(self, start_ns: int, stop_ns: int, *, with_rows: bool) -> dict[str, Any]:
        service = self.service(with_rows=with_rows)
        return {
            "delivered": service.delivered(start_ns, stop_ns).to_json(),
            "ledger": service.ledger(start_ns, stop_ns).to_json(),
            "runs": service.exposures().to_json(),
            "total": [
                (curve.total_pot, curve.total_GWh, curve.unknown_s)
                for n_points in (2000, 200, 4)
                for curve in service.cumulative(n_points=n_points)
            ],
        }

    def update(self) -> None:
        RowKeeper(self.archive, beam_sources(Beam.model_validate(BEAM)), self.kept, self.clock).update()


HOURS_S = 30 * 3600
seconds = st.one_of(
    st.integers(-1000, HOURS_S + 1000).map(float),
    st.floats(-1000, HOURS_S + 1000, allow_nan=False).map(lambda s: round(s, 6)),
    # minutes and hours begin 1600 s and 40 s off T0
    st.integers(0, 30 * 60).map(lambda minute: minute * 60 - 40.0),
)


@st.composite
def fake_pvs(draw: st.DrawFn, values: st.SearchStrategy[float]) -> FakePv:
    times = sorted(draw(st.lists(seconds, max_size=12, unique=True)))
    bad = draw(st.sets(st.sampled_from(times), max_size=2)) if times else set()
    kinds = st.sampled_from(["disconnect", "reconnect", "gap"])
    links = sorted(draw(st.lists(st.tuples(seconds, kinds), max_size=3, unique_by=lambda link: link[0])))
    # nobody is heard later than what is noticed, nor earlier than what was noticed before
    heard = [max([time - 30, *(earlier for earlier, _ in links if earlier < time)]) for time, _ in links]
    return FakePv(
        [(time, draw(values)) for time in times],
        [(time, kind, last) for (time, kind), last in zip(links, heard, strict=True)],
        draw(st.one_of(st.none(), seconds)),
        severities=dict.fromkeys(bad, 3),
    )


megawatts = st.one_of(st.sampled_from([0.0, 0.049, float("nan")]), st.floats(0.05, 1.9))
gigaelectronvolts = st.floats(0.9, 1.1)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    pvs = {
        "POWER": draw(fake_pvs(megawatts)),
        "ENERGY": draw(fake_pvs(gigaelectronvolts)),
        "RATE": draw(fake_pvs(rates)),
        "CHARGE": draw(fake_pvs(charges)),
        "a:LIVE": draw(fake_pvs(lives)),
        "a:STATE": FakePv(
            [(time, draw(st.sampled_from([0, 1, 2]))) for time in sorted(draw(st.sets(seconds, max_size=4)))],
            labels=("Stopped", "Running", "Paused"),
        ),
    }
    archive = FakeArchive(pvs)
    kept = KeptRows(FakeRowFiles(), archive, {"a:LIVE": Series("live-a", "a:LIVE")})
    cuts = sorted(draw(st.lists(seconds, min_size=2, max_size=8, unique=True)))
    runs = [FakeRun(f"a-{n}", at(a), at(b)) for n, (a, b) in enumerate(zip(cuts[::2], cuts[1::2], strict=False))]
    return World(archive, kept, FakeClock(at(HOURS_S + 5000)), runs)


@settings(deadline=None, max_examples=30)  # machines differ
@given(worlds(), seconds, seconds)
def test_answers_are_the_same_with_rows_and_without(world: World, one: float, other: float) -> None:
    world.update()
    start, stop = min(at(one), at(other)), max(at(one), at(other)) + SECOND_NS
    assert world.ask(start, stop, with_rows=True) == world.ask(start, stop, with_rows=False)


@settings(deadline=None, max_examples=30)  # machines differ
@given(worlds(), st.sampled_from([2000, 200, 4]))
def test_a_curve_from_rows_lies_on_the_one_from_samples(world: World, n_points: int) -> None:
    world.update()
    curves, exact = (world.service(with_rows=with_rows) for with_rows in (True, False))
    for curve, from_samples in zip(curves.cumulative(n_points=n_points), exact.cumulative(n_points=10**6), strict=True):
        expected = np.interp(curve.time_ns - T0, from_samples.time_ns - T0, from_samples.pot)
        assert curve.time_ns.size <= n_points
        assert (np.diff(curve.time_ns) > 0).all()
        assert np.allclose(curve.pot, expected, rtol=1e-9, atol=1e-9 * from_samples.total_pot)
        assert curve.unknown_s == from_samples.unknown_s


@settings(deadline=None, max_examples=30)  # machines differ
@given(worlds(), st.sampled_from(["POWER", "ENERGY", "RATE", "a:LIVE"]), st.data())
def test_what_becomes_known_later_is_counted_at_once(world: World, pv: str, data: st.DataObject) -> None:
    world.update()
    found = world.archive.pvs[pv]
    taken = [time for time, _ in found.samples]
    what = data.draw(st.sampled_from(["sample", "link", "alive"]))
    if what == "sample":
        late = data.draw(seconds.filter(lambda time: time not in taken))
        found.samples = sorted([*found.samples, (late, 1.0)])
    elif what == "link":
        time = max([link[0] for link in found.links], default=0.0) + data.draw(st.floats(1, 7200).map(round))
        found.links = [*found.links, (time, "disconnect", time - 1)]
    else:
        found.alive_until_s = data.draw(seconds)
    assert world.ask(T0, at(HOURS_S), with_rows=True) == world.ask(T0, at(HOURS_S), with_rows=False)
    world.update()
    assert world.ask(T0, at(HOURS_S), with_rows=True) == world.ask(T0, at(HOURS_S), with_rows=False)
