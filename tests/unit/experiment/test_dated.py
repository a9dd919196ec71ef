"""Values with validity: forms in TOML, moments, overlaps."""

from datetime import date, datetime

import pytest
from pydantic import BaseModel, ValidationError

from nualley.core import DAY_NS, parse_time_ns
from nualley.experiment import BEGINNING_NS, FOREVER_NS, Dated, Period
from nualley.experiment.dated import check_disjoint
from nualley.experiment.quantities import MassKg

Mass = Dated[MassKg]


def ns(text: str) -> int:
    return parse_time_ns(text, 0)


def test_a_plain_value_holds_always() -> None:
    mass = Mass.model_validate("14.6 kg")
    assert [mass.at(time_ns) for time_ns in (BEGINNING_NS, 0, FOREVER_NS - 1)] == [14.6, 14.6, 14.6]
    assert mass.entries[0].source == "unknown"


def test_unknown_is_allowed_in_every_form() -> None:
    assert Mass.model_validate("unknown").at(0) is None
    assert Mass.model_validate({"value": "unknown", "source": "nobody"}).at(0) is None
    assert Dated[str].model_validate("unknown").at(0) is None


def test_a_table_keeps_source_and_note() -> None:
    entry = Mass.model_validate({"value": "1 kg", "source": "arXiv:1708.01294", "note": "dry"}).entries[0]
    assert (entry.value, entry.source, entry.note) == (1.0, "arXiv:1708.01294", "dry")


def test_a_list_changes_on_its_dates_half_open() -> None:
    mass = Mass.model_validate(
        [{"value": "2 kg", "from": date(2020, 1, 1), "to": "2021-01-01"}, {"value": "1 kg", "to": date(2020, 1, 1)}]
    )
    change = ns("2020-01-01")
    assert mass.at(change - 1) == 1.0
    assert mass.at(change) == 2.0
    assert mass.at(ns("2021-01-01") - 1) == 2.0
    assert mass.at(ns("2021-01-01")) is None


def test_entries_keep_the_order_of_the_file() -> None:
    mass = Mass.model_validate([{"value": "2 kg", "from": date(2020, 1, 1)}, {"value": "1 kg", "to": date(2020, 1, 1)}])
    assert [entry.value for entry in mass.entries] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("moment", "time_ns"),
    [
        (date(1970, 1, 2), DAY_NS),
        (datetime.fromisoformat("1970-01-01T01:00:00+01:00"), 0),
        (datetime.fromisoformat("1970-01-01T00:00:00.000001+00:00"), 1000),
        (datetime.fromisoformat("1969-12-31T23:59:59+00:00"), -1_000_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-02", DAY_NS),
    ],
)
def test_moments_are_dates_and_times_with_zone(moment: object, time_ns: int) -> None:
    assert Period.model_validate({"from": moment}).from_ns == time_ns


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (datetime.fromisoformat("2020-01-01T00:00:00"), "2020-01-01T00:00:00 has no time zone"),
        ("now", "'now' is not a moment that stays the same"),
        ("-2h", "'-2h' is not a moment that stays the same"),
        (2020, "2020 is not a moment that stays the same"),
        ("2020-01-01T00:00:00", "has no time zone"),
        ("2020-13-01", "is not a time"),
    ],
)
def test_other_moments_are_refused(moment: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Period.model_validate({"from": moment})


@pytest.mark.parametrize("stop", [date(2019, 12, 31), date(2020, 1, 1)])
def test_a_period_must_not_stop_before_it_starts(stop: date) -> None:
    with pytest.raises(ValidationError, match="a moment after 'from'") as caught:
        Period.model_validate({"from": date(2020, 1, 1), "to": stop})
    assert caught.value.errors()[0]["loc"] == ("to",)


def test_every_overlap_is_located_at_the_later_entry() -> None:
    with pytest.raises(ValidationError) as caught:
        Mass.model_validate(
            [
                {"value": "3 kg", "from": "2021-06-01"},
                {"value": "1 kg", "to": "2020-01-01"},
                {"value": "2 kg", "from": "2019-12-31", "to": "2022-01-01"},
            ]
        )
    assert [error["loc"] for error in caught.value.errors()] == [("entries", 2, "from"), ("entries", 0, "from")]
    assert "at or after 2020-01-01T00:00:00Z" in caught.value.errors()[0]["msg"]


def test_an_entry_without_end_overlaps_whatever_comes_later() -> None:
    with pytest.raises(ValidationError, match="has no 'to'"):
        Mass.model_validate([{"value": "1 kg"}, {"value": "2 kg", "from": "2020-01-01"}])


def test_touching_entries_do_not_overlap() -> None:
    periods = tuple(
        Period.model_validate(table) for table in ({"to": "2020-01-01"}, {"from": "2020-01-01", "to": "2020-01-02"})
    )
    assert check_disjoint(periods) == periods


def test_an_empty_list_holds_no_value() -> None:
    with pytest.raises(ValidationError, match="an empty list holds no value"):
        Mass.model_validate([])


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        Mass.model_validate({"value": "1 kg", "form": "2020-01-01"})
    assert caught.value.errors()[0]["type"] == "extra_forbidden"


def test_open_ends_are_the_ends_of_int64() -> None:
    interval = Period.model_validate({}).interval
    assert (interval.start_ns, interval.stop_ns) == (BEGINNING_NS, FOREVER_NS)


def test_the_schema_tells_the_three_forms() -> None:
    class Table(BaseModel):
        mass: Mass

    schema = Table.model_json_schema()
    value, unknown, table, several = schema["$defs"]["Dated_MassKg_"]["anyOf"]
    assert schema["$defs"][value["$ref"].rpartition("/")[2]] == {"type": "string", "examples": ["14.6 kg"]}
    assert unknown == {"const": "unknown"}
    assert several == {"type": "array", "items": table, "minItems": 1}
    entry = schema["$defs"][table["$ref"].rpartition("/")[2]]
    assert set(entry["properties"]) == {"value", "from", "to", "source", "note"}
