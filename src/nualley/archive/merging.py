"""Files of a period: rows of many PVs, each in the encoding that is smaller for it, and the cells beside them."""

from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import pyarrow as pa

from nualley.archive.cells import Cells, join
from nualley.archive.layouts import NUMBERS, can_split, cells_from_table, cells_table
from nualley.archive.ports import ColumnFiles, FileWriter
from nualley.archive.sealed import TIERS, Encoding, Level, SealedFile
from nualley.archive.tiering import cells_of_table
from nualley.pv import ValueType

GROUP_ROWS = 2**17
"""Most rows of a row group: one hour is read out of one in a few milliseconds."""

_GROUP_B = 64 * 2**20
_TRIAL_ROWS = 2**16


class PeriodFiles:
    """The files of one period and type that are being written.

    Parameters
    ----------
    files : ColumnFiles
        Where.
    folder : str
        Folder of the rows: ``day/2026-11-22`` or ``month/2026-11``; cells go below ``tier/``, averages below
        ``wave/``, to a folder of the same period.
    name : str
        What tells these files from others of the period.
    value_type : ValueType
        What the values are.
    """

    def __init__(self, files: ColumnFiles, folder: str, name: str, value_type: ValueType) -> None:
        self._files, self._folder, self._name, self._value_type = files, folder, name, value_type
        self._is_lasting = folder.startswith("month/")
        self._writers: dict[tuple[Level, Encoding], FileWriter] = {}

    def add(self, pv: str, chunks: Iterable[pa.Table], *, with_cells: bool = True) -> None:
        """Write all rows of a PV in the period, and their cells; PVs come by name.

        Parameters
        ----------
        pv : str
            Name of the PV.
        chunks : iterable of pyarrow.Table
            Its rows with the columns of `nualley.archive.columns.file_schema`, by time; none reaches into another.
        with_cells : bool
            Whether their cells are written, too; False where these are there already.
        """
        writer: FileWriter | None = None
        cells: dict[Level, list[Cells]] = {level: [] for level in TIERS}
        for rows in chunks:
            writer = writer or self._writer(Level.RAW, self._encoding(rows))
            for part in _parts(rows):
                writer.add(pv, part)
            if with_cells and self._value_type in NUMBERS:
                for level, width_ns in TIERS.items():
                    cells[level].append(cells_of_table(rows, width_ns)[0])
        for level, found in cells.items():
            joined = join(found)
            self.add_cells(pv, level, cells_table(joined, [pv], np.zeros(len(joined), dtype=np.int32)))

    def _encoding(self, rows: pa.Table) -> Encoding:
        return self._smaller(rows, Level.RAW) if can_split(self._value_type) else Encoding.DICTIONARY

    def add_cells(self, pv: str, level: Level, cells: pa.Table) -> None:
        """Write cells of a PV; PVs come by name."""
        if cells.num_rows:
            self._writer(level, self._smaller(cells, level)).add(pv, cells)

    def add_waves(self, pv: str, groups: Iterable[pa.Table]) -> None:
        """Write averages of a PV, each table a row group, by time; PVs come by name."""
        for group in groups:
            self._writer(Level.WAVE, Encoding.SPLIT).add(pv, group)

    def finish(self) -> list[SealedFile]:
        """Make all of them durable, and return what they hold."""
        return [writer.finish() for writer in self._writers.values()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        for writer in self._writers.values():
            writer.__exit__(*args)

    def _writer(self, level: Level, encoding: Encoding) -> FileWriter:
        key = level, encoding
        if key not in self._writers:
            period = self._folder.partition("/")[2]
            beside = f"wave/{period}" if level is Level.WAVE else f"tier/{level}/{period}"
            folder = self._folder if level is Level.RAW else beside
            path = f"{folder}/{self._value_type}-{encoding}-{self._name}.parquet"
            is_lasting = self._is_lasting and level is Level.RAW
            self._writers[key] = self._files.begin(path, level, self._value_type, encoding, is_lasting=is_lasting)
        return self._writers[key]

    def _smaller(self, table: pa.Table, level: Level) -> Encoding:
        sizes_B = {
            encoding: self._files.trial_B(table.slice(0, _TRIAL_ROWS), level, self._value_type, encoding)
            for encoding in Encoding
        }
        return min(sizes_B, key=lambda encoding: sizes_B[encoding])


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut rows into row groups: by number, and by bytes where each is large."""
    row_B = max(rows.nbytes // max(rows.num_rows, 1), 1)
    n_rows = max(1, min(GROUP_ROWS, _GROUP_B // row_B))
    for start in range(0, rows.num_rows, n_rows):
        yield rows.slice(start, n_rows)


def joined_cells(tables: list[pa.Table], pv: str, level: Level) -> pa.Table:
    """Join tables of cells of one PV, by time of their first sample; parts of one cell stay parts."""
    cells = join([cells_from_table(table, TIERS[level]) for table in tables])
    order = cells.first_ns.argsort(kind="stable")
    return cells_table(cells.only(order), [pv], np.zeros(len(cells), dtype=np.int32))
