"""The list of a file's defects: each once, however often the file is read, and bounded however bad it is."""

from nualley.daq.models import Defect

MAX_DEFECTS = 1000
"""Defects of one file that are kept one by one; more are counted."""


class DefectLog:
    """Defects of one file.

    Parameters
    ----------
    limit : int
        How many are kept one by one; those behind are counted per kind.
    """

    def __init__(self, limit: int = MAX_DEFECTS) -> None:
        self._limit = limit
        self._kept: dict[Defect, None] = {}
        self._further: dict[str, tuple[Defect, int]] = {}
        self._last_counted_B = -1

    def add(self, defect: Defect | None) -> None:
        """Take in a defect; one that is there already changes nothing."""
        if defect is None or defect in self._kept:
            return
        if len(self._kept) < self._limit:
            self._kept[defect] = None
        elif defect.offset_B > self._last_counted_B:
            first, count = self._further.get(defect.kind, (defect, 0))
            self._further[defect.kind] = (first, count + 1)
            self._last_counted_B = defect.offset_B

    def defects(self) -> tuple[Defect, ...]:
        """Return them in the order of the file; the counted rest stands at the first that is not kept."""
        rest = [
            Defect(first.kind, first.offset_B, f"{count} more of this kind from here on; the first: {first.detail}")
            for first, count in self._further.values()
        ]
        return tuple(sorted([*self._kept, *rest], key=lambda defect: defect.offset_B))
