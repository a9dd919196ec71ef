"""``nualley archive get``: the history of a PV as rows or bins, on the terminal or as a file."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nualley.app.site import Site, open_site
from nualley.archive import BIN_COLUMNS
from nualley.cli.losses import told_losses
from nualley.cli.options import Repository, Time, Whole, stretch_ns
from nualley.cli.output import print_json, print_note, print_table, shown_number, shown_time, shown_value
from nualley.cli.sinks import answer_to, check_out, open_sink, told_file
from nualley.core import UsageError, format_time

if TYPE_CHECKING:
    from nualley.app.exports import Operated  # pyarrow is heavy

_COLUMNS = ("time_ns", "value", "severity", "status", "kind")
_LOST = ("disconnect", "gap")
_DIGITS = (0, 3, 6, 9)
"""So many digits behind the second have the edges of bins: as many as they need."""

_OPERATED = ("time_ns", "value", "severity", "status", "known")


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class HistoryOutput:
    """Which experiment is meant, and how the history is written."""

    format: Literal["text", "json", "csv", "arrow", "parquet"] = "text"
    """How the answer is written; arrow is an IPC stream."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Short for --format json."""

    out: Path | None = None
    """File that the answer goes to; by default stdout. An existing one is replaced when the new one is whole."""

    experiment: Repository = None

    @property
    def chosen(self) -> Literal["text", "json", "csv", "arrow", "parquet"]:
        """The format."""
        return "json" if self.json else self.format


def get(
    pv: str,
    /,
    *,
    from_: Annotated[Time, Parameter(name="--from")] = "-1h",
    to: Time = "now",
    bins: Whole | None = None,
    exact: Annotated[bool, Parameter(negative="")] = False,
    op: str | None = None,
    output: HistoryOutput = HistoryOutput(),
) -> int:
    """Show the history of a PV; the sample that holds at --from comes first, gaps are rows.

    Example: nualley archive get DEMO:BEAM:POWER --from -10min

    Parameters
    ----------
    pv : str
        Name of the PV.
    from_ : str
        Begin.
    to : str
        End, not included.
    bins : int
        Show so many pieces of the stretch instead of its samples: n, min, mean, max, first, last, mean over time.
        Of long stretches their edges move to whole minutes or hours; they are shown.
    exact : bool
        Let the edges of the bins be those asked for. An edge inside a minute whose samples are kept no longer, or lie
        in a damaged file, moves to an end of that minute, and stderr says so.
    op : str
        Show what an operator of the Archiver Appliance makes of the samples, such as mean_600 (bins of 600 s),
        optimized_1000 or deadBand_0.5.
    """
    start_ns, stop_ns = stretch_ns(from_ or "-1h", to or "now")
    check_out(output.out)
    site = open_site(output.experiment)
    if exact and bins is None:
        raise UsageError("--exact says how bins are cut, and there are none", where="--exact", do="add --bins N")
    if op is not None:
        if bins is not None:
            raise UsageError("--bins and --op say different things", where="--bins, --op", do="leave one out")
        _show_operated(site, pv, op, (start_ns, stop_ns), output)
    elif bins is not None:
        _show_bins(site, pv, site.archive().bins(pv, start_ns, stop_ns, bins, is_exact=exact), output)
        _tell_types(site, pv, (start_ns, stop_ns), "what is no number is in no mean and good in no bin")
    elif output.chosen in ("text", "json"):
        _show_rows(site, pv, (start_ns, stop_ns), output)
        _tell_types(site, pv, (start_ns, stop_ns), _AS_TEXT)
    else:
        write_rows(site, pv, site.archive().pieces(pv, start_ns, stop_ns), output)
        _tell_types(site, pv, (start_ns, stop_ns), _AS_TEXT)
    return told_losses(site)


_AS_TEXT = "all are given as text; --bins takes the numbers as numbers"


def _tell_types(site: Site, pv: str, stretch_ns: tuple[int, int], meaning: str) -> None:
    """Say where a PV was not always a number: numbers of then are not what they would be alone."""
    found = site.archive().mixed_types(pv, *stretch_ns)
    if found:
        print_note(f"{pv} changed its type in that time ({', '.join(found)}): {meaning}")


def unit_of(site: Site, pv: str) -> str:
    """Return the unit of a PV as its IOC says; empty where it says none."""
    metadata = site.archive().record(pv).metadata
    return metadata.unit if metadata else ""


def _show_rows(site: Site, pv: str, stretch_ns: tuple[int, int], output: HistoryOutput) -> None:
    record = site.archive().record(pv)
    table = site.archive().read(pv, *stretch_ns)
    unit = unit_of(site, pv)
    if output.chosen == "json":
        # an enum's values are indices: these are their words
        labels = {"labels": list(record.metadata.labels)} if record.metadata and record.metadata.labels else {}
        with answer_to(output.out):
            columns = {name: table[name].to_pylist() for name in _COLUMNS}
            print_json({"pv": pv, "unit": unit, **labels, "columns": columns})
        return
    with answer_to(output.out):
        _print_rows(table, record.shown, unit)
    if site.archive().is_thinned(pv, stretch_ns[0]):
        further = "--bins" if table["value"].type.num_fields == 0 else f"nualley archive trace {pv}"
        print_note(f"samples of {pv} are kept for a while only: {further} reaches further back")
    elif not len(table):
        print_note(f"no rows: {pv} was {'never connected' if not record.has_connected else 'not archived then'}")


def _print_rows(table: Any, shown: Callable[[object], object], unit: str) -> None:
    rows = list(zip(*(table[name].to_pylist() for name in (*_COLUMNS, "last_heard_ns")), strict=True))
    # a row stands where the loss was noticed, and the value is unknown from before that
    has_lost = any(kind in _LOST for *_, kind, _ in rows)
    print_table(
        ("time (UTC)", f"value [{unit}]" if unit else "value", "severity", "kind")
        + (("unknown since (UTC)",) if has_lost else ()),
        [
            [format_time(time_ns), shown_value(shown(value)), severity, kind]
            + ([_since(kind, time_ns, heard_ns)] if has_lost else [])
            for time_ns, value, severity, _, kind, heard_ns in rows
        ],
        right=(1,),
    )


def _since(kind: str, time_ns: int, heard_ns: int | None) -> str:
    return format_time(min(time_ns, heard_ns or time_ns)) if kind in _LOST else ""


def _show_operated(site: Site, pv: str, op: str, stretch_ns: tuple[int, int], output: HistoryOutput) -> None:
    from nualley.app.exports import operated  # pyarrow is heavy

    pieces = operated(site.archive(), pv, op, *stretch_ns)
    if output.chosen not in ("text", "json"):
        write_rows(site, pv, pieces, output)
        _tell_lacking(pv, op, pieces)
        return
    columns: dict[str, list[Any]] = {name: [] for name in _OPERATED}
    for piece in pieces:
        for name in _OPERATED:
            columns[name] += piece[name].to_pylist()
    unit = unit_of(site, pv)
    with answer_to(output.out):
        if output.chosen == "json":
            lacking = [{"start_ns": part.start_ns, "stop_ns": part.stop_ns} for part in pieces.lacking()]
            print_json({"pv": pv, "unit": unit, "op": op, "columns": columns, "lacking": lacking})
            _tell_lacking(pv, op, pieces)
            return
        print_table(
            ("time (UTC)", op, "severity"),
            [
                [format_time(time_ns), *((shown_value(value), severity) if is_known else ("not known", None))]
                for time_ns, value, severity, _, is_known in zip(*columns.values(), strict=True)
            ],
            right=(1,),
        )
    _tell_lacking(pv, op, pieces)


def _tell_lacking(pv: str, op: str, pieces: "Operated") -> None:
    """Say what an operator had to do without since it lies in damaged files."""
    told, lacking = list(pieces.from_cells()), list(pieces.lacking())
    if told:
        print_note(
            f"samples of {pv} between {shown_time(told[0].start_ns)} and {shown_time(told[-1].stop_ns)} (UTC) lie in a "
            f"damaged file: {op} of these bins is made of the cells of minutes, of good samples alone"
        )
    for part in lacking:
        print_note(
            f"{op} lacks the samples of {pv} from {shown_time(part.start_ns)} to {shown_time(part.stop_ns)} (UTC): "
            "they lie in a damaged file"
        )


def _show_bins(site: Site, pv: str, table: Any, output: HistoryOutput) -> None:
    from nualley.app.exports import moved_edges_json  # pyarrow is heavy

    shown, moved = table.select(BIN_COLUMNS), moved_edges_json(table)
    if output.chosen == "json":
        with answer_to(output.out):
            columns = {name: shown[name].to_pylist() for name in BIN_COLUMNS}
            print_json({"pv": pv, "unit": unit_of(site, pv), "columns": columns, "moved": moved})
    elif output.chosen == "text":
        edges_ns = [*shown["start_ns"].to_pylist(), *shown["stop_ns"].to_pylist()[-1:]]
        digits = next(digits for digits in _DIGITS if all(ns % 10 ** (9 - digits) == 0 for ns in edges_ns))
        with answer_to(output.out):
            print_table(
                ("start (UTC)", "stop (UTC)", *BIN_COLUMNS[2:]),
                [
                    [
                        format_time(row["start_ns"], digits=digits),
                        format_time(row["stop_ns"], digits=digits),
                        *(_shown(row[name]) for name in BIN_COLUMNS[2:]),
                    ]
                    for row in shown.to_pylist()
                ],
                right=range(2, len(BIN_COLUMNS)),
            )
    else:
        write_rows(site, pv, [shown], output)
    if moved:
        first = moved[0]
        print_note(
            f"{len(moved)} edges of bins are not those asked for: {format_time(first['asked_ns'])} is now "
            f"{format_time(first['given_ns'])}. Not all samples of such a minute can be read any more "
            "(kept for a while only, or in a damaged file), so it is not cut"
        )
        print_note("  do:    ask for whole minutes, which are exact there, or put a backup of the damaged file back")


def _shown(value: float | None) -> object:
    return shown_number(value, 6) if isinstance(value, float) else value


def write_rows(site: Site, pv: str, pieces: Iterable[Any], output: HistoryOutput) -> None:
    """Write tables of a PV as a file, or to stdout."""
    from nualley.app.exports import export_rows  # pyarrow is heavy

    match output.chosen:
        case "text" | "json" as words:
            raise ValueError(f"{words} is no format of files")
        case kind if output.out is None and kind != "csv" and sys.stdout.isatty():
            raise UsageError(f"{kind} is not for a terminal", where="--format", do="add --out FILE")
        case kind:
            with open_sink(output.out) as sink:
                n_rows = export_rows(site.archive(), pv, pieces, file_format=kind, sink=sink)
    told_file(output.out, n_rows)
