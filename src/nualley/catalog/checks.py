"""What can be wrong with the backups of the catalog."""

from collections.abc import Callable, Mapping
from typing import Any

from nualley.core import DAY_NS, SECOND_NS, CheckResult, CheckState, Clock, format_duration, format_time

DRILL_EVERY_NS = 30 * DAY_NS
"""A backup that nobody restored for so long is hope [ns]."""

_LATE = 2


class BackupCheck:
    """Whether there is a backup that is young enough, and whether one was restored lately.

    Parameters
    ----------
    newest_ns : callable
        Returns when the newest backup was made [ns since 1970 UTC], None where there is none.
    last_drill : callable
        Returns what was noted of the last drill, None where there was none.
    every_ns : int
        How long from one backup to the next [ns].
    clock : Clock
        Says how old they are.
    """

    def __init__(
        self,
        newest_ns: Callable[[], int | None],
        last_drill: Callable[[], Mapping[str, Any] | None],
        *,
        every_ns: int,
        clock: Clock,
    ) -> None:
        self._newest_ns = newest_ns
        self._last_drill = last_drill
        self._every_ns = every_ns
        self._clock = clock

    def __call__(self) -> list[CheckResult]:
        """Look at both."""
        return [self._backup(), self._drill()]

    def _backup(self) -> CheckResult:
        name, do = "catalog.backup", "look at the worker's log and at catalog.backup_folder"
        newest_ns = self._newest_ns()
        if newest_ns is None:
            return CheckResult(name, CheckState.WARNING, "there is no backup yet", do)
        age_ns = self._clock.now_ns() - newest_ns
        detail = f"the newest is {_age(age_ns)} old, one is made every {_age(self._every_ns)}"
        is_late = age_ns > _LATE * self._every_ns
        return CheckResult(name, CheckState.FAILED if is_late else CheckState.OK, detail, do if is_late else "")

    def _drill(self) -> CheckResult:
        name, do = "catalog.drill", "nualley catalog drill"
        last = self._last_drill()
        if last is None:
            return CheckResult(name, CheckState.WARNING, "no backup was ever restored to see that it can be", do)
        time_ns, trouble = int(last.get("time_ns", 0)), str(last.get("trouble", ""))
        if trouble:
            detail = f"the drill at {format_time(time_ns, digits=0)} failed: {trouble}"
            return CheckResult(name, CheckState.FAILED, detail, "make a new backup, then nualley catalog drill")
        age_ns = self._clock.now_ns() - time_ns
        detail = f"the last good one was {_age(age_ns)} ago, at {format_time(time_ns, digits=0)}"
        is_late = age_ns > DRILL_EVERY_NS
        return CheckResult(name, CheckState.WARNING if is_late else CheckState.OK, detail, do if is_late else "")


def _age(age_ns: int) -> str:
    return format_duration(max(0, age_ns) / SECOND_NS)
