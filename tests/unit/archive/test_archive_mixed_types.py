"""A PV that was text once and numbers at another time: numbers stay numbers in bins, and what is none is told of."""

import pytest

from nualley.archive.errors import NoNumbersError
from nualley.core import SECOND_NS
from nualley.pv import ValueType


@pytest.fixture(params=["log", "sealed"])
def told(bench, request):
    """Three numbers, then two words, a second each; return the bench and the stretches of both."""
    begin_ns = bench.clock.time_ns
    bench.emit(bench.connect("P"))
    for value, value_type in [
        (1.0, ValueType.FLOAT64),
        (2.0, ValueType.FLOAT64),
        (6.0, ValueType.FLOAT64),
        ("off", ValueType.STRING),
        ("on", ValueType.STRING),
    ]:
        bench.emit(bench.sample("P", value, value_type))
        bench.clock.advance(1)
        bench.emit(bench.life())
        bench.commit()
    if request.param == "sealed":
        bench.seal()
    return bench, (begin_ns, begin_ns + 3 * SECOND_NS), (begin_ns + 3 * SECOND_NS, begin_ns + 5 * SECOND_NS)


def test_numbers_of_a_pv_that_is_text_now_are_numbers_in_bins(told):
    bench, (start_ns, _), (_, stop_ns) = told
    reader = bench.reader()
    (row,) = reader.bins("P", start_ns, stop_ns, 1, is_exact=True).to_pylist()
    assert (row["n_good"], row["min"], row["mean"], row["max"]) == (3, 1.0, 3.0, 6.0)


def test_what_is_no_number_is_told_of_where_numbers_stand_beside_it(told):
    bench, numbers, words = told
    reader = bench.reader()
    assert reader.mixed_types("P", numbers[0], words[1]) == [ValueType.FLOAT64, ValueType.STRING]
    assert reader.mixed_types("P", *numbers) == []
    assert reader.mixed_types("P", *words) == []


def test_a_stretch_of_words_alone_has_no_bins(told):
    bench, _, words = told
    with pytest.raises(NoNumbersError, match="P holds string"):
        bench.reader().bins("P", *words, 1)
