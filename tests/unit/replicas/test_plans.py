"""Plans as text: whole lines may be taken out; whatever else is done to one is found out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.replicas import Elsewhere, Ground, PlanDamaged, Removal, RemovalPlan, plan_text, read_plan

PLAN_ID = "0123456789abcdef"
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
REMOVALS = st.builds(
    Removal,
    ground=st.sampled_from(Ground),
    drive=NAMES,
    path=NAMES.map(lambda name: f"/data1/{name}"),
    size_B=st.integers(0, 2**62),
    mtime_ns=st.integers(-(2**62), 2**62),
    ctime_ns=st.integers(0, 2**62),
    inode=st.integers(0, 2**63),
    replica_id=st.none() | st.integers(1, 2**40),
    file_id=st.none() | st.integers(1, 2**40),
    run_id=st.none() | NAMES,
    xxh3_128=st.just("") | st.just("0" * 32),
    elsewhere=st.lists(st.builds(Elsewhere, NAMES, NAMES, st.none() | st.integers(0, 2**62)), max_size=2).map(tuple),
    owner=st.none() | NAMES,
    derived_by=st.none() | NAMES,
    cost_s=st.none() | st.floats(0, 1e9),
)
PLANS = st.lists(REMOVALS, max_size=4, unique_by=lambda each: each.path).map(
    lambda removals: RemovalPlan(plan_id=PLAN_ID, experiment="coherent", created_ns=5, removals=tuple(removals))
)


def make_removal(path: str = "/data1/a", **changes: object) -> Removal:
    values = {"size_B": 10, "mtime_ns": 1, "ctime_ns": 2, "inode": 3} | changes
    return Removal(ground=Ground.STALE, drive="data1", path=path, **values)  # type: ignore[arg-type]  # as they came


PLAN = RemovalPlan(
    plan_id=PLAN_ID,
    experiment="coherent",
    created_ns=5,
    removals=tuple(make_removal(f"/data1/{name}") for name in "abc"),
)


@given(PLANS)
def test_a_plan_comes_back_as_it_was_written(plan: RemovalPlan) -> None:
    assert read_plan(plan_text(plan), "plan") == plan


@given(PLANS, st.data())
def test_any_lines_may_be_taken_out(plan: RemovalPlan, data: st.DataObject) -> None:
    lines = plan_text(plan).split("\n")
    head = next(number for number, line in enumerate(lines) if line.startswith("{"))
    kept = [data.draw(st.booleans()) for _ in plan.removals]
    left = lines[: head + 1] + [line for line, is_kept in zip(lines[head + 1 :], kept, strict=False) if is_kept]
    wanted = tuple(each for each, is_kept in zip(plan.removals, kept, strict=True) if is_kept)
    assert read_plan("\n".join(left), "plan") == replace(plan, removals=wanted)


@given(st.integers(0, 10_000), st.integers(0, 2**20), st.sampled_from(["cut", "change", "double"]))
def test_whatever_else_is_done_is_found_out_or_changes_nothing(place: int, letter: int, how: str) -> None:
    text = plan_text(PLAN)
    place %= len(text)
    if how == "cut":
        text = text[:place]
    elif how == "change":
        text = text[:place] + chr(33 + letter % 90) + text[place + 1 :]
    else:
        lines = text.split("\n")
        text = "\n".join([*lines, lines[place % len(lines)]])
    try:
        found = read_plan(text, "plan")
    except PlanDamaged:
        return
    assert set(found.removals) <= set(PLAN.removals)
    assert (found.plan_id, found.experiment) == (PLAN.plan_id, PLAN.experiment)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("/data1/a", "/data1/z", "the line was changed"),
        ('"inode": 3', '"inode": 4', "the line was changed"),
        ('"size_B": 10, ', "", "the line was changed"),
        ('"stale"', '"copies"', "the line was changed"),
        ("coherent", "incoherent", "the line was changed"),
        ('"plan": "0', '"plan": "1', "the line was changed"),
    ],
)
def test_an_edited_line_is_named_and_nothing_is_read(old: str, new: str, said: str) -> None:
    head, _, rest = plan_text(PLAN).partition("{")
    with pytest.raises(PlanDamaged, match=said) as found:
        read_plan(head + "{" + rest.replace(old, new, 1), "plan.jsonl")
    assert "plan.jsonl:" in str(found.value)
    assert "nothing was touched" in str(found.value)


def test_a_line_of_another_plan_and_a_line_twice() -> None:
    other = plan_text(replace(PLAN, plan_id="fedcba9876543210")).split("\n")
    lines = plan_text(PLAN).split("\n")
    with pytest.raises(PlanDamaged, match="of another plan"):
        read_plan("\n".join([*lines[:-1], other[-2]]), "plan")
    with pytest.raises(PlanDamaged, match="stands in it twice"):
        read_plan("\n".join([*lines[:-1], lines[-2]]), "plan")


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n", "[1]\n", '{"check": "0"}\n', "wave0.dat\n"])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(PlanDamaged):
        read_plan(text, "plan")
    with pytest.raises(PlanDamaged):
        read_plan(plan_text(PLAN).split("\n")[-2], "plan")


def test_a_person_sees_what_has_no_second_home() -> None:
    text = plan_text(PLAN)
    assert "3 files, 30 B; nothing was touched" in text
    assert "30 B of it have no second home" in text
    assert text.count('"has_second_home": false') == 4, "once in the head's words, and on each line"
