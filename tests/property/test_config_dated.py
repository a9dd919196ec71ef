"""Validity: at each moment at most one entry, and overlaps never pass."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nualley.core import DAY_NS
from nualley.experiment import Dated, Period

EPOCH = date(1970, 1, 1)
days = st.integers(-3000, 30000)
spans = st.tuples(days, days).map(sorted).filter(lambda span: span[0] < span[1])


def table(span: list[int]) -> dict[str, object]:
    return {"from": EPOCH + timedelta(span[0]), "to": EPOCH + timedelta(span[1]), "value": f"{span[0]}/{span[1]}"}


@given(st.lists(spans, min_size=1, max_size=6))
def test_disjoint_entries_are_found_and_others_refused(chosen: list[list[int]]) -> None:
    ordered = sorted(chosen)
    overlaps = any(first[1] > second[0] for first, second in pairwise(ordered))
    try:
        dated = Dated[str].model_validate([table(span) for span in chosen])
    except ValidationError:
        assert overlaps
        return
    assert not overlaps
    for span in chosen:
        for day in (span[0], span[1] - 1):
            assert dated.at(day * DAY_NS) == f"{span[0]}/{span[1]}"
        holding = [other for other in chosen if other[0] <= span[1] < other[1]]
        assert dated.at(span[1] * DAY_NS) == (f"{holding[0][0]}/{holding[0][1]}" if holding else None)


@given(st.integers(-(2**50), 2**53), st.integers(-14 * 60, 14 * 60))
def test_moments_are_exact_in_every_zone(time_us: int, offset_min: int) -> None:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time_us)
    there = moment.astimezone(timezone(timedelta(minutes=offset_min)))
    assert Period.model_validate({"from": there}).from_ns == time_us * 1000
    assert Period.model_validate({"from": there.isoformat()}).from_ns == time_us * 1000
