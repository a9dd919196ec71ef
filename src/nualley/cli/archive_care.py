"""``nualley archive stats|gaps|verify|compact``: what the archive holds, what it does not, and its files."""

from typing import Annotated, Any

from cyclopts import Parameter

from nualley.app.archive_plan import kept_ns, read_plan
from nualley.app.locks import role_state
from nualley.app.site import open_site
from nualley.cli.losses import told_losses
from nualley.cli.options import Output, Time, bounds_ns
from nualley.cli.output import print_json, print_note, print_table, shown_number, shown_time
from nualley.cli.progress import copy_progress
from nualley.core import ExitCode, SystemClock, format_duration


def stats(*pv: str, output: Output = Output()) -> int:
    """Show how often PVs are stored, what their samples take, and their account.

    Example: nualley archive stats

    Parameters
    ----------
    pv : str
        Names of PVs; none means all.
    """
    site = open_site(output.experiment)
    reader = site.archive()
    registry = reader.registry()
    sealed_B = reader.sealed_B()
    found: list[dict[str, Any]] = []
    for name in pv or sorted(registry.by_name):
        record, rate = reader.record(name), reader.rate(name)
        n_rows = max(record.n_stored, 1)
        found.append(
            {
                "pv": name,
                "rate_Hz": rate.samples_Hz,
                "rate_over_s": rate.over_s,
                "bytes_per_sample": sealed_B[name] / n_rows if name in sealed_B else None,
                "received": record.ledger.received,
                "stored": record.ledger.stored,
                "quarantined": record.ledger.quarantined,
                "filtered": record.ledger.filtered,
                "gaps": record.ledger.gaps,
                "last_heard_ns": registry.last_heard_ns(record) or None,
                "synced_seq": record.synced_seq if record.synced_seq >= 0 else None,
            }
        )
    if output.is_json:
        print_json(found)
    else:
        print_table(
            (
                "pv",
                "rate [Hz]",
                "over (of the last hour)",
                "B/sample",
                "received",
                "stored",
                "quarantined",
                "filtered",
                "gaps",
                "last heard (UTC)",
            ),
            [
                [
                    row["pv"],
                    shown_number(row["rate_Hz"], 3),
                    format_duration(row["rate_over_s"]),
                    shown_number(row["bytes_per_sample"], 3),
                    *(row[key] for key in ("received", "stored", "quarantined", "filtered", "gaps")),
                    shown_time(row["last_heard_ns"]),
                ]
                for row in found
            ],
            right=range(1, 9),
        )
    return told_losses(site)


def gaps(
    pv: str,
    /,
    *,
    from_: Annotated[Time, Parameter(name="--from")] = None,
    to: Time = None,
    output: Output = Output(),
) -> int:
    """Show when nothing was known of a PV, and why.

    Example: nualley archive gaps DEMO:BEAM:POWER --from -1d

    Parameters
    ----------
    pv : str
        Name of the PV.
    from_ : str
        Begin; by default the PV's first row.
    to : str
        End, not included; by default now.
    """
    start_ns, stop_ns = bounds_ns(from_, to)
    site = open_site(output.experiment)
    reader = site.archive()
    is_running = role_state(site.configuration.store, "archive").is_held
    if start_ns is None:
        start_ns = (
            reader.first_ns(pv) if reader.record(pv).has_connected else min(reader.first_ns(pv), reader.began_ns())
        )
    now_ns = SystemClock().now_ns()
    found = reader.gaps(pv, start_ns, now_ns if stop_ns is None else min(stop_ns, now_ns), is_running=is_running)
    if output.is_json:
        keys = ("start_ns", "stop_ns", "kind", "last_heard_ns")
        print_json([{key: getattr(gap, key) for key in keys} for gap in found])
    else:
        print_table(
            ("from (UTC)", "to (UTC)", "for", "why"),
            [
                [
                    shown_time(gap.start_ns),
                    shown_time(gap.stop_ns),
                    format_duration((gap.stop_ns - gap.start_ns) / 1e9),
                    gap.kind,
                ]
                for gap in found
            ],
        )
        if any(gap.kind == "never-connected" for gap in found):
            print_note(f"{pv} was never connected since {shown_time(start_ns)}")
    return told_losses(site)


def verify(*, output: Output = Output()) -> int:
    """Read every sealed file from the drive and compare it with what was written: damage is named, exit 5.

    Example: nualley archive verify
    """
    from nualley.app.archive import verify_archive  # pyarrow is heavy

    site = open_site(output.experiment)
    with copy_progress(is_shown=not output.is_json) as progress:
        found = verify_archive(site.archive_folder, lambda done_B, all_B: progress("sealed files", done_B, all_B))
    if output.is_json:
        print_json(
            {
                "files": found.n_files,
                "size_B": found.size_B,
                "damaged": [{"path": path, "what": what} for path, what in found.damaged],
                "missing": found.missing,
                "unindexed": found.unindexed,
            }
        )
    else:
        bad = [("damaged", path, what) for path, what in found.damaged]
        bad += [("missing", path, "") for path in found.missing]
        bad += [("not in the index", path, "") for path in found.unindexed]
        if bad:
            print_table(("state", "file", "what"), bad)
        print_note(
            f"{found.n_files} files, {found.size_B / 2**20:.1f} MiB: "
            + ("all as they were written" if found.is_intact else "put backups of the damaged ones back")
        )
    return ExitCode.DONE if found.is_intact else ExitCode.NOT_INTACT


def restore_index(*, output: Output = Output()) -> int:
    """Put the copy of a damaged or missing index in its place; the damaged one is kept.

    Example: nualley archive restore-index
    """
    from nualley.app.archive import restore_index as restore  # pyarrow is heavy

    found = restore(open_site(output.experiment).archive_folder)
    if output.is_json:
        print_json({"kept": found.kept, "files": found.n_files, "unindexed": found.unindexed})
    else:
        print_note(f"the index is restored and lists {found.n_files} sealed files")
        if found.kept is not None:
            print_note(f"the damaged one is kept: {found.kept}")
        if found.unindexed:
            print_table(("sealed after the copy, and not read",), [(path,) for path in found.unindexed])
    return ExitCode.NOT_INTACT if found.unindexed else ExitCode.DONE


def compact(*, all_: Annotated[bool, Parameter(name="--all", negative="")] = False, output: Output = Output()) -> int:
    """Merge the files of days and months that are over, and drop samples that are kept for a while only.

    Example: nualley archive compact

    Parameters
    ----------
    all_ : bool
        Merge also what is not over yet, straight to months.
    """
    from nualley.app.archive import open_compactor  # pyarrow is heavy
    from nualley.app.trace_rules import trace_rules  # so is NumPy

    site = open_site(output.experiment)
    plan = read_plan(site).plan
    compactor = open_compactor(site.archive_folder, kept_ns=kept_ns(plan), rules=trace_rules(plan))
    jobs = compactor.due(is_all=all_)
    done, all_B, done_B = [], sum(job.size_B for job in jobs), 0
    with copy_progress(is_shown=not output.is_json) as progress:
        for job in jobs:
            done.append(compactor.run(job))
            done_B += job.size_B
            progress("compaction", done_B, all_B)
    rows = [
        {
            "folder": found.job.folder,
            "value_type": found.job.value_type,
            "files_before": len(found.job.files),
            "files": found.n_files,
            "size_before_B": found.job.size_B,
            "size_B": found.size_B,
            "damage": found.damage or None,
        }
        for found in done
    ]
    if output.is_json:
        print_json(rows)
    elif rows:
        print_table(tuple(rows[0]), [list(row.values()) for row in rows], right=range(2, 6))
    else:
        print_note("nothing to do: no day or month that is over has files to merge")
    return ExitCode.NOT_INTACT if any(found.damage for found in done) else ExitCode.DONE
