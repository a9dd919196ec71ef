"""Receipts of messages in a file."""

import os

import pytest

from nualley.pv.adapters.receipts import ReceiptFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive" / "receipts"


def test_receipts_are_found_again_by_the_next_process(path):
    first = ReceiptFile(path, 3)
    first.note({"1-a": 10, "2-b": 20})
    first.close()
    second = ReceiptFile(path, 3)
    assert [second.find(key) for key in ("1-a", "2-b", "3-c")] == [10, 20, 0]
    second.note({"1-a": 30})
    assert second.find("1-a") == 30
    second.close()


def test_the_newest_are_kept_and_the_file_stays_small(path):
    file = ReceiptFile(path, 5)
    for number in range(1000):
        file.note({f"{number}-x": number + 1})
        assert path.read_bytes().count(b"\n") <= 20
    file.close()
    found = ReceiptFile(path, 5)
    assert [found.find(f"{number}-x") for number in range(994, 1000)] == [0, 996, 997, 998, 999, 1000]
    found.close()


def test_a_torn_line_and_foreign_words_are_passed_over(path):
    path.parent.mkdir()
    path.write_bytes(b"10 1-a\nwhat?\n\xff\n30 3-c\n40 4")
    file = ReceiptFile(path, 5)
    assert [file.find(key) for key in ("1-a", "3-c", "4-d")] == [10, 30, 0]
    file.note({"5-e": 50})
    file.close()
    assert path.read_text().splitlines()[-1] == "50 5-e"
    assert [ReceiptFile(path, 5).find(key) for key in ("1-a", "5-e")] == [10, 50]


def test_a_drive_that_refuses_is_told_and_the_next_receipts_are_kept(path, monkeypatch):
    file = ReceiptFile(path, 5)
    file.note({"1-a": 10})
    real = os.fdatasync

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space"):
        file.note({f"{number}-x": 1 for number in range(30)})
    monkeypatch.setattr(os, "fdatasync", real)
    file.note({"2-b": 20})
    file.close()
    assert ReceiptFile(path, 5).find("2-b") == 20
