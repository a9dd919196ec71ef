"""What the archive kept aside: looked at, and released where it was right after all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Released:
    """What became of quarantined samples that were to be released.

    Parameters
    ----------
    stored : int
        Those that are among the stored ones now.
    filtered : int
        Those that were there already: released before, under their own stamp or their receipt, or stored all along.
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


def quarantined_rows(site: Site, pvs: Sequence[str], start_ns: int, stop_ns: int) -> dict[ValueType, pa.Table]:
    """Return what was kept aside, by type; see `nualley.archive.reader.ArchiveReader.quarantined`."""
    return site.archive().quarantined(pvs, start_ns, stop_ns)


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
    tables = quarantined_rows(site, pvs, start_ns, stop_ns)
    rules = trace_rules(read_plan(site).plan)
    with open_importer(site.archive_folder, site.clock, rules=rules) as importer:
        for value_type, table in tables.items():
            for part, is_imported in _by_origin(table):
                new, n_before = _without_released(site, part)
                n_released += n_before
                released, left = _split(new, is_none=is_imported and is_stamped_by_receipt)
                reasons = [split_reason(reason)[0] for reason in left["reason"].to_pylist()]
                for rows in _by_pv(released, value_type, is_stamped_by_receipt=is_stamped_by_receipt):
                    good, doubted = _believable(rows, limit_ns)
                    reasons += doubted
                    if len(good):
                        importer.store(good)
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


def _believable(rows: ImportedRows, limit_ns: int) -> tuple[ImportedRows, list[str]]:
    """Return those whose stamps can be believed, and why the others cannot."""
    sifted = sift(rows, None, limit_ns)
    return sifted.stored, list(sifted.reasons)


def receipt_bounds_ns(start_ns: int | None, stop_ns: int | None) -> tuple[int, int]:
    """Return the stretch of receipts that is meant; all of them where nothing is said [ns since 1970 UTC].

    Of imported samples it is when they were taken in; an earlier version had their own stamps there, also those of the
    next century.
    """
    return (-(2**63) if start_ns is None else start_ns), (2**63 - 1 if stop_ns is None else stop_ns)
