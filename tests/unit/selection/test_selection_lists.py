"""Lists of others: what they say, and what is refused."""

import pytest

from nualley.core import IntervalSet
from nualley.selection import ListUnreadable, NotExpressible
from nualley.selection.lists import listed_runs, make_list, read_list, write_list
from nualley.selection.models import ListedRun, SelectedRun

GOLDEN = '{"190645": [[10, 110]], "190704": [[1, 3]], "0042": []}'
LEGEND = """\
valid:
  phy:
    p02: r000..r002
    p03:
    - r000..r001
    - r005
  cal:
    hpge: r007
"""
CSV = "detector,run,start_ns,stop_ns\nhpge,1,10,20\nhpge,1,30,40\nd2o-1,7,5,6\n"


def selected(number=1, detector="hpge", **changes):
    values = {"intervals": IntervalSet.of(0, 10), "is_known": True, "is_whole": True}
    listed = ListedRun(detector=detector, number=number, blocks=changes.pop("blocks", None))
    return SelectedRun(listed=listed, **(values | changes))


@pytest.mark.parametrize(("format_", "text"), [("cms-golden", GOLDEN + "\n"), ("legend-yaml", LEGEND), ("csv", CSV)])
def test_a_list_comes_out_as_it_went_in(format_, text):
    assert write_list(read_list(text, format_), format_) == text


def test_golden_runs_are_those_of_the_detector_and_keys_stay():
    runs = listed_runs(read_list(GOLDEN, "cms-golden"), "cms-golden", None)
    assert [(run.detector, run.number, run.blocks) for run in runs] == [
        (None, 190645, ((10, 110),)),
        (None, 190704, ((1, 3),)),
        (None, 42, ()),
    ]
    assert listed_runs(read_list(GOLDEN, "cms-golden"), "cms-golden", "hpge")[0].run_id == "hpge-190645"
    assert listed_runs(read_list('{"d2o-1-7": [[1, 1]]}', "cms-golden"), "cms-golden", "hpge")[0].run_id == "d2o-1-7"


def test_legend_periods_and_detectors():
    runs = listed_runs(read_list(LEGEND, "legend-yaml"), "legend-yaml", None)
    assert [(run.detector, run.number, run.period) for run in runs] == [
        (None, 0, "phy/p02"),
        (None, 1, "phy/p02"),
        (None, 2, "phy/p02"),
        (None, 0, "phy/p03"),
        (None, 1, "phy/p03"),
        (None, 5, "phy/p03"),
        ("hpge", 7, "cal/hpge"),
    ]


@pytest.mark.parametrize(
    ("format_", "text", "what"),
    [
        ("cms-golden", "{", "the file is no JSON"),
        ("cms-golden", "[" * 100_000, "the file is no JSON"),
        ("cms-golden", "[]", "expected an object of runs"),
        ("cms-golden", '{"1": 2}', "expected a list of ranges"),
        ("cms-golden", '{"1": [[1]]}', "expected first and last block"),
        ("cms-golden", '{"1": [[2, 1]]}', "expected first and last block"),
        ("cms-golden", '{"1": [[1, true]]}', "expected first and last block"),
        ("cms-golden", '{"1": [[1, 5], [5, 7]]}', "ranges that do not overlap"),
        ("cms-golden", '{"1": [], "1": []}', "'1' twice"),
        ("cms-golden", '{"run": []}', "the number of a run"),
        ("legend-yaml", "a: [", "the file is no YAML"),
        ("legend-yaml", "- r000", "expected tables of runs"),
        ("legend-yaml", "valid: {phy: {p02: run5}}", "expected a range such as r000..r003"),
        ("legend-yaml", "valid: {phy: {p02: r005..r001}}", "a range that does not end before it begins"),
        ("legend-yaml", "valid: {phy: {p02: r0..r99999999}}", "of at most 1000000 runs"),
        ("legend-yaml", "valid: {phy: {p02: [r000, r000]}}", "run 0 twice"),
        ("legend-yaml", "valid: {phy: 5}", "expected a range"),
        ("legend-yaml", "valid: {phy: r000, phy: r001}", "stands there twice"),
        ("legend-yaml", "a: &x r000\nb: *x", "references"),
        ("legend-yaml", "a: !!python/object:os.system r000", "no YAML"),
        ("csv", "", "a line of names"),
        ("csv", "runs\n1\n", "did you mean run"),
        ("csv", "detector\nhpge\n", "no column run"),
        ("csv", "run,start_ns\n1,2\n", "both or none"),
        ("csv", "run\n1,2\n", "2 cells"),
        ("csv", "run\nx\n", "'x' as run"),
        ("csv", "run,start_ns,stop_ns\n1,5,5\n", "a stretch without length"),
        ("csv", "run,start_ns,stop_ns\n1,6,5\n", "stop_ns before start_ns"),
        ("csv", "run,start_ns,stop_ns\n1,1,5\n1,4,8\n", "stretches that overlap"),
        ("csv", "run,start_ns,stop_ns\n1,1,5\n1,,\n", "in some lines of the run only"),
        ("csv", "run,start,stop\n1,2026-01-01,2026-01-01T00:00:00\n", "has no time zone"),
    ],
)
def test_what_does_not_keep_to_its_format_is_refused(format_, text, what):
    with pytest.raises(ListUnreadable) as found:
        read_list(text, format_)
    assert what in found.value.what
    assert found.value.where
    assert found.value.do


def test_a_list_is_made_of_whole_runs():
    runs = [selected(1), selected(2), selected(3), selected(7), selected(9, "d2o-1")]
    types = {"hpge-1": "physics", "hpge-2": "physics", "hpge-3": "physics", "hpge-7": "calibration"}
    assert make_list(runs, "legend-yaml", types, "x") == {
        "valid": {"phy": {"hpge": "r001..r003"}, "cal": {"hpge": "r007"}, "any": {"d2o-1": "r009"}}
    }
    assert make_list([selected(1), selected(2, blocks=((3, 5),))], "cms-golden", {}, "x") == {
        "1": [[1, 1]],
        "2": [[3, 5]],
    }


@pytest.mark.parametrize(
    ("runs", "format_", "what"),
    [
        ([selected(is_whole=False)], "cms-golden", "takes parts of 1 runs (hpge-1), cms-golden knows whole runs only"),
        ([selected(is_whole=False)], "legend-yaml", "legend-yaml knows whole runs only"),
        ([selected(is_known=False)], "cms-golden", "takes parts of 1 runs"),
        ([selected(is_known=False, intervals=None, blocks=((1, 2),))], "legend-yaml", "takes parts of 1 runs"),
        ([selected(), selected(detector="d2o-1")], "cms-golden", "run 1 of several detectors"),
    ],
)
def test_what_a_format_cannot_say_is_refused(runs, format_, what):
    with pytest.raises(NotExpressible) as found:
        make_list(runs, format_, {}, "x")
    assert what in found.value.what
    assert found.value.exit_code == 1
