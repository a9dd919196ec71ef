"""Clocks that jump, ours and an IOC's, and samples that no column holds: nothing is invented or stands still."""

import pytest

from nualley.archive import Ledger
from nualley.core import DAY_NS, SECOND_NS, parse_time_ns
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.physics import history_from_rows
from nualley.pv import ValueType
from tests.kept_aside import kept_aside

YEAR_NS = 365 * DAY_NS


def known_s(bench, pv, start_ns, stop_ns):
    history = ArchiveHistory(bench.reader())
    found = history_from_rows(
        history.read(pv, start_ns, stop_ns),
        alive_until_ns=history.alive_until_ns(pv),
        start_ns=start_ns,
        stop_ns=stop_ns,
    )
    return found.known.duration_ns / SECOND_NS


# ------------------------------------------------------------------ an IOC's clock
JUMPS = {
    "back an hour": (-3600 * SECOND_NS, "backward"),
    "ahead two hours": (7200 * SECOND_NS, "future"),
    "to 1990": (None, "undefined-time"),
    "never set": (-1, "before-1991"),
    "to the end of EPICS' time": (2**32 * SECOND_NS, "future"),
}


@pytest.mark.parametrize(("jump_ns", "reason"), JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("is_sealed", [False, True])
def test_an_ioc_clock_that_jumps_costs_knowledge_and_no_sample(bench, jump_ns, reason, is_sealed):
    def stamp():
        if jump_ns is None:
            return parse_time_ns("1990-01-01T00:00:00Z", 0)
        return parse_time_ns("1990-02-01T00:00:00Z", 0) if jump_ns == -1 else bench.clock.time_ns + jump_ns

    bench.emit(bench.connect("P"), bench.sample("P", 0.0))
    start_ns = bench.clock.time_ns
    for number in range(1, 11):  # five samples with the wrong clock between five with the right one
        bench.clock.advance(10)
        is_wrong = 3 <= number <= 7
        changes = {"time_ns": stamp()} if is_wrong else {}
        bench.emit(bench.sample("P", float(number), **changes), bench.life())
        bench.commit()
        if is_sealed and number in (5, 9):
            bench.seal()
    reader = bench.reader()
    assert reader.ledger() == Ledger(received=11, stored=6, quarantined=5, filtered=0, gaps=1)
    rows = kept_aside(reader, "P")
    assert [row["reason"] for row in rows] == [reason] * 5
    assert [row["value"] for row in rows] == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert [row["received_ns"] for row in rows] == [start_ns + n * 10 * SECOND_NS for n in range(3, 8)]
    # known but for the time from the first wrong stamp to the next right one
    assert known_s(bench, "P", start_ns, start_ns + 100 * SECOND_NS) == 100 - 50


# ------------------------------------------------------------------ our own clock
@pytest.mark.parametrize("is_killed", [False, True])
def test_our_clock_that_was_ahead_vouches_for_nothing_later(bench, is_killed):
    """It is a year ahead for a while (an NTP server that lies), then right again; then the IOC and we die."""
    bench.emit(bench.connect("P"), bench.sample("P", 1.0), bench.life())
    bench.commit()
    start_ns = bench.clock.time_ns
    bench.clock.time_ns += YEAR_NS
    bench.emit(bench.life())
    bench.commit()
    bench.clock.time_ns += 10 * SECOND_NS - YEAR_NS
    bench.emit(bench.life())
    bench.commit()
    assert bench.reader().alive_until_ns("P") == start_ns + 10 * SECOND_NS
    if is_killed:
        bench.die()
    bench.clock.advance(1000)
    if is_killed:
        bench.start()
        bench.commit()
    assert known_s(bench, "P", start_ns, start_ns + 1000 * SECOND_NS) == 10
    assert bench.reader().last(["P"])[0].state != "connected"


@pytest.mark.parametrize("seconds", [-86_400, -3, 3600, 86_400])
def test_no_sample_is_lost_or_doubled_while_our_clock_jumps(bench, seconds):
    """The stamps of the IOC go on; ours jump. What cannot be believed then is aside, and nothing is gone."""
    n, stamp_ns = 40, bench.clock.time_ns
    bench.emit(bench.connect("P"))
    for number in range(n):
        stamp_ns += SECOND_NS
        bench.clock.advance(1)
        if number in (10, 25):
            bench.clock.advance(seconds if number == 10 else -seconds)
        bench.emit(bench.sample("P", float(number), time_ns=stamp_ns))
        if number % 7 == 0:
            bench.commit()
        if number % 13 == 0:
            bench.seal()
    bench.commit()
    ledger = bench.reader().ledger()
    assert ledger.is_balanced
    assert ledger.received == ledger.stored + ledger.quarantined == n
    rows = bench.reader().read("P", 0, 2**62).to_pylist()
    values = [row["value"] for row in rows if row["kind"] == "sample"]
    aside = [row["value"] for row in kept_aside(bench.reader())]
    assert sorted(values + aside) == [float(number) for number in range(n)]
    assert values == sorted(values)
    assert bool(aside) is (seconds < -1800), "what is ahead of a clock that went back is not to be believed"


# ------------------------------------------------------------------ what no column can hold
@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (1.0, {"time_ns": 2**63}),
        (1.0, {"time_ns": -(2**70)}),
        (1.0, {"severity": 300}),
        (1.0, {"severity": -129}),
        (1.0, {"status": 70_000}),
        (1.0, {"received_ns": 2**64}),
        ("open", {}),
        (None, {}),
        (10**400, {}),
    ],
    ids=str,
)
def test_a_sample_that_no_column_holds_stops_nothing_else(bench, value, changes):
    bench.emit(bench.sample("Q", 1.0), bench.sample("P", value, **changes), bench.sample("Q", 2.0))
    bench.commit()
    assert bench.reader().ledger() == Ledger(received=3, stored=2, quarantined=1)
    bench.seal()
    (row,) = kept_aside(bench.reader(), "P")
    assert (row["reason"], row["value"]) == ("unstorable", ascii(value))
    bench.die()
    bench.start()
    assert bench.reader().ledger().is_balanced


def test_numbers_of_every_kind_are_stored_as_numbers(bench, column):
    import numpy as np

    values = (1, True, 2.5, np.float64(3.5), np.float32(4.5))
    for value in values:
        bench.emit(bench.sample("P", value))
        bench.clock.advance(1)
    bench.commit()
    assert column(bench, "P", "value") == [1.0, 1.0, 2.5, 3.5, 4.5]
    assert bench.reader().record("P").value_type is ValueType.FLOAT64
