"""Numbers of many PVs that a look brings, gathered into columns."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nualley.pv.models import PvProtocol, Samples, ValueType

_DTYPES = {ValueType.FLOAT64: np.float64, ValueType.INT64: np.int64, ValueType.ENUM: np.int64}


class Rows:
    """Updates with one number each, in the order in which they were taken.

    Parameters
    ----------
    pvs : sequence of str
        Names that their indices count in; it may grow.
    """

    def __init__(self, pvs: Sequence[str]) -> None:
        self._pvs = pvs
        self._rows: dict[ValueType, list[tuple[Any, ...]]] = {}
        self._gathered: set[int] = set()

    def add(self, kind: ValueType, row: tuple[Any, ...]) -> None:
        """Take one update: index, time stamp, value, severity, status and time of receipt."""
        self._rows.setdefault(kind, []).append(row)
        self._gathered.add(row[0])

    def has(self, index: int) -> bool:
        """Say whether updates of a PV have gathered."""
        return index in self._gathered

    def take(self) -> Iterator[Samples]:
        """Give away what has gathered, a batch for each type."""
        self._gathered.clear()
        while self._rows:
            kind, rows = self._rows.popitem()
            index, time_ns, value, severity, status, received_ns = zip(*rows, strict=True)
            yield Samples(
                self._pvs,
                np.array(index, dtype=np.int32),
                np.array(time_ns, dtype=np.int64),
                np.array(value, dtype=_DTYPES[kind]),
                kind,
                np.array(severity, dtype=np.int8),
                np.array(status, dtype=np.int16),
                PvProtocol.PVA,
                np.array(received_ns, dtype=np.int64),
            )
