"""A PV that changes its type and back within one commit: what was received last is what counts."""

from dataclasses import replace

import pytest

from nualley.archive import PvState
from nualley.archive.registry import Registry
from nualley.core import SECOND_NS
from nualley.pv import ValueType

BURST = [(1.5, ValueType.FLOAT64), ("word", ValueType.STRING), (3.5, ValueType.FLOAT64)]


def burst(bench, pv, *, lost_before=None):
    """Emit numbers, a word and numbers again within a commit; before one of them the connection is lost and back."""
    bench.emit(bench.connect(pv))
    for number, (value, value_type) in enumerate(BURST):
        if number == lost_before:
            bench.emit(bench.disconnect(pv, bench.clock.time_ns))
            bench.clock.advance(1)
            bench.emit(bench.connect(pv))
        bench.emit(bench.sample(pv, value, value_type), bench.life())
        bench.clock.advance(1)
    bench.emit(bench.life())


@pytest.fixture(params=["log", "sealed", "restarted"])
def kept(bench, request):
    """Return what makes an archive durable in one way: open in the log, sealed, or taken up by another process."""

    def keep():
        bench.commit()
        if request.param == "sealed":
            bench.seal()
        if request.param == "restarted":
            bench.writer.close()
            bench.start()

    return keep


def test_the_last_value_is_the_one_that_was_received_last(bench, kept):
    burst(bench, "P")
    bench.emit(bench.connect("Q"), bench.sample("Q", 7.0), bench.life())
    kept()
    reader = bench.reader()
    values = {last.pv: last.value for last in reader.last()}
    assert values == {"P": 3.5, "Q": 7.0}
    record = reader.record("P")
    assert (record.value_type, record.n_stored, record.last.fingerprint) == (ValueType.FLOAT64, 3, "3.5/0/0")
    assert bench.writer.recorder.registry.by_name["P"].last == record.last, "who writes knows the same"
    assert bench.writer.recorder.registry.by_name["P"].value_type is ValueType.FLOAT64


@pytest.mark.parametrize("lost_before", [1, 2])
def test_the_state_is_that_of_the_last_change_of_the_connection(bench, lost_before):
    start_ns = bench.clock.time_ns
    burst(bench, "P", lost_before=lost_before)
    bench.commit()
    reader = bench.reader()
    assert reader.last(["P"])[0].state is PvState.CONNECTED
    assert [gap.kind for gap in reader.gaps("P", start_ns, bench.clock.time_ns)] == ["disconnect"]
    assert reader.at(["P"], bench.clock.time_ns - SECOND_NS)[0].is_known
    now_ns = bench.clock.time_ns
    (row,) = reader.bins("P", now_ns - SECOND_NS, now_ns, 1, is_exact=True).to_pylist()
    assert (row["n_good"], row["time_mean"]) == (1, 3.5)


def test_a_loss_that_comes_last_in_the_first_type_counts(bench):
    bench.emit(bench.connect("P"), bench.sample("P", 1.5))
    bench.clock.advance(1)
    bench.emit(bench.sample("P", "word", ValueType.STRING))
    # a loss and the reconnect stand among words, the loss that follows among numbers
    bench.emit(bench.disconnect("P", bench.clock.time_ns), bench.connect("P"))
    bench.clock.advance(1)
    bench.emit(bench.sample("P", 3.5), bench.disconnect("P", bench.clock.time_ns))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.DISCONNECTED


def test_what_could_not_be_read_last_counts_whatever_its_type(bench):
    def unreadable(value, value_type):
        return replace(bench.sample("P", value, value_type), unreadable="not JSON")

    bench.emit(bench.connect("P"), unreadable(0.0, ValueType.FLOAT64), unreadable("", ValueType.STRING))
    bench.emit(bench.sample("P", 1.5))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.CONNECTED
    bench.clock.advance(1)
    bench.emit(unreadable(0.0, ValueType.FLOAT64), unreadable("", ValueType.STRING), bench.sample("P", 2.5))
    bench.emit(unreadable(0.0, ValueType.FLOAT64))
    bench.commit()
    assert bench.reader().last(["P"])[0].state is PvState.UNREADABLE


def test_a_word_between_numbers_of_lost_commits_is_one_reconnect(bench):
    """What came first after lost commits says from when on a PV is known again, whatever its type."""
    burst(bench, "P")
    bench.commit()
    frames = []
    append = bench.writer.log.append
    bench.writer.log.append = frames.append
    bench.emit(bench.sample("P", 9.0))
    bench.commit()  # acknowledged, and never in the log
    bench.writer.log.append = append
    bench.clock.advance(1)
    back_ns = bench.clock.time_ns
    bench.emit(bench.sample("Q", "word", ValueType.STRING))  # words stand before numbers
    for value, value_type in BURST[:2]:
        bench.emit(bench.sample("P", value, value_type))
        bench.clock.advance(1)
    bench.commit()
    assert len(frames) == 1
    rows = bench.reader().connections("P", back_ns - SECOND_NS // 2, 2**62)
    assert [(row.kind.name, row.time_ns) for row in rows if row.time_ns >= back_ns] == [("RECONNECT", back_ns)]


def test_pvs_of_one_type_each_wait_for_who_asks(bench, monkeypatch):
    """A commit with several types in which no PV has two is folded as quickly as ever."""
    monkeypatch.setattr(Registry, "_fold_mixed", None)
    monkeypatch.setattr(Registry, "_catch_up", lambda _: pytest.fail("looked at before anybody asks"))
    recorder = bench.writer.recorder
    bench.emit(bench.sample("P", 1.0), bench.sample("Q", "word", ValueType.STRING))
    frame = recorder.prepare()
    bench.writer.log.append(frame)
    recorder.confirm()
    monkeypatch.undo()
    assert recorder.registry.by_name["Q"].last.value == "word"
