"""What an archive kept aside, as rows by receipt."""

from collections.abc import Sequence
from typing import Any

from nualley.app.quarantine import receipt_bounds_ns
from nualley.archive.reader import ArchiveReader


def kept_aside(reader: ArchiveReader, *pvs: str, most_rows: int = 200_000) -> Sequence[dict[str, Any]]:
    """Return the samples of some PVs, or of all, that were kept aside, by receipt."""
    pieces = reader.refused.pieces(pvs, *receipt_bounds_ns(None, None), most_rows)
    rows = [row for _, piece in pieces for row in piece.to_pylist()]
    return sorted(rows, key=lambda row: (row["received_ns"], -1 if row["seq"] is None else row["seq"]))
