"""Selections from definition to citation, over a real catalog and a fake beam of 1 MW."""

import hashlib
import json
import threading

import pytest

from nualley.catalog import Flag, Run, SelectionChanged, SelectionFrozen, TimeSource
from nualley.core import IntervalSet, UsageError
from nualley.selection import (
    ExpressionError,
    ListUnreadable,
    NotExpressible,
    SelectionInText,
    SelectionNotFound,
    canonical_json,
)
from nualley.selection.frozen import FrozenSelection, read_frozen
from tests.unit.exposure.fakes import BEAM, RATE, FakePv, at
from tests.unit.selection.conftest import make_run


def flag(catalog, name="trip", **changes):
    values = {"detector": "hpge", "name": name, "reason": "seen", "author": "ada"}
    return catalog.run_lists.add_flag(Flag(**(values | changes)))


def seconds(resolution):
    """Return run number -> its intervals [s since T0]."""
    zero = at(0)
    return {
        run.listed.number: [((i.start_ns - zero) / 1e9, (i.stop_ns - zero) / 1e9) for i in run.intervals or ()]
        for run in resolution.runs
    }


# ---------------------------------------------------------------- what is selected
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("all", {1: [(0, 100)], 2: [(100, 200)], 3: [(200, 300)]}),
        ("run in 2..3 and run != 3", {2: [(100, 200)]}),
        ('not flag("trip")', {1: [(0, 100)], 2: [(100, 150)], 3: [(250, 300)]}),
        ('severity("caution")', {2: [(150, 200)], 3: [(200, 250)]}),
        ('flag("noise")', {1: [(0, 100)]}),
        ('pv("T") > 3', {2: [(150, 200)], 3: [(200, 300)]}),
        ('pv("T") in 0..1', {1: [(0, 100)], 2: [(100, 150)]}),
        ('pv("DOOR") == "open"', {3: [(250, 300)]}),
        ('pv("DOOR") in ["open", "ajar"]', {3: [(250, 300)]}),
        ('pv("WORDS") == "calm"', {1: [(0, 50)]}),
        ('pv("HALF") == "0"', {}),
        ('pv("HALF") == "0.5" and pv("T") == "5"', {2: [(150, 200)], 3: [(200, 300)]}),
        ('pv("NOBODY") > 0 or run == 1', {1: [(0, 100)]}),
        ('not pv("NOBODY") > 0', {}),
        ('tag("good") and settings["0.X"] >= 100', {2: [(100, 200)]}),
        ('settings["0.X"] == "100"', {2: [(100, 200)]}),
        ('settings["0.NAME"] > 1 or settings["0"] == 1 or settings["9"] == 1', {}),
        ('type == "physics"', {3: [(200, 300)]}),
        ('not type == "calibration"', {3: [(200, 300)]}),
    ],
)
def test_an_expression_selects_what_it_says(catalog, selections, expression, expected):
    catalog.register_run(make_run(2, tags=("good",), settings={"0": {"X": "100", "NAME": "a"}}))
    catalog.register_run(make_run(3, run_type="physics"))
    flag(catalog, start_ns=at(150), stop_ns=at(250))
    flag(catalog, "noise", first_run=1, last_run=1, first_block=2, last_block=3)
    flag(catalog, detector="other", start_ns=at(0))
    selections.define("x", expression, author="ada")
    assert seconds(selections.resolution("x")) == expected


def test_sums_count_each_second_once_and_protons_are_those_of_exposure(catalog, selections):
    catalog.register_run(make_run(4, start_ns=at(250), stop_ns=at(350)))
    selections.define("x", "run > 2", author="ada")
    found = selections.resolution("x")
    assert [run.amounts.pot for run in found.runs] == pytest.approx([100 * RATE, 100 * RATE])
    sums = found.detectors["hpge"]
    assert (sums.n_runs, sums.n_unknown, sums.duration_s, sums.amounts.livetime_s) == (2, 0, 150, 150)
    assert sums.amounts.pot == pytest.approx(150 * RATE)
    assert "runs that overlap another one of their detector: hpge-4" in found.warnings


def test_runs_without_times_are_named_where_they_may_be_meant(catalog, selections):
    for number in (8, 9):
        catalog.register_run(make_run(number))
    flag(catalog, start_ns=at(0))
    flag(catalog, "noise", first_run=9, last_run=9)
    for expression, meant in (
        ("run > 3", ("hpge-8", "hpge-9")),
        ("run == 8", ("hpge-8",)),
        ("time > 2020-01-01", ("hpge-8", "hpge-9")),
        ('not flag("trip")', ("hpge-8", "hpge-9")),
        ('flag("noise")', ("hpge-9",)),
        ('not flag("noise") and run > 3', ("hpge-8",)),
        ('pv("T") > 1 and run == 1', ()),
    ):
        selections.define("x", expression, author="ada")
        assert selections.resolution("x").without_times == meant, expression


def test_a_flag_that_is_superseded_or_taken_back_does_not_count(catalog, selections):
    first = flag(catalog, first_run=1, last_run=3)
    selections.define("x", 'flag("trip")', author="ada")
    assert list(seconds(selections.resolution("x"))) == [1, 2, 3]
    second = flag(catalog, first_run=2, last_run=2, supersedes=first.flag_id)
    assert list(seconds(selections.resolution("x"))) == [2]
    flag(catalog, first_run=2, last_run=2, supersedes=second.flag_id, is_withdrawal=True)
    assert seconds(selections.resolution("x")) == {}


# ---------------------------------------------------------------- definitions
def test_a_definition_is_refused_where_it_cannot_be_meant(selections):
    with pytest.raises(ExpressionError):
        selections.define("x", "run ==", author="ada")
    with pytest.raises(UsageError, match="'nois' is no flag of this experiment") as found:
        selections.define("x", 'flag("nois")', author="ada")
    assert "did you mean 'noise'?" in found.value.do
    assert selections.definitions() == []


def test_names_that_nobody_knows_are_refused_all_at_once(catalog, selections):
    with pytest.raises(UsageError) as found:
        selections.define("x", 'detector == "hpg" and type != "fysics" and pv("HALFF") > 1 and run > 3', author="ada")
    assert found.value.what == (
        "'hpg' is no detector of this experiment; 'fysics' is no type of runs of this experiment;"
        " 'HALFF' is no PV of this experiment"
    )
    assert found.value.do == "did you mean 'hpge'?; did you mean 'physics'?; did you mean 'HALF'?"
    with pytest.raises(UsageError) as found:
        selections.define("x", 'detector in ["zzz", "hpge"]', author="ada")
    assert found.value.do == "name a detector: hpge"
    assert selections.definitions() == []


def test_a_pv_is_described_under_every_form_of_its_name(selections):
    selections.define("x", 'pv("T.VAL") > 3 and pv("pva://HALF") > 0', author="ada")
    with pytest.raises(UsageError, match="'pva://HALFF' is no PV"):
        selections.define("x", 'pv("pva://HALFF") > 3', author="ada")


def test_what_is_on_record_may_be_named_though_nobody_describes_it_any_more(catalog, make_selections, pvs):
    catalog.register_run(Run(run_id="nai-1", detector="nai", number=1, run_type="fun", time_source=TimeSource.GIVEN))
    before = make_selections()
    pvs["GONE"] = FakePv([(0, 1.0)])
    with pytest.raises(UsageError, match="'GONE' is no PV"):
        before.define("x", 'pv("GONE") > 0', author="ada")
    selections = make_selections()
    selections.define("x", 'detector == "nai" and type == "fun" and pv("GONE") > 0', author="ada")
    with pytest.raises(UsageError, match="'naj' is no detector"):
        selections.define("x", 'detector == "naj"', author="ada")


def test_an_unknown_selection_names_the_nearest(selections):
    selections.define("argon", "all", author="ada")
    with pytest.raises(SelectionNotFound) as found:
        selections.resolution("argn")
    assert (found.value.what, found.value.do) == ("there is no selection argn among 1", "did you mean argon?")


def test_text_defines_and_the_catalog_records(catalog, make_selections):
    selections = make_selections(x="run == 1")
    assert selections.definition("x").source == "selections/x.toml"
    with pytest.raises(SelectionInText, match="defined by text, and changed there"):
        selections.define("x", "all", author="ada")
    with pytest.raises(SelectionInText):
        selections.import_list("x", "{}", "cms-golden", file="g.json", detector=None, author="ada")
    frozen, _ = selections.freeze("x", author="ada")
    assert (frozen.source, frozen.revision, frozen.expression, frozen.remark) == ("catalog", 1, "run == 1", "")
    later = make_selections(x="all")
    assert later.definition("x").remark == "selections/x.toml says something else by now"
    assert seconds(later.resolution("x")) == {1: [(0, 100)]}
    for expression in ("all", "nonsense", 'detector == "nobody"'):  # also what could not be defined anywhere
        with pytest.raises(SelectionFrozen):
            later.define("x", expression, author="ada")
    with pytest.raises(SelectionFrozen):
        later.import_list("x", "no list", "cms-golden", file="g.json", detector=None, author="ada")


# ---------------------------------------------------------------- frozen
def test_a_frozen_selection_is_what_it_was(catalog, selections):
    trip = flag(catalog, first_run=1, last_run=1)
    selections.define("x", 'not flag("trip") and run < 3', author="ada")
    frozen, before = selections.freeze("x", author="bo")
    assert selections.today("x").is_same
    catalog.update_run_times("hpge-2", start_ns=at(120), stop_ns=at(200), time_source=make_run(2).time_source)
    flag(catalog, first_run=1, last_run=1, supersedes=trip.flag_id, is_withdrawal=True)
    flag(catalog, start_ns=at(190), stop_ns=at(200))
    after = selections.resolution("x")
    assert seconds(after) == seconds(before) == {2: [(100, 200)]}
    assert after.detectors == before.detectors
    assert selections.definition("x") == frozen
    today = selections.today("x")
    zero = at(0)
    pieces = [
        (
            piece.run.number,
            [(i.start_ns - zero) / 1e9 for i in piece.intervals],
            [reason.kind for reason in piece.reasons],
        )
        for piece in (*today.only_left, *today.only_right)
    ]
    assert pieces == [(2, [100], ["record"]), (2, [190], ["flag"]), (1, [0], ["flag"])]
    assert today.only_right[0].reasons[0].flags == (trip,)


def test_what_is_frozen_is_its_canonical_document(catalog, selections):
    flag(catalog, start_ns=at(50), stop_ns=at(60))
    selections.define("x", 'not flag("trip")', author="ada")
    frozen, resolution = selections.freeze("x", author="bo")
    text = selections.export_json("x")
    assert hashlib.sha256(text.encode()).hexdigest() == frozen.sha256
    document = json.loads(text)
    assert canonical_json(document) == text
    assert document["runs"][0]["intervals"][0] == ["2020-09-13T12:26:40.000000000Z", "2020-09-13T12:27:30.000000000Z"]
    assert [entry["reason"] for entry in document["flags"]] == ["seen"]
    assert (document["author"], document["experiment"], document["code"]) == ("bo", "TEST", "nualley 0")
    again = read_frozen(text).to_resolution()
    assert [run.amounts for run in again.runs] == [run.amounts for run in resolution.runs]
    (activity,) = catalog.activities(f"selection x sha256:{frozen.sha256}")
    assert activity.inputs == ("hpge-1", "hpge-2", "hpge-3")


@pytest.mark.parametrize(
    "change", [lambda text: text + "\n", lambda text: text.replace('"bo"', '"zoe" '), lambda text: text[:-1]]
)
def test_a_document_that_was_touched_is_refused(selections, change):
    selections.define("x", "all", author="ada")
    selections.freeze("x", author="bo")
    with pytest.raises(ListUnreadable):
        read_frozen(change(selections.export_json("x")))


def test_every_key_of_a_document_is_in_its_schema(selections):
    selections.define("x", "all", author="ada")
    selections.freeze("x", author="bo")
    schema = FrozenSelection.model_json_schema()
    assert set(json.loads(selections.export_json("x"))) == set(schema["properties"]) == set(schema["required"])
    tables = [schema, *schema["$defs"].values()]
    assert all(table["additionalProperties"] is False for table in tables)
    assert all(field.get("description") for table in tables for field in table["properties"].values())


def test_a_draft_has_no_document_and_a_frozen_one_is_frozen_once(selections):
    selections.define("x", "all", author="ada")
    with pytest.raises(NotExpressible, match="is a draft"):
        selections.export_json("x")
    selections.freeze("x", author="ada")
    with pytest.raises(SelectionFrozen, match="is frozen already"):
        selections.freeze("x", author="ada")


def test_who_defines_while_another_one_freezes_is_not_lost(catalog, selections, monkeypatch):
    selections.define("x", "run == 1", author="ada")
    resolve = selections._resolution

    def slow(*arguments):
        found = resolve(*arguments)
        # somebody else, in the middle
        thread = threading.Thread(target=lambda: selections.define("x", "run == 2", author="bo"))
        thread.start()
        thread.join()
        return found

    monkeypatch.setattr(selections, "_resolution", slow)
    with pytest.raises(SelectionChanged, match="defined anew by bo"):
        selections.freeze("x", author="ada")
    assert selections.definition("x").expression == "run == 2"


# ---------------------------------------------------------------- differences
def test_a_difference_says_why_and_how_many_protons(catalog, selections):
    noise = flag(catalog, "noise", first_run=3, last_run=3)
    trip = flag(catalog, start_ns=at(120), stop_ns=at(130))
    selections.define("a", "all", author="ada")
    selections.define("b", 'run != 1 and not flag("noise") and not (flag("trip") or pv("T") > 3)', author="ada")
    found = selections.diff("a", "b")
    rows = [
        (
            piece.run.number,
            piece.intervals.duration_s,
            [(reason.kind, reason.text, reason.flags) for reason in piece.reasons],
        )
        for piece in found.only_left
    ]
    last = 'not (flag("trip") or pv("T") > 3)'
    assert rows == [
        (1, 100, [("condition", "run != 1", ())]),
        (2, 10, [("flag", last, (trip,))]),
        (2, 50, [("condition", last, ())]),
        (3, 100, [("flag", 'not flag("noise")', (noise,)), ("condition", last, ())]),
    ]
    assert [piece.amounts.pot for piece in found.only_left] == pytest.approx(
        [100 * RATE, 10 * RATE, 50 * RATE, 100 * RATE]
    )
    assert found.only_right == []
    assert found.left_sums["hpge"].amounts.pot == pytest.approx(300 * RATE)
    assert found.right_sums["hpge"].amounts.pot == pytest.approx(40 * RATE)
    assert not found.is_same
    assert selections.diff("b", "a").only_right == found.only_left
    assert selections.diff("a", "a").is_same


def test_what_is_not_known_is_told_as_a_reason_of_its_own(selections):
    selections.define("a", "run == 1", author="ada")
    selections.define("b", 'run == 1 and pv("NOBODY") > 1', author="ada")
    ((piece,), ()) = (selections.diff("a", "b").only_left, selections.diff("a", "b").only_right)
    assert [(reason.kind, reason.text) for reason in piece.reasons] == [("undecided", 'pv("NOBODY") > 1')]
    assert selections.resolution("b").detectors["hpge"].undecided_s == 100


# ---------------------------------------------------------------- lists
GOLDEN = '{"1": [[1, 1]], "2": [[4, 9]], "190645": [[10, 110]]}\n'


def test_a_golden_json_of_a_detector(selections):
    for _ in range(2):
        found = selections.import_list("g", GOLDEN, "cms-golden", file="g.json", detector="hpge", author="ada")
        assert found.revision == 1
    resolution = selections.resolution("g")
    one, two, far = resolution.runs
    assert (one.is_whole, one.amounts.livetime_s, one.remark) == (True, 100, "")
    assert one.amounts.pot == pytest.approx(100 * RATE)
    assert (two.is_known, two.intervals, two.amounts.pot) == (True, None, None)
    assert "does not know when its blocks were" in two.remark
    assert (far.is_known, far.intervals, far.amounts.livetime_s, far.amounts.pot) == (False, None, None, None)
    assert resolution.detectors["hpge"].n_unknown == 2
    frozen, again = selections.freeze("g", author="ada")
    assert any("does not know" in warning and "hpge-190645" in warning for warning in again.warnings)
    assert frozen.sha256
    assert selections.export("g", "cms-golden") == GOLDEN
    assert selections.today("g").is_same


def test_without_a_detector_keys_stay_as_they_are_read(selections):
    selections.import_list("g", GOLDEN, "cms-golden", file="g.json", detector=None, author="ada")
    runs = selections.resolution("g").runs
    assert [(run.listed.detector, run.listed.number, run.amounts.pot) for run in runs] == [
        (None, 1, None),
        (None, 2, None),
        (None, 190645, None),
    ]
    assert selections.export("g", "cms-golden") == GOLDEN


def test_a_number_of_several_periods_is_nobodys(selections):
    text = "valid:\n  phy:\n    p02: r001\n    p03: r001..r002\n"
    selections.import_list("l", text, "legend-yaml", file="l.yaml", detector="hpge", author="ada")
    runs = selections.resolution("l").runs
    assert [(run.listed.period, run.listed.number, run.is_known) for run in runs] == [
        ("phy/p02", 1, False),
        ("phy/p03", 1, False),
        ("phy/p03", 2, True),
    ]
    warnings = " ".join(selections.resolution("l").warnings)
    assert "runs that stand in several periods, without live time and protons: hpge-1" in warnings
    assert "does not know" not in warnings
    assert selections.export("l", "legend-yaml") == text


def test_a_csv_is_cut_to_its_runs_and_says_so(selections):
    text = f"detector,run,start_ns,stop_ns\nhpge,1,{at(50)},{at(120)}\nhpge,77,{at(0)},{at(1)}\n"
    selections.import_list("c", text, "csv", file="c.csv", detector=None, author="ada")
    one, far = selections.resolution("c").runs
    assert (one.intervals, one.remark) == (IntervalSet.of(at(50), at(100)), "20 s of the list lie outside of the run")
    assert one.amounts.pot == pytest.approx(50 * RATE)
    assert (far.intervals.duration_s, far.amounts.pot) == (1, None)
    assert selections.export("c", "csv") == text


def test_a_list_beside_an_expression(selections):
    selections.import_list("g", '{"1": [[1, 1]]}', "cms-golden", file="g.json", detector="hpge", author="ada")
    selections.define("x", "run < 3", author="ada")
    (piece,) = selections.diff("x", "g").only_left
    assert (piece.run.number, piece.reasons[0].kind, piece.reasons[0].text) == (
        2, "list", "not in the list that was read from g.json",
    )  # fmt: skip
    selections.import_list(
        "g2", '{"1": [[1, 5]], "9": [[2, 8]]}', "cms-golden", file="h.json", detector="d", author="a"
    )
    selections.import_list("g3", '{"9": [[4, 5]]}', "cms-golden", file="h.json", detector="d", author="ada")
    found = selections.diff("g2", "g3")
    assert [(piece.run.number, piece.blocks) for piece in found.only_left] == [(1, ((1, 5),)), (9, ((2, 3), (6, 8)))]
    assert found.only_right == []


def test_a_list_that_names_a_run_twice_is_refused(selections):
    with pytest.raises(ListUnreadable, match="names run hpge-1 twice"):
        selections.import_list("g", '{"1": [], "01": []}', "cms-golden", file="g", detector="hpge", author="ada")


def test_an_expression_becomes_a_list_and_is_the_same_again(selections):
    selections.define("x", "run in 1..2", author="ada")
    for format_ in ("cms-golden", "legend-yaml", "csv"):
        text = selections.export("x", format_, detector="hpge")
        selections.import_list(f"x-{format_}", text, format_, file="x", detector="hpge", author="ada")
        assert seconds(selections.resolution(f"x-{format_}")) == seconds(selections.resolution("x"))


# ---------------------------------------------------------------- what is not known of the beam
_OF_BEAM = ("pot", "pot_live", "energy_GWh", "beam_on_s", "n_pulses", "pot_charge")


def test_of_a_beam_that_nobody_knew_nothing_is_said(make_selections, pvs):
    pvs[BEAM["power"]["pv"]] = FakePv([(250, 1.0)])
    selections = make_selections()
    selections.define("dark", "run in 1..2", author="ada")
    selections.define("dim", "run == 3", author="ada")
    found, resolution = selections.freeze("dark", author="ada")
    document = json.loads(found.content or "")
    of_runs = [run["amounts"] for run in document["runs"]]
    shown = resolution.to_json()
    for amounts in (*of_runs, document["detectors"]["hpge"]["amounts"], *shown["runs"], shown["detectors"]["hpge"]):
        assert [amounts.get(name) for name in _OF_BEAM] == [None] * len(_OF_BEAM)
        assert amounts["livetime_s"] == amounts["unknown_s"] > 0
    beam = "hpge: the beam is not known for 3 min 20 s, which is all of it: protons are not known"
    assert beam in resolution.warnings
    assert beam in document["warnings"]
    (piece,) = selections.diff("dark", "dim").to_json()["only_right"]
    assert piece["pot"] == pytest.approx(50 * RATE)
    assert [piece["pot"] for piece in selections.diff("dark", "dim").to_json()["only_left"]] == [None, None]
    # of a part of the time it is known: that is a sum
    (row,) = selections.resolution("dim").runs
    assert row.amounts.pot == pytest.approx(50 * RATE)
    assert "hpge: the beam is not known for 50 s of 1 min 40 s: protons of then are in no sum" in (
        selections.resolution("dim").warnings
    )


def test_documents_of_old_that_say_0_stay_what_they_are_and_are_read_as_not_known(make_selections, pvs):
    pvs[BEAM["power"]["pv"]] = FakePv([(250, 1.0)])
    selections = make_selections()
    selections.define("dark", "run == 1", author="ada")
    new, _ = selections.freeze("dark", author="ada")
    document = json.loads(new.content or "")
    for amounts in (document["runs"][0]["amounts"], document["detectors"]["hpge"]["amounts"]):
        amounts.update(dict.fromkeys(_OF_BEAM, 0))
    old = read_frozen(canonical_json(document))  # still its own canonical text
    assert old.to_json() == canonical_json(document)
    assert old.to_resolution().to_json() == read_frozen(new.content or "").to_resolution().to_json()


def test_an_empty_selection_is_told_before_it_is_cited(selections):
    selections.define("none", "run == 7", author="ada")
    _, resolution = selections.freeze("none", author="ada")
    assert resolution.warnings == ("nothing is selected: it holds in no run whose times are known",)
