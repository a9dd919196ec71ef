"""Policies that want less than every sample: what is stored, what the account says, and when a value is unknown."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.archive import Condition, PvPolicy
from nualley.archive.rules import Rule, rule_of
from nualley.core import SECOND_NS
from tests.unit.archive.conftest import START_NS, ArchiveBench

PV, PUMP = "LAB:T1", "LAB:PUMP"


@pytest.fixture
def ruled(bench):
    """Return what gives a PV a policy and connects it."""

    def give(**policy):
        bench.writer.recorder.rule(PV, rule_of(PvPolicy(**policy)))
        bench.emit(bench.connect(PV), bench.connect(PUMP))
        return bench

    return give


def say(bench, *values, pv=PV, step_s=1.0, **changes):
    for value in values:
        bench.emit(bench.sample(pv, value, **changes), bench.life())
        bench.writer.recorder.tick()
        bench.clock.advance(step_s)
    bench.writer.recorder.tick()
    bench.commit()


def rows(bench, pv=PV):
    table = bench.reader().read(pv, 0, 2**62)
    columns = (table[name].to_pylist() for name in ("kind", "value", "time_ns"))
    return [(kind, value, (time_ns - START_NS) / SECOND_NS) for kind, value, time_ns in zip(*columns, strict=True)]


def values(bench, pv=PV):
    return [value for kind, value, _ in rows(bench, pv) if kind == "sample"]


def account(bench):
    ledger = bench.reader().ledger()
    assert ledger.received == ledger.stored + ledger.quarantined + ledger.filtered
    return ledger


# ------------------------------------------------------------------ dead band
def test_within_its_dead_band_nothing_is_stored_and_all_is_counted(ruled):
    bench = ruled(dead_band=0.5)
    say(bench, 1.0, 1.2, 1.5, 1.6, 1.2, 1.0, 0.9)
    assert values(bench) == [1.0, 1.6, 1.0]
    record = bench.reader().record(PV)
    assert record.filtered == {"dead-band": 4}
    assert account(bench).received == 7


def test_a_relative_dead_band_grows_with_the_value(ruled):
    bench = ruled(dead_band_relative=0.1, dead_band=0.05)
    say(bench, 100.0, 105.0, 110.0, 111.0, 0.1, 0.13, 0.16)
    assert values(bench) == [100.0, 111.0, 0.1, 0.16]


def test_an_alarm_and_nan_pass_the_dead_band(ruled):
    bench = ruled(dead_band=10)
    say(bench, 1.0)
    say(bench, 1.0, severity=2)
    say(bench, math.nan, math.nan, 2.0, severity=2)
    assert [str(value) for value in values(bench)] == ["1.0", "1.0", "nan", "2.0"]


def test_text_has_no_dead_band(ruled):
    from nualley.pv import ValueType

    bench = ruled(dead_band=10)
    for text in ("a", "b"):
        bench.emit(bench.sample(PV, text, ValueType.STRING))
        bench.clock.advance(1)
    bench.commit()
    assert values(bench) == ["a", "b"]


def test_after_a_disconnect_the_first_value_is_stored_again(ruled):
    bench = ruled(dead_band=10)
    say(bench, 1.0, 2.0)
    bench.emit(bench.disconnect(PV, bench.clock.time_ns))
    bench.clock.advance(1)
    bench.emit(bench.connect(PV))
    say(bench, 2.0)
    assert values(bench) == [1.0, 2.0]


def test_a_value_in_doubt_is_known_again_though_it_is_within_the_band(ruled):
    bench = ruled(dead_band=10)
    say(bench, 1.0)
    say(bench, 1.0, time_ns=0)
    say(bench, 1.5)
    assert [kind for kind, _, _ in rows(bench)][-2:] == ["gap", "reconnect"]


# ------------------------------------------------------------------ scan
def test_a_scan_stores_the_newest_of_each_period(ruled):
    bench = ruled(mode="scan", period_s=10)
    say(bench, *range(35))
    assert values(bench) == [0, 9, 19, 29] or values(bench) == [0, 10, 20, 30]
    ledger = account(bench)
    assert ledger.stored == 4
    assert bench.reader().record(PV).filtered["scan"] == ledger.filtered
    bench.writer.recorder.flush()
    bench.commit()
    assert values(bench)[-1] == 34
    assert account(bench).received == 35


def test_what_a_scan_holds_back_is_stored_when_it_is_due_though_nothing_comes(ruled):
    bench = ruled(mode="scan", period_s=10)
    say(bench, 1.0, 2.0)
    assert values(bench) == [1.0]
    assert account(bench).received == 1
    bench.clock.advance(10)
    bench.writer.recorder.tick()
    bench.commit()
    assert values(bench) == [1.0, 2.0]
    assert rows(bench)[-1][2] == 1.0, "it keeps its stamp"


def test_what_a_scan_holds_back_is_stored_before_a_disconnect_a_pause_and_another_rule(ruled):
    for number, end in enumerate((
        lambda bench: bench.emit(bench.disconnect(PV, bench.clock.time_ns)),
        lambda bench: bench.writer.recorder.pause(PV),
        lambda bench: bench.writer.recorder.rule(PV, None),
    )):  # fmt: skip
        bench = ruled(mode="scan", period_s=1000)
        bench.writer.recorder.resume(PV)
        say(bench, 10.0 * number, 10.0 * number + 1)
        end(bench)
        bench.commit()
        assert values(bench)[-1] == 10.0 * number + 1
        bench.clock.advance(5)


def test_a_stamp_behind_the_one_that_is_held_back_is_refused(ruled):
    bench = ruled(mode="scan", period_s=10)
    say(bench, 1.0, 2.0, 3.0)
    say(bench, 9.0, time_ns=START_NS + SECOND_NS)
    assert bench.reader().ledger().quarantined == 1


# ------------------------------------------------------------------ condition
def test_while_its_condition_does_not_hold_nothing_is_stored_and_nothing_is_known(ruled):
    bench = ruled(only_while=f"{PUMP} > 0.5")
    say(bench, 1.0, pv=PUMP)
    say(bench, 1.0, 2.0)
    say(bench, 0.0, pv=PUMP)
    say(bench, 3.0, 4.0)
    say(bench, 1.0, pv=PUMP)
    say(bench, 5.0)
    assert values(bench) == [1.0, 2.0, 4.0, 5.0]
    assert bench.reader().record(PV).filtered == {"condition": 1}
    account(bench)
    gaps = bench.reader().gaps(PV, START_NS, bench.clock.time_ns)
    seconds = [(gap.kind, (gap.start_ns - START_NS) / SECOND_NS, (gap.stop_ns - START_NS) / SECOND_NS) for gap in gaps]
    assert ("pause", 3.0, 6.0) in seconds


def test_a_value_that_did_not_change_meanwhile_holds_again(ruled):
    bench = ruled(only_while=PUMP)
    say(bench, 1, pv=PUMP)
    say(bench, 7.0)
    say(bench, 0, pv=PUMP)
    say(bench, 1, pv=PUMP)
    bench.emit(bench.life())
    bench.commit()
    (at,) = bench.reader().at([PV], bench.clock.time_ns - 1)
    assert (at.value, at.is_known) == (7.0, True)


def test_a_condition_that_nobody_knows_keeps_nothing_out(ruled):
    bench = ruled(only_while=PUMP)
    say(bench, 1.0)
    say(bench, 0, pv=PUMP)
    say(bench, 2.0)
    assert values(bench) == [1.0]
    bench.emit(bench.disconnect(PUMP, bench.clock.time_ns))
    say(bench, 3.0)
    assert values(bench)[-1] == 3.0
    bench.emit(bench.connect(PUMP))
    say(bench, math.nan, pv=PUMP)
    say(bench, 4.0)
    assert values(bench)[-1] == 4.0


def test_connections_while_it_is_off_count_when_it_is_on_again(ruled):
    bench = ruled(only_while=PUMP)
    say(bench, 1, pv=PUMP)
    say(bench, 1.0)
    say(bench, 0, pv=PUMP)
    bench.emit(bench.disconnect(PV, bench.clock.time_ns))
    say(bench, 1, pv=PUMP)
    assert [kind for kind, _, _ in rows(bench)][-1] == "pause", "it is not connected: nothing is known"
    bench.emit(bench.connect(PV))
    say(bench, 2.0)
    assert [kind for kind, _, _ in rows(bench)][-2:] == ["reconnect", "sample"]


# ------------------------------------------------------------------ silence
def test_a_periodic_pv_that_is_silent_is_unknown_though_its_ioc_lives(ruled):
    bench = ruled(periodic_s=2, stale_periods=3)
    say(bench, 1.0, 1.0, 2.0)
    for _ in range(8):
        bench.emit(bench.life())
        bench.clock.advance(1)
        bench.writer.recorder.tick()
    bench.commit()
    (gap,) = [row for row in rows(bench) if row[0] == "gap"]
    assert gap[2] == pytest.approx(9.0)
    assert bench.reader().gaps(PV, START_NS, bench.clock.time_ns)[-1].start_ns == START_NS + 2 * SECOND_NS
    say(bench, 3.0)
    bench.emit(bench.life())
    bench.commit()
    (at,) = bench.reader().at([PV], bench.clock.time_ns - SECOND_NS)
    assert (at.value, at.is_known) == (3.0, True)


def be_silent(bench, seconds=8):
    for _ in range(seconds):
        bench.emit(bench.life())
        bench.clock.advance(1)
        bench.writer.recorder.tick()
    bench.commit()


def state(bench):
    (last,) = bench.reader().last([PV])
    return last.state


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_silent_pv_whose_ioc_lives_is_stale_until_it_speaks_or_is_lost(ruled, is_sealed):
    bench = ruled(periodic_s=2, stale_periods=3)
    say(bench, 1.0)
    assert state(bench) == "connected"
    be_silent(bench)
    if is_sealed:
        bench.seal()
    assert state(bench) == "stale"
    assert bench.reader().gaps(PV, bench.clock.time_ns - SECOND_NS, bench.clock.time_ns)[0].kind == "gap"
    say(bench, 1.0)
    bench.emit(bench.life())
    bench.commit()
    assert state(bench) == "connected"
    be_silent(bench)
    bench.emit(bench.disconnect(PV, bench.clock.time_ns))
    bench.commit()
    assert state(bench) == "disconnected"


def test_a_silent_pv_is_disconnected_after_a_restart_until_it_is_found(ruled):
    bench = ruled(periodic_s=2, stale_periods=3)
    say(bench, 1.0)
    be_silent(bench)
    bench.die()
    bench.start()
    bench.emit(bench.life())
    bench.commit()
    assert state(bench) == "disconnected"
    bench.emit(bench.connect(PV), bench.life())
    bench.commit()
    assert state(bench) == "connected"


def test_silence_before_any_period_is_over_and_of_what_is_not_connected_is_none(ruled):
    bench = ruled(periodic_s=2, stale_periods=3)
    say(bench, 1.0)
    bench.emit(bench.disconnect(PV, bench.clock.time_ns))
    bench.clock.advance(100)
    bench.writer.recorder.tick()
    bench.commit()
    assert [kind for kind, _, _ in rows(bench)].count("gap") == 0


# ------------------------------------------------------------------ in any order
actions = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.integers(0, 20)),
        st.tuples(st.just("pump"), st.integers(0, 1)),
        st.tuples(st.just("link"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 30)),
        st.tuples(st.just("pause"), st.booleans()),
        st.tuples(st.just("rule"), st.integers(0, 4)),
        st.tuples(st.just("die"), st.none()),
    ),
    max_size=40,
)
RULES = (
    None,
    {"dead_band": 5},
    {"mode": "scan", "period_s": 7},
    {"only_while": PUMP, "dead_band": 3},
    {"periodic_s": 4},
)


@settings(max_examples=60)
@given(actions)
def test_whatever_happens_every_sample_is_accounted_for_and_its_value_is_never_wrong(tmp_path_factory, story):
    bench = ArchiveBench(tmp_path_factory.mktemp("rules"))
    bench.start()
    bench.emit(bench.connect(PV), bench.connect(PUMP))
    kept_rule, n_sent = None, 0
    for what, value in story:
        bench.clock.advance(1)
        recorder = bench.writer.recorder
        if what in {"value", "pump"}:
            bench.emit(bench.sample(PV if what == "value" else PUMP, float(value)))
            n_sent += 1
        elif what == "link":
            bench.emit(bench.connect(PV) if value else bench.disconnect(PV, bench.clock.time_ns))
        elif what == "wait":
            bench.clock.advance(value)
        elif what == "pause":
            recorder.pause(PV) if value else recorder.resume(PV)
        elif what == "rule":
            kept_rule = rule_of(PvPolicy(**RULES[value])) if RULES[value] else None
            recorder.rule(PV, kept_rule)
        else:
            recorder.flush()
            bench.commit()
            bench.die()
            bench.writer = open_archive_writer(bench.folder, clock=bench.clock)
            bench.writer.recorder.rule(PV, kept_rule)
        bench.writer.recorder.tick()
    bench.writer.recorder.flush()
    bench.commit()
    reader = open_archive_reader(bench.folder, bench.clock)
    ledger = reader.ledger()
    assert ledger.received == n_sent == ledger.stored + ledger.quarantined + ledger.filtered
    times_ns = reader.read(PV, 0, 2**62)["time_ns"].to_pylist()
    assert times_ns == sorted(times_ns)


# ------------------------------------------------------------------ as written
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A", Condition("A")),
        ("A:B.VAL >= -2.5e3", Condition("A:B.VAL", ">=", -2500.0)),
        (" A != 1 ", Condition("A", "!=", 1.0)),
    ],
)
def test_conditions(text, found):
    assert Condition.parse(text) == found


@pytest.mark.parametrize("text", ["", "A > ", "A = 1", "A > x", "A and B", "a b", "../x > 1"])
def test_what_is_no_condition(text):
    with pytest.raises(ValueError, match=r"no condition|could not convert"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "scan"}, "belong together"),
        ({"period_s": 1}, "belong together"),
        ({"dead_band": -1}, "greater than or equal"),
        ({"dead_band_relative": 1}, "less than"),
        ({"only_while": "A >"}, "no condition"),
        ({"retention_h": 0.5}, "greater than or equal"),
        ({"stale_periods": 1}, "greater than or equal"),
        ({"protocol": "pva", "queue": 3}, "greater than or equal"),
        ({"queue": 100}, "protocol is ca"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        PvPolicy(**fields)


def test_a_plain_policy_has_no_rule():
    assert rule_of(PvPolicy(events="archive", retention_h=6)) is None
    assert rule_of(PvPolicy(periodic_s=2)) == Rule(silence_ns=6 * SECOND_NS)
