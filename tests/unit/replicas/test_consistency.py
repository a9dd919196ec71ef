"""The before/after algebra against brute force: nothing true is called dark or missing, whatever happens meanwhile."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from nualley.catalog import PlacedFile, ReplicaState
from nualley.replicas import FoundFile, compare


def placed(path, size_B=1, state=ReplicaState.VERIFIED, replica_id=None):
    return PlacedFile(path, state, size_B, None, replica_id or hash(path), 1, "hpge-1", "0" * 32)


def found(path, size_B=1):
    return FoundFile(path, size_B, 0)


def test_each_kind_of_difference():
    before = [placed("kept"), placed("lost"), placed("short", 5), placed("back", state=ReplicaState.MISSING)]
    report = compare(before, [found("kept"), found("short", 3), found("back"), found("stray")], before)
    assert [file.path for file in report.dark] == ["stray"]
    assert [each.path for each in report.missing] == ["lost"]
    assert [(wrong.known.path, wrong.size_B) for wrong in report.wrong_size] == [("short", 3)]
    assert [each.path for each in report.returned] == ["back"]
    assert (report.n_files, report.n_known) == (4, 3)


def test_a_replica_that_changes_while_the_drive_is_scanned_is_no_finding():
    before = [placed("replaced", 5, replica_id=1), placed("noted"), placed("taken out")]
    after = [placed("replaced", 9, replica_id=2), placed("noted", state=ReplicaState.DAMAGED), placed("new")]
    report = compare(before, [found("replaced", 7)], after)
    assert [report.dark, report.missing, report.wrong_size, report.returned] == [(), (), (), ()]


@dataclass
class Drive:
    """Files and what the catalog knows of them, over time; a scan looks at each path at a moment of its own."""

    on_disk: set[int]
    known: set[int]

    def do(self, step: str, path: int) -> tuple[set[int], set[int]]:
        if step == "publish" and path not in self.known:
            self.on_disk.add(path)
        elif step == "enter" and path in self.on_disk:
            self.known.add(path)
        elif step == "forget":
            self.known.discard(path)
        elif step == "delete" and path not in self.known:
            self.on_disk.discard(path)
        return set(self.on_disk), set(self.known)


# ingest publishes and then enters; a purge forgets and then deletes: so nualley's own order of steps
STEPS = st.lists(st.tuples(st.sampled_from(["publish", "enter", "forget", "delete"]), st.integers(0, 9)), max_size=40)


@given(
    on_disk=st.sets(st.integers(0, 9)),
    known=st.sets(st.integers(0, 9)),
    steps=STEPS,
    looks=st.lists(st.integers(0, 40), min_size=10, max_size=10),
)
def test_nothing_true_is_called_dark_or_missing_whatever_happens_meanwhile(on_disk, known, steps, looks):
    drive = Drive(set(on_disk), set(known))
    history = [(on_disk, known), *(drive.do(*step) for step in steps)]
    seen = [path for path in range(10) if path in history[min(looks[path], len(history) - 1)][0]]
    report = compare(
        [placed(str(path)) for path in history[0][1]],
        [found(str(path)) for path in seen],
        [placed(str(path)) for path in history[-1][1]],
    )
    dark = {int(file.path) for file in report.dark}
    missing = {int(each.path) for each in report.missing}
    never_known = set(range(10)) - set().union(*(known for _, known in history))
    always_known = set(range(10)).intersection(*(known for _, known in history))
    ever_there = set().union(*(there for there, _ in history))
    always_there = set(range(10)).intersection(*(there for there, _ in history))
    assert never_known & set(seen) <= dark <= set(seen), "a file that nobody ever knew is found"
    assert not dark & (history[0][1] | history[-1][1])
    assert always_known - ever_there <= missing, "a replica that was never there is found"
    assert missing <= history[0][1] & history[-1][1]
    assert not missing & always_there, "what was there all the time is not missing"
