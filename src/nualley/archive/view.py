"""What the files and the log say now: the index's snapshot and the tail of the log, following the writer."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from nualley.archive.cell_reader import CellCache
from nualley.archive.cells import Cells
from nualley.archive.directory import Directory, DirectoryCache, Snapshot
from nualley.archive.errors import ArchiveBusyError, SealedFileDamagedError
from nualley.archive.layouts import cells_from_table
from nualley.archive.ports import ColumnFiles, Generation, Index, LogReader
from nualley.archive.registry import Registry
from nualley.archive.sealed import TIERS, RowGroup, SealedState
from nualley.archive.tail import LogTail
from nualley.core import Clock

T = TypeVar("T")

TRIES = 20
"""An answer is begun so often anew when files are sealed or replaced while it is made."""


class ArchiveView:
    """A consistent view of an archive that follows its writer; only what is synced is seen.

    Parameters
    ----------
    index : Index
        What is sealed.
    log : LogReader
        What is not yet sealed.
    files : ColumnFiles
        Sealed rows.
    clock : Clock
        Says when a log was found to be gone.
    """

    def __init__(self, index: Index, log: LogReader, files: ColumnFiles, clock: Clock) -> None:
        self.index = index
        self._log = log
        self._files = files
        self._clock = clock
        self._generation: Generation | None = None
        self._state = SealedState(segment=-2)
        self._directories = DirectoryCache()
        self.sealed = Snapshot((), {}, _no_directory, self._directories)
        self._tail = LogTail(Registry(), segment=-2, has_log=False)
        self._damages: dict[tuple[str, int], str] = {}
        self._known_cells = CellCache()

    def refresh(self) -> LogTail:
        """Look again, and return what is not sealed yet.

        Raises
        ------
        ArchiveBusyError
            Where files were sealed again and again meanwhile.
        """
        for _ in range(TRIES):
            if self.is_outdated() and not self._reload():
                continue
            mark = self._log.mark()
            try:
                if mark:
                    self._tail.follow(self._log, mark)
            except FileNotFoundError:  # sealed while we looked
                continue
            if not self.is_outdated():
                if mark:
                    self._tail.finish(mark)
                elif self._tail.has_log:  # the mark is as old as the log: with it, the log is gone
                    self._tail.lose_rest(self._clock.now_ns())
                return self._tail
        raise busy("")

    @property
    def registry(self) -> Registry:
        """What was known of every PV at the last look."""
        return self._tail.registry

    def is_outdated(self) -> bool:
        """Say whether files were sealed or replaced since the last look."""
        return self.index.generation() != self._generation

    def _reload(self) -> bool:
        generation = self.index.generation()
        state, sealed = self.index.load(), self.index.snapshot(self._directories)
        if self.index.generation() != generation:
            return False
        if state != self._state:
            registry = Registry(state)
            registry.add_imported(state.imported)
            self._tail = LogTail(registry, state.segment, has_log=state.has_log)
        self._state, self.sealed, self._generation = state, sealed, generation
        return True

    def rows(self, group: RowGroup, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Read a row group; where it is damaged or missing, note that and return None.

        Parameters
        ----------
        group : RowGroup
            Where it is.
        columns : sequence of str, optional
            Which columns; all by default.

        Raises
        ------
        FileNotFoundError
            Where it was replaced meanwhile.
        """
        key = group.path, group.place.group_B
        try:
            table = self._files.read(group, columns)
        except SealedFileDamagedError as error:
            self._damages[key] = f"{error.where}: {error.what}"
            return None
        except FileNotFoundError:
            if self.is_outdated():
                raise
            self._damages[key] = f"{group.path}: a sealed file is missing"
            self._files.note_missing(group.path)
            return None
        if columns is None:  # a backup was put in its place
            self._damages.pop(key, None)
        return table

    def cells(self, group: RowGroup) -> Cells | None:
        """Read a row group of a tier, or remember it; None where it is damaged.

        Raises
        ------
        FileNotFoundError
            Where it was replaced meanwhile.
        """
        key = group.path, group.place.group_B, group.skip_rows
        cells = self._known_cells.get(key)
        if cells is None:
            table = self.rows(group)
            if table is None:
                return None
            cells = cells_from_table(table, TIERS[group.level])
        return self._known_cells.put(key, cells)

    @property
    def damages(self) -> list[str]:
        """What was found damaged or missing among the sealed files so far."""
        return list({path: what for (path, _), what in self._damages.items()}.values())

    def damage_of(self, group: RowGroup) -> str | None:
        """Return what was found damaged of a row group so far; None where nothing was, or is not any more.

        Raises
        ------
        FileNotFoundError
            Where it was replaced meanwhile.
        """
        key = group.path, group.place.group_B
        if key in self._damages:
            self.rows(group)
        return self._damages.get(key)


def unless_replaced(pv: str, look: Callable[[], T]) -> T:
    """Return what a look at the files returns; it is begun anew where a file was replaced meanwhile.

    Parameters
    ----------
    pv : str
        Whom it is about.
    look : callable
        Raises FileNotFoundError where it met a file that is no longer there.

    Raises
    ------
    ArchiveBusyError
        Where that happens again and again.
    """
    for _ in range(TRIES):
        try:
            return look()
        except FileNotFoundError:
            continue
    raise busy(pv)


def busy(pv: str) -> ArchiveBusyError:
    """Return the error that an answer about a PV could not be finished."""
    return ArchiveBusyError(
        f"the archive was sealed {TRIES} times while it was read", where=pv, do="try again; is rotate_s set too short?"
    )


def _no_directory(file_id: int) -> Directory:
    raise FileNotFoundError(f"file {file_id}")
