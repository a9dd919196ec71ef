"""What is known of a PV's samples without reading them: how many each hour has, also of those that are gone."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from nualley.archive.cells import Cells, join
from nualley.archive.layouts import NUMBERS
from nualley.archive.pv_record import PvRecord
from nualley.archive.sealed import Level
from nualley.archive.tail import LogTail
from nualley.archive.view import ArchiveView


@dataclass(frozen=True, slots=True, eq=False)
class Footing:
    """The hours of a PV.

    Parameters
    ----------
    names : tuple of str
        The names under which its history stands.
    cells : Cells
        Of an hour each, as they lie in the files: in any order, and of one hour there may be several.
    recent_ns : int or None
        Time of the first sample that is not sealed yet, which no cell tells of [ns since 1970 UTC].
    """

    names: tuple[str, ...]
    cells: Cells
    recent_ns: int | None


def read_footing(
    view: ArchiveView, tail: LogTail, records: Sequence[PvRecord], start_ns: int, stop_ns: int
) -> Footing | None:
    """Read the hours of a stretch, and the last one before it.

    Parameters
    ----------
    view : ArchiveView
        The archive.
    tail : LogTail
        What is not sealed.
    records : sequence of PvRecord
        The PV under each of its names.
    start_ns, stop_ns : int
        The stretch [ns since 1970 UTC].

    Returns
    -------
    Footing or None
        None where a file is damaged or where some values are no numbers: of these there are no cells.

    Raises
    ------
    FileNotFoundError
        Where a file was replaced meanwhile.
    """
    recent = {value_type: table for record in records for value_type, table in tail.tables(record).items()}
    if not NUMBERS.issuperset(recent):
        return None
    found: list[Cells | None] = []
    for record in records:
        groups = view.sealed.groups(record.name, Level.RAW, start_ns, stop_ns)
        if not NUMBERS.issuperset(group.value_type for group in groups):
            return None
        before = view.sealed.before(record.name, Level.HOUR, start_ns)
        # all that is known of that hour, which may be in several files
        since_ns = before.stop_ns if before else start_ns
        found += [view.cells(group) for group in view.sealed.groups(record.name, Level.HOUR, since_ns, stop_ns)]
    known = [cells for cells in found if cells is not None]
    if len(known) < len(found):
        return None
    cells = join(known)
    times_ns = [first_ns for table in recent.values() if (first_ns := _first_sample_ns(table)) is not None]
    return Footing(
        tuple(record.name for record in records),
        cells.only(cells.start_ns < stop_ns),
        min(times_ns, default=None),
    )


def _first_sample_ns(table: pa.Table) -> int | None:
    first_ns: int | None = pc.min(table.filter(pc.equal(table["kind"].cast(pa.string()), "sample"))["time_ns"]).as_py()
    return first_ns
