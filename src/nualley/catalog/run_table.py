"""Runs as a list that becomes a table of Arrow or pandas where a notebook asks for one."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from nualley.catalog.errors import LibraryMissing
from nualley.catalog.models import Note, Run, Totals
from nualley.core import to_json

_TEXTS = ("run_id", "detector", "time_source", "run_type", "start_reason", "stop_reason")
_NUMBERS = ("number", "start_ns", "stop_ns", "created_ns")
_COUNTS = ("n_files", "n_events", "size_B")

LiveSeconds = Callable[[Sequence[Run]], Sequence[float | None]]
"""Gives the live time of runs [s], None of one whose times are not known."""


class RunDetails(Protocol):
    """What is known of runs beside what they are."""

    def totals_by_run(self) -> Mapping[str, Totals]:
        """Return counts for every run."""
        ...

    def notes_by_run(self) -> Mapping[str, Sequence[Note]]:
        """Return the notes of every run that has some, oldest first."""
        ...

    def livetimes_s(self, runs: Sequence[Run]) -> Sequence[float | None]:
        """Return the live time of runs [s]; None where it is not known."""
        ...


class RunList(list[Run]):
    """Runs, in order.

    Parameters
    ----------
    runs : iterable of Run
        The runs.
    details : RunDetails, optional
        What their table says beside; asked when there is one to be made.
    """

    def __init__(self, runs: Iterable[Run] = (), details: RunDetails | None = None) -> None:
        super().__init__(runs)
        self._details = details

    def to_arrow(self) -> Any:
        """Return the runs as a table.

        Returns
        -------
        pyarrow.Table
            A row each. Times are there twice: ``start_ns`` and ``stop_ns`` [ns since 1970 UTC], and ``start`` and
            ``stop`` as timestamps of UTC; null where not known. ``livetime_s`` [s] is null where it is not known,
            ``size_B`` [B] is that of ``n_files`` files. ``notes`` have ``time_ns``, ``author`` and ``text`` each,
            oldest first. ``settings`` is JSON.
        """
        import pyarrow as pa  # noqa: PLC0415  # heavy: only notebooks need it

        columns = {name: pa.array([str(getattr(run, name)) for run in self], pa.string()) for name in _TEXTS}
        columns |= {name: pa.array([getattr(run, name) for run in self], pa.int64()) for name in _NUMBERS}
        for name in ("start", "stop"):
            columns[name] = columns[f"{name}_ns"].cast(pa.timestamp("ns", tz="UTC"))
        columns |= self._detail_columns(pa)
        columns["tags"] = pa.array([list(run.tags) for run in self], pa.list_(pa.string()))
        settings = [json.dumps(to_json(run.settings, "settings"), ensure_ascii=False) for run in self]
        columns["settings"] = pa.array(settings, pa.string())
        return pa.table(columns)

    def _detail_columns(self, pa: Any) -> dict[str, Any]:
        totals = self._details.totals_by_run() if self._details else {}
        notes = self._details.notes_by_run() if self._details else {}
        livetimes_s = self._details.livetimes_s(self) if self._details else [None] * len(self)
        note = pa.struct({"time_ns": pa.int64(), "author": pa.string(), "text": pa.string()})
        counts = {
            name: pa.array([getattr(totals.get(run.run_id), name, None) for run in self], pa.int64())
            for name in _COUNTS
        }
        told = [
            [{"time_ns": each.time_ns, "author": each.author, "text": each.text} for each in notes.get(run.run_id, ())]
            for run in self
        ]
        return {
            "livetime_s": pa.array(livetimes_s, pa.float64()),
            **counts,
            "notes": pa.array(told, pa.list_(note)),
        }

    def to_pandas(self) -> Any:
        """Return the runs as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            As `to_arrow`; whole numbers that may be missing are of the type ``Int64``, which loses no nanosecond.

        Raises
        ------
        LibraryMissing
            Where pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415  # not part of the product
        except ModuleNotFoundError as error:
            raise LibraryMissing(
                "pandas is not installed", where="to_pandas", do="pip install pandas, or take to_arrow()"
            ) from error
        import pyarrow as pa  # noqa: PLC0415  # heavy: only notebooks need it

        return self.to_arrow().to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
