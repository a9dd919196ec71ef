"""What can be wrong with transfers."""

from collections.abc import Callable, Sequence

from nualley.catalog import Transfer
from nualley.core import CheckResult, CheckState, format_size
from nualley.replicas.journal import UNFINISHED
from nualley.replicas.purging import PurgeReport
from nualley.replicas.removals import TrashItem, TrashStage

_N_SHOWN = 3


class TransfersCheck:
    """Transfers that were begun and are not finished.

    Parameters
    ----------
    unfinished : callable
        Returns them, oldest first.
    """

    def __init__(self, unfinished: Callable[[], Sequence[Transfer]]) -> None:
        self._unfinished = unfinished

    def __call__(self) -> list[CheckResult]:
        """Look at every transfer."""
        found = self._unfinished()
        if not found:
            return [CheckResult("replicas.transfers", CheckState.OK, "every transfer is finished")]
        shown = "; ".join(_told(transfer) for transfer in found[:_N_SHOWN])
        more = f"; and {len(found) - _N_SHOWN} more" if len(found) > _N_SHOWN else ""
        return [
            CheckResult(
                "replicas.transfers",
                CheckState.WARNING,
                f"{len(found)} unfinished: {shown}{more}",
                "go on with them: nualley transfer resume",
            )
        ]


def _told(transfer: Transfer) -> str:
    why = f" ({transfer.problem})" if transfer.problem else ""
    who = ", left to the worker" if transfer.is_left else ""
    return f"transfer {transfer.transfer_id} to {transfer.destination}{who}{why}"


class TrashCheck:
    """What a killed process left half in the trash, and how much lies there.

    Parameters
    ----------
    items : callable
        Returns all that was ever to go.
    """

    def __init__(self, items: Callable[[], Sequence[TrashItem]]) -> None:
        self._items = items

    def __call__(self) -> list[CheckResult]:
        """Look at every file there."""
        items = self._items()
        left = [item for item in items if item.stage in UNFINISHED]
        if left:
            shown = "; ".join(f"{item.removal.path} ({item.stage})" for item in left[:_N_SHOWN])
            more = f"; and {len(left) - _N_SHOWN} more" if len(left) > _N_SHOWN else ""
            detail = f"{len(left)} files are half on their way: {shown}{more}"
            return [CheckResult("replicas.trash", CheckState.WARNING, detail, "nualley drives trash --recover")]
        there = [item.removal.size_B for item in items if item.stage is TrashStage.IN_TRASH]
        detail = f"{len(there)} files, {format_size(sum(there))}, in the trash"
        return [CheckResult("replicas.trash", CheckState.OK, detail)]


class PurgeCheck:
    """Drop directories that are to be purged by themselves, and are not.

    Parameters
    ----------
    reports : callable
        Returns the last look at each.
    """

    def __init__(self, reports: Callable[[], Sequence[PurgeReport]]) -> None:
        self._reports = reports

    def __call__(self) -> list[CheckResult]:
        """Look at every directory that opted in."""
        return [_check_purge(report) for report in self._reports()]


def _check_purge(report: PurgeReport) -> CheckResult:
    name = f"replicas.purge.{report.path}"
    due = f"{report.n_due} files, {format_size(report.due_B)}, due"
    said = "; ".join(filter(None, (report.mode, report.why, due, *report.problems[:1])))
    if report.mode == "refused" or report.problems:
        return CheckResult(name, CheckState.WARNING, said, "nualley drives purges tells all")
    return CheckResult(name, CheckState.OK, said)
