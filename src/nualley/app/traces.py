"""Averages of arrays over minutes as a table, and pictures of a run's trace."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from nualley.app.archive_plan import read_plan
from nualley.app.beam import check_picture
from nualley.app.site import Site
from nualley.app.trace_rules import declared_rule, trace_rules
from nualley.archive.layouts import WAVES
from nualley.archive.trace_table import trace_tables
from nualley.core import NualleyError, UsageError, reason
from nualley.exposure import RunTiming, RunTrace
from nualley.exposure.adapters.trace_figure import draw_trace


def minute_tables(site: Site, pv: str, start_ns: int, stop_ns: int) -> Iterator[pa.Table]:
    """Return the averages of a PV's arrays over minutes, in pieces.

    Parameters
    ----------
    site : Site
        The experiment.
    pv : str
        Name of the PV.
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC]; a minute that begins in it is told of as a whole.

    Returns
    -------
    iterator of pyarrow.Table
        `nualley.archive.TRACE_COLUMNS`, at least one table. Minutes of which nothing is kept are averaged from the
        samples, as far as these are there.

    Raises
    ------
    PvNotArchivedError
        Where the archive does not know the PV.
    UsageError
        Where its values are no arrays of numbers.
    """
    reader = site.archive()
    value_type = reader.record(pv).value_type
    if value_type is not None and value_type not in WAVES:
        raise UsageError(
            f"{pv} holds {value_type}, averages are made of arrays of numbers",
            where=pv,
            do="nualley archive get shows its values",
        )
    rule = trace_rules(read_plan(site).plan).get(pv) or declared_rule(site.configuration, pv)
    return trace_tables(reader, pv, start_ns, stop_ns, rule)


def draw_run_trace(site: Site, trace: RunTrace, out: Path, timing: RunTiming | None = None) -> None:
    """Draw the average trace of a run.

    Parameters
    ----------
    site : Site
        The experiment: its name stands above the picture.
    trace : RunTrace
        The trace.
    out : Path
        The picture; its ending says which kind.
    timing : RunTiming, optional
        When neutrinos arrive.

    Raises
    ------
    UsageError
        Where it cannot become a picture: its ending, its folder, or it is a folder itself.
    NualleyError
        Where the picture cannot be written.
    """
    check_picture(out)
    title = f"{site.configuration.experiment.name}: POT trace of {trace.run_id}"
    try:
        draw_trace(trace, out, timing=timing, title=title)
    except OSError as error:
        raise NualleyError(
            f"the picture cannot be written: {reason(error)}", where=str(out), do="name another file with --out"
        ) from error
