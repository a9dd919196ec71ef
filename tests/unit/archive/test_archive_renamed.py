"""A PV with several names in its life: one history under each of them."""

import pytest

from nualley.archive import Change, PvNotArchivedError, PvPolicy, Verb
from nualley.archive.adapters.changes_file import ChangesFile
from nualley.core import SECOND_NS
from tests.unit.archive.conftest import START_NS

OLD, NEW = "LAB:T1", "LAB:TC1"
LAST_NS = 2**62


def record(bench, pv, values):
    bench.emit(bench.connect(pv))
    for value in values:
        bench.emit(bench.sample(pv, float(value)), bench.life())
        bench.clock.advance(1)


def rename(bench, *more):
    changes = [Change(verb=Verb.RENAME, pv=OLD, name=NEW, time_ns=bench.clock.time_ns, who="zoe", policy=PvPolicy())]
    ChangesFile(bench.folder).append([*changes, *more])


@pytest.fixture
def renamed(bench):
    """Return a PV that was 0, 1, ... 9, was renamed, and was 10, 11, ... 19 then; the first half is sealed."""
    record(bench, OLD, range(10))
    bench.writer.recorder.pause(OLD)
    bench.seal()
    rename(bench, Change(verb=Verb.ALIAS, pv=NEW, name="BOTTOM", time_ns=bench.clock.time_ns, who="zoe"))
    record(bench, NEW, range(10, 20))
    bench.commit()
    return bench


@pytest.mark.parametrize("name", [OLD, NEW, "BOTTOM", f"{NEW}.VAL", f"ca://{OLD}", "pva://BOTTOM.VAL"])
def test_each_name_gives_the_whole_history(renamed, name):
    reader = renamed.reader()
    start_ns, stop_ns = START_NS, START_NS + 20 * SECOND_NS
    rows = reader.read(name, start_ns, stop_ns)
    samples = [
        (pv, value) for pv, value, kind in zip(*(rows[key].to_pylist() for key in ("pv", "value", "kind")), strict=True)
        if kind == "sample"
    ]  # fmt: skip
    assert samples == [(OLD if number < 10 else NEW, float(number)) for number in range(20)]
    bins = reader.bins(name, start_ns, stop_ns, 2, is_exact=True)
    assert bins["n"].to_pylist() == [10, 10]
    assert bins["mean"].to_pylist() == [4.5, 14.5]
    assert reader.count_rows(name, start_ns, stop_ns) >= 20
    assert reader.first_ns(name) == start_ns
    assert reader.has_rows(name, start_ns, stop_ns)
    (at,) = reader.at([name], start_ns + 5 * SECOND_NS)
    assert (at.pv, at.value) == (name, 5.0)
    (last,) = reader.last([name])
    assert (last.pv, last.value) == (NEW, 19.0)
    pieces = list(reader.pieces(name, start_ns, stop_ns, most_rows=5))
    assert sum(piece["kind"].to_pylist().count("sample") for piece in pieces) == 20


def test_a_name_that_nobody_gave_is_unknown(renamed):
    with pytest.raises(PvNotArchivedError, match="'TOP' is not archived"):
        renamed.reader().read("TOP", 0, LAST_NS)


def test_before_the_first_value_under_the_new_name_the_history_is_that_of_the_old(bench):
    record(bench, OLD, [1])
    bench.writer.recorder.register([NEW])
    bench.commit()
    rename(bench)
    reader = bench.reader()
    assert reader.record(NEW).name == OLD
    assert reader.read(NEW, 0, LAST_NS)["value"].drop_null().to_pylist() == [1.0]


def test_what_was_known_before_a_rename_stays_known_though_nobody_answers_to_the_new_name(bench):
    record(bench, OLD, range(10))
    bench.writer.recorder.pause(OLD)
    bench.commit()
    known = bench.reader().bins(OLD, START_NS, START_NS + 10 * SECOND_NS, 1, is_exact=True)["time_mean"].to_pylist()
    bench.writer.recorder.register([NEW])
    bench.commit()
    rename(bench)
    reader = bench.reader()
    for name in (OLD, NEW):
        assert reader.at([name], START_NS + 5 * SECOND_NS)[0].is_known
        bins = reader.bins(name, START_NS, START_NS + 10 * SECOND_NS, 1, is_exact=True)
        assert bins["time_mean"].to_pylist() == known
        (last,) = reader.last([name])
        assert (last.pv, last.value, last.state) == (NEW, 9.0, "never-connected")


def test_a_renamed_pv_is_listed_once_with_one_account(renamed):
    reader = renamed.reader()
    assert [value.pv for value in reader.last()] == [NEW]
    (found,) = reader.summaries()
    assert (found.now.pv, found.now.value, found.ledger.stored) == (NEW, 19.0, 20)


BACK = [
    Change(verb=Verb.RENAME, pv=NEW, name=OLD, time_ns=START_NS + 20 * SECOND_NS, who="zoe", policy=PvPolicy()),
    # removed under the new name, and added under the old one
    Change(verb=Verb.REMOVE, pv=NEW, time_ns=START_NS + 20 * SECOND_NS, who="zoe"),
    Change(verb=Verb.ADD, pv=OLD, time_ns=START_NS + 20 * SECOND_NS, who="zoe", policy=PvPolicy()),
]


@pytest.fixture(params=[BACK[:1], BACK[1:]], ids=["rename", "add"])
def back(renamed, request):
    """Return the PV after its old name was given back to it: it is live under that name again."""
    renamed.writer.recorder.pause(NEW)
    ChangesFile(renamed.folder).append(request.param)
    renamed.writer.recorder.follow(OLD, NEW)
    renamed.writer.recorder.resume(OLD)
    renamed.emit(renamed.connect(OLD))
    record(renamed, OLD, range(20, 30))
    renamed.commit()
    return renamed


@pytest.mark.parametrize("name", [OLD, NEW, "BOTTOM", f"{NEW}.VAL", f"ca://{OLD}", "pva://BOTTOM.VAL"])
def test_a_pv_that_got_its_name_back_is_live_under_it(back, name):
    reader = back.reader()
    (last,) = reader.last([name])
    assert (last.pv, last.value, last.state) == (OLD, 29.0, "connected")
    assert reader.record(name).name == OLD
    assert [value.pv for value in reader.last()] == [OLD]
    (found,) = reader.summaries()
    assert (found.now.pv, found.now.state, found.ledger.stored) == (OLD, "connected", 30)
    now_ns = back.clock.time_ns
    assert [gap.kind for gap in reader.gaps(name, now_ns - 5 * SECOND_NS, now_ns)] == []
    values = reader.read(name, START_NS, now_ns)["value"].drop_null().to_pylist()
    assert values == [float(number) for number in range(30)]


def test_a_pv_that_got_its_name_back_goes_on_where_the_other_name_ended(renamed):
    recorder, ended_ns = renamed.writer.recorder, renamed.clock.time_ns - SECOND_NS
    recorder.pause(NEW)
    recorder.follow(OLD, NEW)
    recorder.resume(OLD)
    renamed.emit(renamed.connect(OLD), renamed.sample(OLD, 19.0, time_ns=ended_ns))
    renamed.emit(renamed.sample(OLD, 5.0, time_ns=ended_ns - SECOND_NS))
    renamed.commit()
    record = renamed.reader().registry().by_name[OLD]
    assert (record.filtered, record.n_quarantined) == ({"repeat": 1}, 1)
