"""What is asked for: names, parameters and PVs of operators, and refusals that say what to write."""

import pytest

from nualley.archive.errors import OperatorError
from nualley.archive.operators.calls import OPERATORS, parse_call, parse_operator
from nualley.archive.operators.optimizing import Optimized
from nualley.archive.operators.picking import Count, DeadBand, Ends, Flyers, Nth
from nualley.archive.operators.statistics import Statistic


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("mean", Statistic("mean", 900, is_filled=True)),
        ("mean_600", Statistic("mean", 600, is_filled=True)),
        ("meanSample_60", Statistic("mean", 60, is_filled=False)),
        ("firstSample", Ends("first", 900, is_filled=False)),
        ("lastFill_5", Ends("last", 5, is_filled=True)),
        ("nth_10", Nth(10)),
        ("deadBand_0.5", DeadBand(0.5)),
        ("deadBand_1e-9", DeadBand(1e-9)),
        ("ignoreflyers_300_2.5", Flyers(300, 2.5, is_near=True)),
        ("ignoreflyers_300", Flyers(300, 3.0, is_near=True)),
        ("flyers", Flyers(900, 3.0, is_near=False)),
        ("optimized_800", Optimized(800, is_filled=True, has_last=False)),
        ("optimLastSample", Optimized(1000, is_filled=True, has_last=True)),
    ],
)
def test_a_name_and_its_parameters(text, operator):
    assert parse_operator(text) == operator
    assert parse_call(f"{text}(LAB:T-1.{{flv('H-GX')}})") == (operator, "LAB:T-1.{flv('H-GX')}")


@pytest.mark.parametrize("pv", ["LAB:T", "LAB:T-1.VAL", "P.{'dbnd':{'abs':1.5},'arr':{'s':1}}", "LN{A:1}Raw"])
def test_parameters_behind_the_pv_as_the_appliance_takes_them(pv):
    assert parse_call(f"mean({pv},600)") == parse_call(f"mean_600({pv})")
    assert parse_call(f"ignoreflyers({pv}, 300, 2.5)") == parse_call(f"ignoreflyers_300_2.5({pv})")
    assert parse_call(f"mean({pv})") == (Statistic("mean", 900, is_filled=True), pv)
    for wrong, said in (
        (f"mean({pv},)", "'' as width"),
        (f"mean_600({pv},5)", "2 parameters"),
        (f"mean({pv},x)", "'x'"),
    ):
        with pytest.raises(OperatorError, match=said):
            parse_call(wrong)


def test_a_count_has_no_parameters():
    assert isinstance(parse_operator("ncount"), Count)


@pytest.mark.parametrize("pv", ["LAB:T", "P.{flv('H-GX')}", "a(b", "()", "", "(PV)"])
def test_a_pv_alone(pv):
    assert parse_call(pv) == (None, pv)


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        ("meen_600", "'meen_600' is no operator", "did you mean 'mean'?"),
        ("deadband", "'deadband' is no operator", "did you mean 'deadBand'?"),
        ("zzzzzzzz", "'zzzzzzzz' is no operator", "one of firstSample"),
        ("mean_", "'' as width of the bins in seconds", "a whole number from 1 to 1e+09"),
        ("mean_0", "'0' as width", "from 1"),
        ("mean_1.5", "'1.5' as width", "a whole number"),
        ("mean_-5", "'-5' as width", "from 1"),
        ("mean_600_3", "has 2 parameters, mean takes 1", "mean, _width"),
        ("deadBand_nan", "'nan' as dead band", "a number from 0"),
        ("mean_" + "9" * 200, "is no operator", ""),
        ("mean_" + "9" * 50, "as width", "1e+09"),
    ],
)
def test_refusals(text, what, do):
    with pytest.raises(OperatorError) as caught:
        parse_operator(text)
    assert what in caught.value.what
    assert do in caught.value.do
    with pytest.raises(OperatorError):
        parse_call(f"{text}(PV)")


def test_all_of_the_appliance_are_there():
    asked = (
        "firstSample lastSample firstFill lastFill mean min max count ncount nth median std jitter variance "
        "popvariance kurtosis skewness linear optimized optimLastSample deadBand ignoreflyers flyers"
    )
    assert set(asked.split()) <= set(OPERATORS)
