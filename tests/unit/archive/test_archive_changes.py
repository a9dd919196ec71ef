"""Run-time changes: what they make of what is declared, which are refused, and how they are kept."""

import errno
import json
import os

import pytest

from nualley.archive import Aliases, Change, ChangeRefusedError, ChangesWriteError, PvPolicy, Verb
from nualley.archive.adapters import changes_file
from nualley.archive.adapters.changes_file import ChangesFile, KeptNames
from nualley.archive.changes import FIRST_NS, LAST_NS, Plan
from nualley.archive.errors import ChangesReadError

DECLARED = {"LAB:T1": PvPolicy(), "LAB:T2": PvPolicy(events="archive")}


def change(verb, pv, time_ns=10, **others):
    policy = others.pop("policy", PvPolicy() if verb in {Verb.ADD, Verb.RENAME} else None)
    return Change(verb=verb, pv=pv, time_ns=time_ns, who="zoe", policy=policy, **others)


def nothing_stored(_name):
    return False


def checked(plan, *args, is_stored=nothing_stored, **others):
    return plan.checked(change(*args, **others), is_stored)


# ------------------------------------------------------------------ what is so
def test_what_was_added_is_archived_and_told_as_not_declared():
    plan = Plan(DECLARED, [change(Verb.ADD, "LAB:T3")])
    assert list(plan.archived()) == ["LAB:T1", "LAB:T2", "LAB:T3"]
    (pending,) = plan.pending()
    assert (pending.pv, pending.what, pending.can_be_written) == ("LAB:T3", "archived, but not declared", True)


def test_another_policy_than_declared_counts_and_is_told():
    plan = Plan(DECLARED, [change(Verb.ADD, "LAB:T1", policy=PvPolicy(events="archive"))])
    assert plan.policy("LAB:T1").events == "archive"
    assert [pending.what for pending in plan.pending()] == ["archived otherwise than declared"]


def test_what_was_removed_is_not_archived_though_it_is_declared():
    plan = Plan(DECLARED, [change(Verb.REMOVE, "LAB:T1")])
    assert list(plan.archived()) == ["LAB:T2"]
    assert [pending.what for pending in plan.pending()] == ["declared, but no longer archived"]


def test_a_pause_stays_until_it_is_resumed():
    plan = Plan(DECLARED, [change(Verb.PAUSE, "LAB:T1")])
    assert plan.is_paused("LAB:T1")
    assert "LAB:T1" in plan.archived()
    plan.apply(change(Verb.RESUME, "LAB:T1"))
    assert not plan.is_paused("LAB:T1")
    assert plan.pending() == []


def test_a_renamed_pv_keeps_its_policy_and_its_pause():
    plan = Plan(DECLARED, [change(Verb.PAUSE, "LAB:T2")])
    made = checked(plan, Verb.RENAME, "LAB:T2", name="LAB:TC2", policy=None)
    plan.apply(made)
    assert plan.policy("LAB:TC2") == DECLARED["LAB:T2"]
    assert plan.is_paused("LAB:TC2")
    assert plan.policy("LAB:T2") is None


def test_what_the_repository_tells_by_now_is_settled_and_counts_again():
    added = [change(Verb.ADD, "LAB:T3")]
    plan = Plan({**DECLARED, "LAB:T3": PvPolicy()}, added)
    assert plan.settled() == ["LAB:T3"]
    settled = [*added, change(Verb.SETTLE, "LAB:T3")]
    later = Plan({**DECLARED, "LAB:T3": PvPolicy(events="archive")}, settled)
    assert later.policy("LAB:T3").events == "archive"


# ------------------------------------------------------------------ names
def test_the_names_of_a_pv_follow_each_other():
    aliases = Aliases([change(Verb.RENAME, "A", 10, name="B"), change(Verb.RENAME, "B", 20, name="C")])
    for name in "ABC":
        assert [(part.name, part.start_ns, part.stop_ns) for part in aliases.resolve(name)] == [
            ("A", FIRST_NS, 10), ("B", 10, 20), ("C", 20, LAST_NS),
        ]  # fmt: skip
        assert aliases.current(name) == "C"


def test_a_pv_that_gets_an_earlier_name_back_has_it_twice():
    aliases = Aliases([change(Verb.RENAME, "A", 10, name="B"), change(Verb.RENAME, "B", 20, name="A")])
    assert [part.name for part in aliases.resolve("B")] == ["A", "B", "A"]
    assert aliases.current("B") == "A"


def test_a_clock_that_went_back_turns_no_names_round():
    aliases = Aliases([change(Verb.RENAME, "A", 20, name="B"), change(Verb.RENAME, "B", 10, name="C")])
    assert [(part.name, part.start_ns, part.stop_ns) for part in aliases.resolve("A")] == [
        ("A", FIRST_NS, 20), ("C", 20, LAST_NS),
    ]  # fmt: skip


def test_an_alias_stands_for_its_pv_until_it_is_taken_away():
    aliases = Aliases([change(Verb.ALIAS, "A", name="BOTTOM")])
    assert aliases.current("BOTTOM") == "A"
    aliases.apply(change(Verb.REMOVE, "BOTTOM"))
    assert aliases.current("BOTTOM") == "BOTTOM"


# ------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("verb", "pv", "others", "said", "do"),
    [
        (Verb.ADD, "../etc", {}, "cannot be the name", "letters"),
        (Verb.ADD, "LAB:T1", {}, "LAB:T1 is archived already: protocol = ca", "archive add LAB:T1 --events"),
        (Verb.ADD, "OLD", {}, "an earlier name of NEW", "archive rename NEW OLD"),
        (Verb.ADD, "BOTTOM", {}, "BOTTOM is an alias of LAB:T2", "archive remove BOTTOM"),
        (Verb.PAUSE, "LAB:T11", {}, "LAB:T11 is not archived", "did you mean LAB:T1?"),
        (Verb.PAUSE, "BOTTOM", {}, "BOTTOM is another name of LAB:T2", "LAB:T2"),
        (Verb.RESUME, "LAB:T1", {}, "LAB:T1 is not paused", "archive last"),
        (Verb.REMOVE, "XYZ", {}, "XYZ is not archived", "archive pvs"),
        (Verb.RENAME, "LAB:T1", {"name": "LAB:T2"}, "LAB:T2 is the name of another PV", "choose"),
        (Verb.RENAME, "LAB:T1", {"name": "LAB:T1"}, "another name of itself", "choose"),
        (Verb.RENAME, "LAB:T1", {"name": "STORED"}, "with a history of its own", "choose"),
        (Verb.RENAME, "LAB:T1", {"name": "BOTTOM"}, "BOTTOM is an alias of LAB:T2", "choose"),
        (Verb.RENAME, "LAB:T1", {"name": "a b"}, "'a b' cannot be the name", "letters"),
        (Verb.ALIAS, "NEVER", {"name": "X"}, "NEVER is not archived, and never was", "archive"),
        (Verb.ALIAS, "BOTTOM", {"name": "X"}, "BOTTOM is itself an alias", "name LAB:T2 instead"),
        (Verb.ALIAS, "LAB:T1", {"name": "OLD"}, "OLD is the name of another PV", "choose"),
    ],
)
def test_a_change_without_sense_is_refused_with_what_would_make_sense(verb, pv, others, said, do):
    plan = Plan(
        {**DECLARED, "OLD": PvPolicy()},
        [change(Verb.RENAME, "OLD", name="NEW"), change(Verb.ALIAS, "LAB:T2", name="BOTTOM")],
    )
    with pytest.raises(ChangeRefusedError) as refused:
        checked(plan, verb, pv, is_stored=lambda name: name == "STORED", **others)
    assert said in refused.value.what
    assert do in refused.value.do
    assert refused.value.where == f"archive {verb} {pv}"


def test_pausing_twice_is_refused():
    plan = Plan(DECLARED, [change(Verb.PAUSE, "LAB:T1")])
    with pytest.raises(ChangeRefusedError, match="paused already"):
        checked(plan, Verb.PAUSE, "LAB:T1")


def test_a_pv_that_is_no_longer_archived_may_get_an_alias_and_an_earlier_name_may_return():
    plan = Plan(DECLARED, [change(Verb.REMOVE, "LAB:T1"), change(Verb.RENAME, "LAB:T2", name="LAB:TC2")])
    assert checked(plan, Verb.ALIAS, "LAB:T1", name="TOP", is_stored=lambda name: name == "LAB:T1")
    assert checked(plan, Verb.RENAME, "LAB:TC2", name="LAB:T2", is_stored=lambda name: name == "LAB:T2")


# ------------------------------------------------------------------ on disk
@pytest.fixture
def file(tmp_path):
    return ChangesFile(tmp_path / "archive")


CHANGES = (
    change(Verb.ADD, "LAB:Tä", note="dritter Fühler"),
    change(Verb.RENAME, "LAB:T1", name="LAB:T9", policy=PvPolicy(protocol="http")),
    change(Verb.PAUSE, "LAB:T9"),
)


def test_what_is_kept_is_read_as_it_was(file):
    assert file.read().changes == ()
    file.append(CHANGES[:1])
    file.append(CHANGES[1:])
    assert file.read() == changes_file.KeptChanges(CHANGES)
    assert len(file.path.read_text().splitlines()) == 3


@pytest.mark.parametrize("cut_B", [1, 10, 60])
def test_a_line_that_a_crash_cut_never_was_and_the_next_stands_alone(file, cut_B):
    file.append(CHANGES[:2])
    file.path.write_bytes(file.path.read_bytes()[:-cut_B])
    assert file.read() == changes_file.KeptChanges(CHANGES[:1])
    file.append(CHANGES[2:])
    assert file.read() == changes_file.KeptChanges((CHANGES[0], CHANGES[2]))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ("[]", "list indices"),
        ('{"version": 9, "verb": "pause", "pv": "A", "time_ns": 1}', "version 9, expected 1"),
        ('{"version": 1, "verb": "eat", "pv": "A", "time_ns": 1}', "'eat' is not a valid Verb"),
        ('{"version": 1, "verb": "add", "pv": "A", "time_ns": 1}', "add without a policy"),
        ('{"version": 1, "verb": "pause", "pv": 5, "time_ns": 1}', "expected text"),
        ('{"version": 1, "verb": "add", "pv": "A", "time_ns": 1, "policy": {"mode": "x"}}', "policy.mode"),
        ('{"version": 1, "pv": "A", "time_ns": 1}', "verb is missing"),
    ],
)
def test_a_damaged_line_is_told_and_the_others_count(file, line, why):
    file.append(CHANGES[:1])
    with file.path.open("a") as appended:
        appended.write(line + "\n")
    file.append(CHANGES[2:])
    kept = file.read()
    assert kept.changes == (CHANGES[0], CHANGES[2])
    (damage,) = kept.damages
    assert damage.startswith(f"{file.path}:2: ")
    assert why in damage


def test_a_full_drive_keeps_nothing_of_a_change_and_says_so(file, monkeypatch):
    file.append(CHANGES[:1])
    before = file.path.read_bytes()
    write = os.pwrite

    def full(descriptor, data, offset_B):
        if offset_B > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:5], offset_B)

    monkeypatch.setattr(changes_file.os, "pwrite", full)
    with pytest.raises(ChangesWriteError, match="was not made: No space left") as refused:
        file.append(CHANGES[1:])
    assert refused.value.where == str(file.path)
    assert file.path.read_bytes() == before


def test_a_change_is_durable_before_it_is_answered(file, monkeypatch):
    synced = []
    monkeypatch.setattr(changes_file.os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
    monkeypatch.setattr(changes_file, "sync_folder", synced.append)
    file.append(CHANGES[:1])
    assert synced == [file.path.stat().st_size, file.path.parent]


def test_a_file_that_cannot_be_read_is_an_error_and_not_an_empty_one(file):
    file.path.mkdir(parents=True)
    with pytest.raises(ChangesReadError, match="Is a directory") as refused:
        file.read()
    assert refused.value.do


def test_names_follow_the_file(file):
    names = KeptNames(file)
    assert names() == {}
    file.append(CHANGES)
    assert names() == {"LAB:T9": ("LAB:T1", "LAB:T9"), "LAB:T1": ("LAB:T1", "LAB:T9")}
    assert json.loads(file.path.read_text().splitlines()[0])["note"] == "dritter Fühler"


# ------------------------------------------------------------------ one PV, two names
def test_what_was_added_is_declared_by_the_name_of_its_value():
    added = [change(Verb.ADD, "LAB:T3"), change(Verb.ADD, "LAB:T4.VAL")]
    plan = Plan({"LAB:T3.VAL": PvPolicy(), "LAB:T4": PvPolicy(events="archive")}, added)
    assert list(plan.archived()) == ["LAB:T3", "LAB:T4.VAL"]
    assert [(pending.pv, pending.what) for pending in plan.pending()] == [
        ("LAB:T4.VAL", "archived otherwise than declared")
    ]
    # were it let go, its history would begin anew
    assert plan.settled() == []
    assert plan.written == {"LAB:T3": "LAB:T3.VAL", "LAB:T4.VAL": "LAB:T4"}


def test_a_name_means_what_is_archived_before_what_was():
    plan = Plan(DECLARED, [change(Verb.ADD, "LAB:Y.VAL"), change(Verb.RENAME, "LAB:Y.VAL", name="LAB:Y", time_ns=11)])
    assert plan.known_as("LAB:Y.VAL") == plan.known_as("LAB:Y") == "LAB:Y"
    assert plan.known_as("LAB:T1.VAL") == "LAB:T1"
    assert plan.known_as("LAB:OLD.VAL", {"LAB:OLD"}.__contains__) == "LAB:OLD"
    assert plan.known_as("LAB:OLD", {"LAB:OLD.VAL"}.__contains__) == "LAB:OLD.VAL"
    assert plan.known_as("LAB:NEW.VAL") == "LAB:NEW.VAL"
    plan.apply(change(Verb.ALIAS, "LAB:T1", name="LAB:T1.VAL"))
    assert plan.known_as("LAB:T1.VAL") == "LAB:T1.VAL"  # to be taken away without the PV
