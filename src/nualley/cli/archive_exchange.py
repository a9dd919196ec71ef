"""``nualley archive import``: samples that others recorded."""

from pathlib import Path

from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_table
from nualley.cli.progress import copy_progress
from nualley.core import ExitCode, UsageError


def import_(*path: Path, output: Output = Output()) -> int:
    """Take in files of an Archiver Appliance (.pb) or CSV (pv,time,value[,severity]).

    Works beside a running archive or without one. What is stored already is filtered: done again, it goes on where it
    was stopped.

    Example: nualley archive import old/ more.csv

    Parameters
    ----------
    path : Path
        Files, or folders of them.
    """
    from nualley.app.imports import import_files  # pyarrow is heavy

    if not path:
        raise UsageError("no file is named", where="archive import", do="name .pb or .csv files, or folders of them")
    site = open_site(output.experiment)
    with copy_progress(is_shown=not output.is_json) as progress:
        found = import_files(site.archive_folder, path, progress)
    counts = found.counts
    answer = {
        "files": found.n_files,
        "received": counts.received,
        "stored": counts.stored,
        "quarantined": counts.quarantined,
        "filtered": counts.filtered,
        "pvs": len(counts.pvs),
        "unreadable": found.unreadable,
    }
    if output.is_json:
        print_json(answer)
    else:
        names = ("files", "received", "stored", "quarantined", "filtered", "pvs")
        print_table(names, [[answer[name] for name in names]], right=range(6))
    for place in found.unreadable:
        print_note(f"not read: {place}")
    if found.kept_at is not None:
        print_note(f"refused lines are kept in {found.kept_at}")
    return ExitCode.DONE
