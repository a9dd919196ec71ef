"""Histories of drives: read strictly, every mistake with its line."""

from datetime import date

import numpy as np
import pytest

from nualley.storage import FillHistory, WrongHistory
from nualley.storage.fill_history import gross_changes, net_changes, read_history

HEAD = "day,used_B,written_B,capacity_B\n"


def read(text: str) -> FillHistory:
    return read_history(text.splitlines(keepends=True), "data3", "data3.csv")


def test_days_come_in_any_order_and_missing_ones_lie_on_a_line() -> None:
    history = read(HEAD + "2026-01-04,400,150,1000\n2026-01-01,100,10,900\n2026-01-02,200,120,900\n")
    assert (history.drive, history.first_day, history.capacity_B) == ("data3", date(2026, 1, 1), 1000)
    assert history.used_B.tolist() == [100, 200, 300, 400]
    assert net_changes(history).tolist() == [100, 100, 100]
    # what was written on a day that is missing is at least what the drive grew by
    assert gross_changes(history).tolist() == [120, 100, 150]


def test_what_was_written_may_be_left_out() -> None:
    history = read("day,used_B,capacity_B\n2026-01-01,500,900\n2026-01-02,300,900\n2026-01-03,350,900\n")
    assert np.isnan(history.written_B).all()
    assert gross_changes(history).tolist() == [0, 50]


def test_columns_may_stand_in_any_order_beside_others_and_behind_a_byte_order_mark() -> None:
    history = read("\ufeffcapacity_B,note,day,used_B\n900,x,2026-01-01,100\n")
    assert history.used_B.tolist() == [100]


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "the column day is missing, found nothing", "data3.csv:1"),
        ("day,used,capacity_B\n", "the column used_B is missing", "data3.csv:1"),
        (HEAD, "there is no day in it", "data3.csv"),
        (HEAD + "2026-01-01,1,1,9\n2026-01-01,2,1,9\n", "2026-01-01 is there twice", "data3.csv:3"),
        (HEAD + "yesterday,1,1,9\n", "'yesterday' is no day", "data3.csv:2"),
        (HEAD + "2026-01-01,-1,1,9\n", "used_B is '-1'", "data3.csv:2"),
        (HEAD + "2026-01-01,nan,1,9\n", "used_B is 'nan'", "data3.csv:2"),
        (HEAD + "2026-01-01,1e999,1,9\n", "used_B is '1e999'", "data3.csv:2"),
        (HEAD + "2026-01-01,1,many,9\n", "written_B is 'many'", "data3.csv:2"),
        (HEAD + "2026-01-01,1,1,0\n", "capacity_B is '0'", "data3.csv:2"),
        (HEAD + "2026-01-01,1\n", "capacity_B is ''", "data3.csv:2"),
        (HEAD + "0001-01-01,1,1,9\n2026-01-01,1,1,9\n", "it reaches from 0001-01-01 to 2026-01-01", "data3.csv"),
    ],
)
def test_a_history_that_cannot_be_is_refused_with_its_line(text: str, what: str, where: str) -> None:
    with pytest.raises(WrongHistory, match=what) as caught:
        read(text)
    assert caught.value.where == where
    assert caught.value.do
