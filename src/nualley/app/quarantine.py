"""What the archive kept aside: looked at, and released where it was right after all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nualley.app.archive import open_importer
from nualley.app.archive_plan import read_plan
from nualley.app.site import Site
from nualley.app.trace_rules import trace_rules
from nualley.archive.decide import Reason
from nualley.archive.importing import ImportedRows, sift
from nualley.archive.taking_in import FUTURE_LIMIT_NS
from nualley.pv import ValueType

_RELEASED = frozenset({Reason.BACKWARD, Reason.FUTURE, Reason.UNDEFINED_TIME, Reason.BEFORE_1991})


@dataclass(frozen=True, slots=True)
class Released:
    """What became of quarantined samples that were to be released.

    Parameters
    ----------
    stored : int
        Those that are among the stored ones now.
    filtered : int
        Those that were there already, such as from an earlier release.
    kept : mapping of str to int
        Those that stay aside, by their reason: their stamps are still not to be believed, or no column can hold them.
    """

    stored: int
    filtered: int
    kept: Mapping[str, int]


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
        Whether they get the time of their receipt: for an IOC whose clock was wrong or never set.

    Returns
    -------
    Released
        The account. A released sample was counted as quarantined when it came, and is counted as received and stored
        by its release, as an imported one is.
    """
    kept: Counter[str] = Counter()
    limit_ns = site.clock.now_ns() + FUTURE_LIMIT_NS
    tables = quarantined_rows(site, pvs, start_ns, stop_ns)
    rules = trace_rules(read_plan(site).plan)
    with open_importer(site.archive_folder, site.clock, rules=rules) as importer:
        for value_type, table in tables.items():
            is_known = pc.is_in(table["reason"], pa.array([str(reason) for reason in _RELEASED]))
            kept.update(table.filter(pc.invert(is_known))["reason"].to_pylist())
            for rows in _by_pv(table.filter(is_known), value_type, is_stamped_by_receipt=is_stamped_by_receipt):
                good, reasons = _believable(rows, limit_ns)
                kept.update(reasons)
                if len(good):
                    importer.store(good)
        counts = importer.flush()
    return Released(counts.stored, counts.filtered, dict(kept))


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

    Imported samples were never received here: they stand under their own stamps, also those of the next century.
    """
    return (-(2**63) if start_ns is None else start_ns), (2**63 - 1 if stop_ns is None else stop_ns)
