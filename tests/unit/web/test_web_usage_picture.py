"""Rectangles are as large as the bytes, none lies on another, and the history carries each drive's last scan on."""

import random

import pytest

from nualley.app.usage import UsageRow
from nualley.web.usage_picture import HEIGHT, HISTORY_HEIGHT, NOBODY, WIDTH, colours, history, treemap


def row(size_B, detector=None, stage=None, drive=None, scan_ns=None):
    return UsageRow(scan_ns, {"detector": detector, "stage": stage, "drive": drive}, 1, size_B, size_B)


def test_areas_are_bytes_and_cover_all_without_overlap(seed):
    chosen = random.Random(seed)
    rows = [
        row(chosen.randrange(1, 10**13), f"d{chosen.randrange(12)}" if number % 9 else None, chosen.choice("abc"))
        for number in range(60)
    ]
    boxes = treemap(rows)
    total_B = sum(each.size_B for each in rows)
    assert sum(box.size_B for box in boxes) == total_B
    for box in boxes:
        assert box.width * box.height == pytest.approx(WIDTH * HEIGHT * box.size_B / total_B, rel=1e-6)
        assert -1e-6 <= box.x <= box.x + box.width <= WIDTH + 1e-6
        assert -1e-6 <= box.y <= box.y + box.height <= HEIGHT + 1e-6
    for _ in range(500):
        x, y = chosen.uniform(0, WIDTH), chosen.uniform(0, HEIGHT)
        assert sum(box.x < x < box.x + box.width and box.y < y < box.y + box.height for box in boxes) <= 1


def test_what_is_small_is_put_together_and_what_is_empty_is_left_out():
    boxes = treemap(
        [row(10**6, "big", "raw"), row(500, "tiny", "raw"), row(400, "least", "raw"), row(0, "none", "raw")]
    )
    assert {box.name: box.size_B for box in boxes} == {"big raw": 10**6, "others": 900}
    assert treemap([]) == []
    assert treemap([row(0, "none")]) == []


def test_what_users_keep_is_not_nobodys():
    boxes = treemap([row(5, "ge", "raw"), row(3, None, "user"), row(2)])
    assert {box.name: box.colour for box in boxes} == {"ge raw": "u0", "user": "u1", NOBODY: NOBODY}


def test_letters_stand_only_where_they_fit():
    boxes = treemap([row(10**6, "a-very-long-name-of-a-detector", "raw"), row(4000, "b" * 40, "raw")])
    assert [box.lines for box in boxes] == [("a-very-long-name-of-a-detector raw", "976.6 KiB"), ()]


def test_a_drive_counts_until_its_next_scan():
    rows = [
        row(100, "ge", drive="data1", scan_ns=0),
        row(50, "ge", drive="data2", scan_ns=10),
        row(150, None, drive="data1", scan_ns=20),
    ]
    found = history(rows, colours(rows))
    assert (found.start_ns, found.stop_ns, found.top_B) == (0, 20, 200)
    assert {band.name for band in found.bands} == {NOBODY, "ge"}
    ge = next(band for band in found.bands if band.name == "ge")
    tops = [float(point.split(",")[1]) for point in ge.points.split()[:3]]
    assert tops[1] - tops[0] == pytest.approx(-HISTORY_HEIGHT * 50 / 200)
    nobody = next(band for band in found.bands if band.name == NOBODY)
    assert float(nobody.points.split()[2].split(",")[1]) == 0
    assert history(rows[:1], colours(rows)) is None
