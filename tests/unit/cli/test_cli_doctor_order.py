"""``nualley doctor`` shows first what failed and what does not run."""

from nualley.cli.doctor import ordered
from nualley.core import CheckResult, CheckState


def test_what_failed_and_what_does_not_run_is_not_buried():
    found = [
        CheckResult("machine.python", CheckState.OK, ""),
        CheckResult("storage.drives", CheckState.WARNING, ""),
        CheckResult("process.web", CheckState.OK, ""),
        CheckResult("process.archive", CheckState.WARNING, "does not run"),
        CheckResult("catalog", CheckState.FAILED, ""),
    ]
    assert [result.name for result in ordered(found)] == [
        "catalog", "process.archive", "machine.python", "storage.drives", "process.web",
    ]  # fmt: skip
