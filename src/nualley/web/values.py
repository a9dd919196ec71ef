"""Every PV: the archive's last values, overtaken by what the live bus says, and those that nothing was heard of."""

from collections.abc import Mapping
from dataclasses import replace

from nualley.archive import LastValue, PvGroup, PvState
from nualley.web.models import ValueRow, ValueState
from nualley.web.observations import Observations
from nualley.web.words import pv_value

_RANK = {
    ValueState.DISCONNECTED: 0,
    ValueState.QUARANTINED: 0,
    ValueState.UNREADABLE: 0,
    ValueState.STALE: 1,
    ValueState.NEVER_CONNECTED: 2,
    ValueState.NOT_ARCHIVED: 3,
    ValueState.CONNECTED: 4,
    ValueState.PAUSED: 5,
    ValueState.REMOVED: 6,
    ValueState.IMPORTED: 7,
}


def rank(row: ValueRow) -> int:
    """Return the place of a value among others: the lower, the more it wants to be seen.

    Parameters
    ----------
    row : ValueRow
        The value.

    Returns
    -------
    int
        Not connected first, then alarms from INVALID down, then the rest, and last what nobody expects to be connected.
    """
    return 10 * _RANK[row.state] + 3 - min(max(row.severity or 0, 0), 3)


def last_values(seen: Observations, *, is_live: bool) -> dict[str, LastValue]:
    """Join what the archive holds and what the live bus said.

    Parameters
    ----------
    seen : Observations
        What was seen of the site.
    is_live : bool
        The live bus speaks. Where it is silent, and the archive cannot be read, nothing is known to be connected.

    Returns
    -------
    dict of str to LastValue
        By PV. The newer sample wins; how a PV stands is the word of whoever heard its IOC last.
    """
    archive = seen.archive.value
    found = {last.pv: last for last in archive.last} if archive else {}
    is_current = archive is not None and seen.archive.failure is None
    for pv, told in seen.live.values.items():
        held = found.get(pv)
        found[pv] = told if held is None or (is_live and not is_current) else _newer(held, told)
    if not is_live and not is_current:
        found = {pv: _as_stale(last) for pv, last in found.items()}
    return found


def _newer(held: LastValue, told: LastValue) -> LastValue:
    # the bus names only what changed: of a PV that is silent since, the archive knows better how it stands
    sample = told if (told.time_ns or 0) > (held.time_ns or 0) else held
    standing = told if told.last_heard_ns > held.last_heard_ns else held
    return replace(sample, state=standing.state, last_heard_ns=standing.last_heard_ns, reason=standing.reason)


def _as_stale(last: LastValue) -> LastValue:
    return replace(last, state=PvState.STALE) if last.state.is_connected else last


def value_rows(values: Mapping[str, LastValue], groups: Mapping[str, PvGroup]) -> tuple[ValueRow, ...]:
    """Return every PV that is archived or ought to be, and what was imported.

    Parameters
    ----------
    values : mapping of str to LastValue
        What is known, by PV.
    groups : mapping of str to PvGroup
        What ought to be archived, by group.

    Returns
    -------
    tuple of ValueRow
        What is wrong first, then by name.
    """
    declared = {pv: (name, policy.description) for name, group in groups.items() for pv, policy in group.pv.items()}
    rows = [
        _row(pv, values.get(pv), *declared.get(pv, ("", "")))
        for pv in {**declared, **values}
        if pv in declared or not _is_gone(values[pv])
    ]
    return tuple(sorted(rows, key=lambda row: (rank(row), row.pv)))


def _is_gone(last: LastValue) -> bool:
    """Return whether a PV is no longer archived; one that is still declared is shown all the same."""
    return last.state is PvState.REMOVED


def _row(pv: str, last: LastValue | None, group: str, description: str) -> ValueRow:
    if last is None:
        return ValueRow(pv=pv, state=ValueState.NOT_ARCHIVED, group=group, description=description)
    return ValueRow(
        pv=pv,
        state=ValueState(last.state.value),
        group=group,
        description=description,
        value="" if last.time_ns is None else pv_value(last.value),
        unit=last.unit,
        time_ns=last.time_ns,
        # what it was when it was last looked at is no alarm of now
        severity=last.severity if last.state.is_expected else None,
        reason=last.why,
    )


def number_of(last: LastValue | None) -> float | None:
    """Return the number that a PV holds; None where it holds none or nothing valid."""
    if last is None or (last.severity or 0) >= 3 or isinstance(last.value, bool):
        return None
    return float(last.value) if isinstance(last.value, int | float) else None


def is_held(last: LastValue | None) -> bool:
    """Return whether the last value of a PV still holds: it is connected, and its IOC proven alive."""
    return last is not None and last.state is PvState.CONNECTED
