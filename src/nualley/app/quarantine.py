"""What the archive kept aside: looked at, and released where it was right after all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.app.archive import open_importer
from nualley.app.archive_plan import read_plan
from nualley.app.released import released_as_ns
from nualley.app.site import Site
from nualley.app.trace_rules import trace_rules
from nualley.archive.decide import Reason
from nualley.archive.importing import ImportedRows, sift
from nualley.archive.taking_in import FUTURE_LIMIT_NS
from nualley.pv import PvProtocol, ValueType

_RELEASED = frozenset({Reason.BACKWARD, Reason.FUTURE, Reason.UNDEFINED_TIME, Reason.BEFORE_1991})


SHOWN = ("pv", "time_ns", "received_ns", "value", "severity", "status", "reason")
"""What is shown of a sample that was kept aside, besides ``released_as_ns``."""


@dataclass(frozen=True, slots=True)
class KeptAside:
    """Samples that were kept aside.

    Parameters
    ----------
    by_reason : mapping of str to int
        All of them, by their reason.
    newest : sequence of mapping
        The newest ones, by receipt: `SHOWN` and ``released_as_ns``.
    """

    by_reason: Mapping[str, int]
    newest: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Released:
    """What became of quarantined samples that were to be released.

    Parameters
    ----------
    stored : int
        Those that are among the stored ones now.
    filtered : int
        Those that were there already: released before, under their own stamp or their receipt, stored all along, or
        kept aside twice.
    kept : mapping of str to int
        Those that stay aside, by their reason: their stamps are still not to be believed, or no column can hold them.
    n_imported : int
        Those of them that an import brought.
    """

    stored: int
    filtered: int
    kept: Mapping[str, int]
    n_imported: int


def split_reason(text: str) -> tuple[str, str]:
    """Return why a sample was kept aside and, where its source could not read it, what it found; else empty.

    Examples
    --------
    >>> split_reason("unreadable: no time zone"), split_reason("future")
    (('unreadable', 'no time zone'), ('future', ''))
    """
    reason, _, cause = text.partition(": ")
    return reason, cause


def look_at(site: Site, pvs: Sequence[str], start_ns: int, stop_ns: int, *, limit: int) -> KeptAside:
    """Return what was kept aside.

    Parameters
    ----------
    site : Site
        The experiment.
    pvs : sequence of str
        Names; none means all.
    start_ns, stop_ns : int
        When they were received [ns since 1970 UTC].
    limit : int
        How many samples are returned, the newest ones; no more are in memory, however many there are.

    Raises
    ------
    PvNotArchivedError
        Where the archive does not know a PV.
    """
    by_reason: Counter[str] = Counter()
    newest: dict[ValueType, pa.Table] = {}
    for value_type, piece in site.archive().refused.pieces(pvs, start_ns, stop_ns):
        for text, n in zip(*piece["reason"].value_counts().flatten(), strict=True):
            by_reason[split_reason(text.as_py())[0]] += n.as_py()
        if limit:
            newest[value_type] = _newest([*filter(None, [newest.get(value_type)]), piece], limit)
    rows = [row for table in newest.values() for row in _shown(site, table)]
    return KeptAside(by_reason, sorted(rows, key=lambda row: row["received_ns"])[-limit:] if limit else [])


def _newest(tables: list[pa.Table], limit: int) -> pa.Table:
    table = pa.concat_tables(tables)
    order = pc.sort_indices(table, sort_keys=[("received_ns", "ascending"), ("seq", "ascending")])  # imported: no seq
    return table.take(order.slice(max(0, table.num_rows - limit)))  # a copy: the piece is let go


def _shown(site: Site, table: pa.Table) -> list[dict[str, Any]]:
    stamps_ns = released_as_ns(site.archive(), table)
    rows = table.select(SHOWN).to_pylist()
    return [row | {"released_as_ns": stamp_ns} for row, stamp_ns in zip(rows, stamps_ns, strict=True)]


def release(
    site: Site, pvs: Sequence[str], start_ns: int, stop_ns: int, *, is_stamped_by_receipt: bool = False
) -> Released:
    """Put quarantined samples among the stored ones; done again, it changes nothing.

    Parameters
    ----------
    site : Site
        The experiment; its archive may run meanwhile.
    pvs : sequence of str
        Names; none means all.
    start_ns, stop_ns : int
        When they were received [ns since 1970 UTC].
    is_stamped_by_receipt : bool
        Whether they get the time of their receipt: for an IOC whose clock was wrong or never set. Imported ones stay
        aside: when their file was read says nothing of when they were.

    Returns
    -------
    Released
        The account. A released sample was counted as quarantined when it came, and is counted as received and stored
        by its release, as an imported one is.
    """
    kept: Counter[str] = Counter()
    n_imported, n_released = 0, 0
    limit_ns = site.clock.now_ns() + FUTURE_LIMIT_NS
    pieces = site.archive().refused.pieces(pvs, start_ns, stop_ns)
    rules = trace_rules(read_plan(site).plan)
    with open_importer(site.archive_folder, site.clock, rules=rules) as importer:
        for value_type, table in pieces:
            for part, is_imported in _by_origin(table):
                new, n_before = _without_released(site, part)
                n_released += n_before
                released, left = _split(new, is_none=is_imported and is_stamped_by_receipt)
                reasons = [split_reason(reason)[0] for reason in left["reason"].to_pylist()]
                for rows in _by_pv(released, value_type, is_stamped_by_receipt=is_stamped_by_receipt):
                    sifted = sift(rows, None, limit_ns)
                    reasons += sifted.reasons
                    n_released += sifted.n_filtered
                    if len(sifted.stored):
                        importer.store(sifted.stored)
                kept.update(reasons)
                n_imported += len(reasons) if is_imported else 0
        counts = importer.flush()
    return Released(counts.stored, counts.filtered + n_released, dict(kept), n_imported)


def _without_released(site: Site, table: pa.Table) -> tuple[pa.Table, int]:
    """Return the samples that no release stored yet, under whatever stamp, and how many others there are."""
    is_new = pa.array([stamp_ns is None for stamp_ns in released_as_ns(site.archive(), table)], pa.bool_())
    new = table.filter(is_new)
    return new, table.num_rows - new.num_rows


def _by_origin(table: pa.Table) -> list[tuple[pa.Table, bool]]:
    """Return what was heard, and what was imported."""
    is_imported = pc.equal(table["protocol"].cast(pa.string()), str(PvProtocol.IMPORT))
    return [(table.filter(pc.invert(is_imported)), False), (table.filter(is_imported), True)]


def _split(table: pa.Table, *, is_none: bool) -> tuple[pa.Table, pa.Table]:
    """Return what may be released where its stamps can be believed, and what never is."""
    reasons = [] if is_none else [str(reason) for reason in _RELEASED]
    may_be = pc.is_in(table["reason"], pa.array(reasons, pa.string()))
    return table.filter(may_be), table.filter(pc.invert(may_be))


def _by_pv(table: pa.Table, value_type: ValueType, *, is_stamped_by_receipt: bool) -> list[ImportedRows]:
    names = table["pv"].cast(pa.string())
    found = []
    for name in sorted(set(names.to_pylist())):
        rows = table.filter(pc.equal(names, name)).combine_chunks()
        found.append(
            ImportedRows(
                name,
                value_type,
                rows["received_ns" if is_stamped_by_receipt else "time_ns"].to_numpy().astype(np.int64),
                rows["value"].combine_chunks(),
                rows["severity"].to_numpy().astype(np.int8),
                rows["status"].to_numpy().astype(np.int16),
                source="quarantine",
            )
        )
    return found


def receipt_bounds_ns(start_ns: int | None, stop_ns: int | None) -> tuple[int, int]:
    """Return the stretch of receipts that is meant; all of them where nothing is said [ns since 1970 UTC].

    Of imported samples it is when they were taken in; an earlier version had their own stamps there, also those of the
    next century.
    """
    return (-(2**63) if start_ns is None else start_ns), (2**63 - 1 if stop_ns is None else stop_ns)
