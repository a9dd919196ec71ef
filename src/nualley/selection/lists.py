"""Lists of runs in the formats of others: read, and written again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nualley.selection.csv_list import csv_document, csv_runs, read_csv, write_csv
from nualley.selection.errors import NotExpressible
from nualley.selection.formats import ListFormat
from nualley.selection.golden import golden_runs, read_golden, write_golden
from nualley.selection.legend import legend_runs, ranges, read_legend, write_legend
from nualley.selection.models import ListedRun, SelectedRun

_TYPES = {"physics": "phy", "calibration": "cal", "background": "bkg", "test": "tst"}


def read_list(text: str, format_: ListFormat) -> Mapping[str, Any]:
    """Return a list as it was read, made of what JSON can hold; ListUnreadable where it is none."""
    return _CODECS[format_].read(text)


def listed_runs(document: Mapping[str, Any], format_: ListFormat, detector: str | None) -> list[ListedRun]:
    """Return the runs of a list that was read; ``detector`` says whose they are where the list does not."""
    return _CODECS[format_].runs(document, detector)


def write_list(document: Mapping[str, Any], format_: ListFormat) -> str:
    """Return the text of a list."""
    return _CODECS[format_].write(document)


def make_list(
    runs: Sequence[SelectedRun], format_: ListFormat, run_types: Mapping[str, str], name: str
) -> Mapping[str, Any]:
    """Return selected runs as a list.

    Parameters
    ----------
    runs : sequence of SelectedRun
        What is selected.
    format_ : str
        The format.
    run_types : mapping of str to str
        Run id -> type.
    name : str
        The selection, for the text of errors.

    Returns
    -------
    mapping
        As `read_list` would return it.

    Raises
    ------
    NotExpressible
        Where the format cannot say it: parts of runs, or runs of several detectors under one number.
    """
    if format_ == "csv":
        return csv_document(runs)
    if format_ == "cms-golden":
        return _golden(runs, name)
    return _legend(runs, run_types, name)


def _golden(runs: Sequence[SelectedRun], name: str) -> dict[str, Any]:
    _refuse_parts([run for run in runs if run.listed.blocks is None], "cms-golden", name)
    found: dict[str, Any] = {}
    for run in runs:
        key = str(run.listed.number)
        if key in found:
            raise NotExpressible(
                f"selection {name} has run {key} of several detectors or periods, cms-golden knows numbers only",
                where=name,
                do="choose one detector: --detector ID",
            )
        # a run of which no blocks are recorded is one block
        found[key] = [[1, 1]] if run.listed.blocks is None else [list(block) for block in run.listed.blocks]
    return found


def _legend(runs: Sequence[SelectedRun], run_types: Mapping[str, str], name: str) -> dict[str, Any]:
    _refuse_parts(runs, "legend-yaml", name)
    numbers: dict[str, dict[str, list[int]]] = {}
    for run in runs:
        run_type = run_types.get(run.listed.run_id or "", "")
        owner = run.listed.detector or "p00"
        numbers.setdefault(_TYPES.get(run_type, run_type or "any"), {}).setdefault(owner, []).append(run.listed.number)
    by_type = {
        run_type: {owner: _one_or_more(ranges(found)) for owner, found in owners.items()}
        for run_type, owners in numbers.items()
    }
    return {"valid": by_type}


def _one_or_more(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _refuse_parts(runs: Sequence[SelectedRun], format_: str, name: str) -> None:
    parts = [str(run.listed.run_id or run.listed.number) for run in runs if run.is_known and not run.is_whole]
    parts += [
        str(run.listed.run_id or run.listed.number)
        for run in runs
        if not run.is_known and (run.intervals or run.listed.blocks)
    ]
    if parts:
        shown = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        raise NotExpressible(
            f"selection {name} takes parts of {len(parts)} runs ({shown}), {format_} knows whole runs only",
            where=name,
            do="export it as csv or json",
        )


@dataclass(frozen=True, slots=True)
class _Codec:
    read: Callable[[str], Mapping[str, Any]]
    runs: Callable[[Mapping[str, Any], str | None], list[ListedRun]]
    write: Callable[[Mapping[str, Any]], str]


_CODECS: Mapping[ListFormat, _Codec] = {
    "cms-golden": _Codec(read_golden, golden_runs, write_golden),
    "legend-yaml": _Codec(read_legend, legend_runs, write_legend),
    "csv": _Codec(read_csv, csv_runs, write_csv),
}
