"""Whether what the archive receives becomes durable in time: asked of the running process."""

from collections.abc import Mapping
from typing import Any

from nualley.app.errors import NoControlError
from nualley.app.locks import RoleState
from nualley.core import CheckResult, CheckState

FLOW = "flow"
"""The order that asks for it."""

LATE_S = 1.0
"""Updates that wait longer than this are late [s]."""

UNSYNCED_S = 5.0
"""What is not durable after so long is in danger [s]."""

_ANSWER_S = 5.0
_NAME = "archive.flow"


def check_flow(state: RoleState) -> list[CheckResult]:
    """Ask the running archive whether it keeps up; nothing where none runs.

    Parameters
    ----------
    state : RoleState
        Of the role archive.
    """
    if not state.is_held or not state.control:
        return []
    import asyncio

    from nualley.app.control import send_order  # structlog and asyncio are heavy

    try:
        told = asyncio.run(send_order(state.control, FLOW, {}, timeout_s=_ANSWER_S))
    except NoControlError as error:
        return [CheckResult(_NAME, CheckState.FAILED, error.what, "look into the log of nualley up archive")]
    return [_judge(told)]


def _judge(told: Mapping[str, Any]) -> CheckResult:
    if told["is_reserve_spent"]:
        detail = "the store's drive was full, the archive writes into the room that is held for that"
        return CheckResult(_NAME, CheckState.FAILED, detail, "make room on the store's drive now")
    if told["unsynced_s"] > UNSYNCED_S:
        detail = f"what was received in the last {told['unsynced_s']:.0f} s is not durable"
        return CheckResult(_NAME, CheckState.FAILED, detail, "look at the store's drive: room, rights, health")
    if told["lag_s"] > LATE_S:
        detail = f"updates wait {told['lag_s']:.1f} s until they are taken"
        return CheckResult(_NAME, CheckState.WARNING, detail, "look what else this machine does")
    if told["n_unsealed"] > 1:
        detail = f"{told['n_unsealed']} segments of the log are not sealed"
        return CheckResult(_NAME, CheckState.WARNING, detail, "look into the log of nualley up archive")
    dropped = f", {told['n_dropped']} updates were asked for again" if told["n_dropped"] else ""
    detail = f"updates wait {told['lag_s']:.3f} s, what came is durable after {told['unsynced_s']:.2f} s{dropped}"
    return CheckResult(_NAME, CheckState.OK, detail)
