"""What selections need of the world: recorded runs, flags and revisions, archived PVs, exposures."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from nualley.catalog import FileRecord, Run, RunLists, Totals
from nualley.core import Interval, IntervalSet
from nualley.exposure import Amounts, PvHistory


class Record(Protocol):
    """The catalog, as far as selections see it."""

    @property
    def run_lists(self) -> RunLists:
        """Flags and revisions of selections."""
        ...

    def runs(self) -> Sequence[Run]:
        """Return every run, by start."""
        ...

    def totals_by_run(self) -> Mapping[str, Totals]:
        """Return counts for every run."""
        ...

    def files(self, run_id: str) -> Sequence[FileRecord]:
        """Return the files of a run, by name."""
        ...


class Beam(Protocol):
    """Exposures, as far as selections see them."""

    def times(self, runs: Sequence[Run]) -> list[tuple[Interval | None, str]]:
        """Return when each run was, or why that is not known."""
        ...

    def amounts(self, stretches: Sequence[tuple[str, IntervalSet]]) -> list[Amounts]:
        """Return what each detector got in its stretches."""
        ...


__all__ = ["Beam", "PvHistory", "Record"]
