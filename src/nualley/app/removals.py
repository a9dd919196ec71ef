"""What was taken away, and what goes by itself, as the store tells it: for those who only look."""

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from nualley.app.site import Site
from nualley.core import escape_name
from nualley.replicas import PurgeReport, TrashItem, TrashStage, replay
from nualley.replicas.adapters.journal_file import JournalFile
from nualley.replicas.adapters.purge_file import PurgeFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was taken away from one place, for one reason.

    Parameters
    ----------
    drive : str
        The drive, or the drop directory.
    ground : str
        Why it could go.
    n_files, size_B : int
        Files that went over the days of the report, and their bytes [B]; what came back is left out.
    trash_B : int
        Bytes that lie in the trash now, whenever they went there [B].
    """

    drive: str
    ground: str
    n_files: int = 0
    size_B: int = 0
    trash_B: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {name: getattr(self, name) for name in ("drive", "ground", "n_files", "size_B", "trash_B")}


def trash_items(site: Site) -> list[TrashItem]:
    """Return all that was ever taken away, the oldest first.

    Raises
    ------
    JournalDamaged
        Where nobody can say.
    """
    entries = JournalFile(site.configuration.store / "trash").entries()
    return list(replay(entries, drive_roots(site)).values())


def drive_roots(site: Site) -> dict[str, str]:
    """Return where the drives are, escaped, by name."""
    return {drive.name: escape_name(os.fspath(drive.path)) for drive in site.configuration.storage.to_drives()}


def removed(site: Site, start_ns: int, stop_ns: int) -> list[Removed]:
    """Return what was taken away in an interval, or lies in the trash, by place and reason, the most first."""
    groups: dict[tuple[str, str], list[TrashItem]] = defaultdict(list)
    for item in trash_items(site):
        if item.stage not in (TrashStage.RESTORED, TrashStage.KEPT):
            groups[item.removal.drive, str(item.removal.ground)].append(item)
    rows = []
    for (drive, ground), items in groups.items():
        went_B = [item.removal.size_B for item in items if start_ns <= item.moved_ns < stop_ns]
        trash_B = sum(item.removal.size_B for item in items if item.stage is TrashStage.IN_TRASH)
        if went_B or trash_B:
            rows.append(Removed(drive=drive, ground=ground, n_files=len(went_B), size_B=sum(went_B), trash_B=trash_B))
    return sorted(rows, key=lambda row: (-row.size_B, -row.trash_B, row.drive))


def purge_states(site: Site) -> list[PurgeReport]:
    """Return what the last look at each drop directory with ``purge`` came to.

    Parameters
    ----------
    site : Site
        The experiment.

    Returns
    -------
    list of PurgeReport
        In the order of ``drives.toml``; mode ``not looked at yet`` before the first look.
    """
    last = PurgeFile(site.configuration.store / "trash" / "purge.json").load().reports
    paths = [
        escape_name(os.path.realpath(drop.path)) for drop in site.configuration.storage.drop if drop.purge is not None
    ]
    return [last.get(path) or PurgeReport(path=path, mode="not looked at yet", looked_ns=0) for path in paths]
