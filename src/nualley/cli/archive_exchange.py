"""``nualley archive import|export``: samples that others recorded, and ours for others."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nualley.app.archive_plan import read_plan
from nualley.app.site import Site, open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Output, Time, stretch_ns
from nualley.cli.output import print_json, print_note, print_table, print_text
from nualley.cli.progress import copy_progress, row_progress
from nualley.core import ExitCode, UsageError, first_few, format_time, nearest


def import_(*path: Path, output: Output = Output()) -> int:
    """Take in files of an Archiver Appliance (.pb) or CSV (pv,time,value[,severity], or what archive get writes).

    Works beside a running archive or without one. What is stored or kept aside already is filtered: done again, it goes
    on where it was stopped. Exit 1 where nothing of a file is stored because all that is in it was refused.

    Example: nualley archive import old/ more.csv

    Parameters
    ----------
    path : Path
        Files, or folders of them.
    """
    from nualley.app.imports import NO_SAMPLE, import_files  # pyarrow is heavy
    from nualley.app.trace_rules import trace_rules  # so is NumPy

    if not path:
        raise UsageError("no file is named", where="archive import", do="name .pb or .csv files, or folders of them")
    site = open_site(output.experiment)
    with copy_progress(is_shown=not output.is_json) as progress:
        found = import_files(site.archive_folder, path, progress, rules=trace_rules(read_plan(site).plan))
    counts = found.counts
    answer = {
        "files": found.n_files,
        "received": counts.received,
        "stored": counts.stored,
        "quarantined": counts.quarantined,
        "filtered": counts.filtered,
        "pvs": len(counts.pvs),
        "pv_names": sorted(counts.pvs),
        "by_reason": dict(counts.by_reason),
        "unreadable": found.unreadable,
        "refused_files": [str(file) for file in found.refused],
        "bridged": [{"pv": part.pv, "start_ns": part.start_ns, "stop_ns": part.stop_ns} for part in counts.bridged],
    }
    if output.is_json:
        print_json(answer)
    else:
        names = ("files", "received", "stored", "quarantined", "filtered", "pvs")
        print_table(names, [[answer[name] for name in names]], right=range(6))
        print_text(f"of {first_few(sorted(counts.pvs), _NAMED)}" if counts.pvs else "of no PV")
    for place in found.unreadable:
        print_note(f"not read: {place}")
    if found.n_lines > len(found.unreadable):
        print_note(f"{found.n_lines - len(found.unreadable)} more lines are no samples")
    if found.kept_at is not None:
        print_note(f"refused lines are kept in {found.kept_at}: nualley archive quarantine --lines shows them")
    samples = {reason: n for reason, n in sorted(counts.by_reason.items()) if reason != NO_SAMPLE}
    if samples:
        told = ", ".join(f"{n} {reason}" for reason, n in samples.items())
        print_note(f"samples that are kept aside, {told}: nualley archive quarantine shows them")
    for part in counts.bridged[:_NAMED]:
        begin, end = format_time(part.start_ns), format_time(part.stop_ns)
        print_note(f"{part.pv} counts as known from {begin} to {end}, between an earlier import and this one")
    if len(counts.bridged) > _NAMED:
        print_note(f"{len(counts.bridged) - _NAMED} more stretches between imports count as known: --json names all")
    for file in found.refused:
        print_note(f"nothing of {file} is stored: all that is in it was refused")
    return ExitCode.FAILED if found.refused else ExitCode.DONE


_NAMED = 10


def export(
    *pv: str,
    to_folder: Path,
    from_: Annotated[Time, Parameter(name="--from")] = None,
    to: Time = "now",
    output: Output = Output(),
) -> int:
    """Write samples as the .pb files of an Archiver Appliance, a year each, in the folders where it keeps them.

    A file that is there is not written over. For one PV as csv, arrow or parquet: nualley archive get PV --out FILE.

    Example: nualley archive export "LAB:CRYO:*" --to-folder appliance-files

    Parameters
    ----------
    pv : str
        Names of PVs; * and ? stand for what is not said.
    to_folder : Path
        Where the files go.
    from_ : str
        Begin; by default each PV's first sample.
    to : str
        End, not included.
    """
    from nualley.app.exports import export_appliance  # pyarrow is heavy

    site = open_site(output.experiment)
    names = _named(site, pv)
    start_ns, stop_ns = stretch_ns(from_ or _EVER, to or "now")
    files = []
    with row_progress(is_shown=not output.is_json) as progress:
        for name in names:
            for path, n_samples in export_appliance(site.archive(), name, start_ns, stop_ns, to_folder, progress):
                files.append({"pv": name, "path": str(path), "samples": n_samples})
    if output.is_json:
        print_json({"folder": str(to_folder), "pvs": len(names), "files": files})
    else:
        columns = ("pv", "path", "samples")
        print_table(columns, [[row[column] for column in columns] for row in files], right=(2,))
        if not files:
            print_note("no samples in that time")
    return told_losses(site)


_EVER = "1991-01-01"


def _named(site: Site, patterns: tuple[str, ...]) -> list[str]:
    if not patterns:
        raise UsageError("no PV is named", where="archive export", do='name PVs, such as "LAB:CRYO:*", or "*" for all')
    known = sorted(site.archive().registry().by_name)
    names: list[str] = []
    for pattern in patterns:
        # an alias is in no list, and stands for a PV all the same
        is_name = pattern in known or site.archive().has(pattern)
        found = [pattern] if is_name else [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            near = nearest(pattern, known)
            raise UsageError(
                f"{pattern!r} is not archived",
                where="PV",
                do=f"did you mean {near!r}?" if near else "nualley archive pvs lists all",
            )
        names += [name for name in found if name not in names]
    return names
