"""Runs as a list that becomes a table of Arrow or pandas where a notebook asks for one."""

import json
from typing import Any

from nualley.catalog.errors import LibraryMissing
from nualley.catalog.models import Run
from nualley.core import to_json

_TEXTS = ("run_id", "detector", "time_source", "run_type", "start_reason", "stop_reason")
_NUMBERS = ("number", "start_ns", "stop_ns", "created_ns")


class RunList(list[Run]):
    """Runs, in order."""

    def to_arrow(self) -> Any:
        """Return the runs as a table.

        Returns
        -------
        pyarrow.Table
            A row each. Times are there twice: ``start_ns`` and ``stop_ns`` [ns since 1970 UTC], and ``start`` and
            ``stop`` as timestamps of UTC; null where not known. ``settings`` is JSON.
        """
        import pyarrow as pa  # noqa: PLC0415  # heavy: only notebooks need it

        columns = {name: pa.array([str(getattr(run, name)) for run in self], pa.string()) for name in _TEXTS}
        columns |= {name: pa.array([getattr(run, name) for run in self], pa.int64()) for name in _NUMBERS}
        for name in ("start", "stop"):
            columns[name] = columns[f"{name}_ns"].cast(pa.timestamp("ns", tz="UTC"))
        columns["tags"] = pa.array([list(run.tags) for run in self], pa.list_(pa.string()))
        settings = [json.dumps(to_json(run.settings, "settings"), ensure_ascii=False) for run in self]
        columns["settings"] = pa.array(settings, pa.string())
        return pa.table(columns)

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
