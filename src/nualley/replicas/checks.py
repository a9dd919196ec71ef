"""What can be wrong with transfers."""

from collections.abc import Callable, Sequence

from nualley.catalog import Transfer
from nualley.core import CheckResult, CheckState

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
    return f"transfer {transfer.transfer_id} to {transfer.destination}{why}"
