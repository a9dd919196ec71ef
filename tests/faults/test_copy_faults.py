"""Faults in the middle of a copy, with real processes: what nualley promises, beside what others leave behind."""

import os
from collections.abc import Iterator

import pytest

from tools.copy_faults import FAULTS, PAGE, Bench, Cell, Tool, find_tools, measure, measure_all, open_bench

pytestmark = [pytest.mark.fault, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with open_bench(16 << 20) as made:
        yield made


def tool(bench: Bench, name: str) -> Tool:
    found = {each.name.split()[0]: each for each in find_tools(bench.experiment)}
    if name not in found:
        _lacking(f"{name} is not installed: sudo apt-get install {name}")
    return found[name]


def _lacking(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def measured(cell: Cell) -> Cell:
    if cell.text.startswith("not measured") and "before the change" not in cell.text:
        _lacking(cell.text)
    return cell


@pytest.mark.parametrize("fault", FAULTS)
def test_what_nualley_promises_of_a_copy(bench: Bench, fault: str, seed: int) -> None:
    cell = measured(measure(FAULTS[fault], tool(bench, "nualley"), bench, seed=seed, n_tries=1))
    assert cell.is_kept is not False, cell.text


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("cp", "the drive is full"),
        ("cp", "reading the source fails (EIO)"),
        ("cp", "the list of files is wrong"),
        ("cp", "the power is cut"),
        ("rsync", "a file of that name appears meanwhile"),
        ("rclone", "the list of files is wrong"),
    ],
)
def test_what_others_leave_behind_is_found_out(bench: Bench, name: str, fault: str, seed: int) -> None:
    """A measure that cannot fail would say nothing of us."""
    assert measured(measure(FAULTS[fault], tool(bench, name), bench, seed=seed, n_tries=2)).is_kept is False


def test_the_table_of_a_soak(seed: int, is_soak: bool) -> None:
    if not is_soak:
        assert PAGE.read_text().count("| ") > len(FAULTS), "make soak writes it"
        return
    text, broken = measure_all(seed=seed, n_tries=20, size_B=64 << 20)
    PAGE.write_text(text)
    assert broken == []
