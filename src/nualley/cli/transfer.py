"""``nualley transfer``: durable copies between drives and to remotes, and how far they are."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from nualley.app.site import Site, open_site
from nualley.app.transfers import exit_code, find_ways, leave_to_worker, make_placer, open_transfers, work_on
from nualley.catalog import TransferState
from nualley.cli.options import Output, Whole
from nualley.cli.output import print_error, print_json, print_note, print_table, print_text
from nualley.cli.progress import copy_progress
from nualley.core import CheckState, ExitCode, NualleyError, format_size
from nualley.replicas import (
    Placement,
    TransferReport,
    TransferService,
    Verification,
    destination_of,
    parse_rate_B_per_s,
    transfer_json,
)

app = App(
    name="transfer",
    help="Durable, verified copies between drives and to remotes: copy, list, resume, cancel, verify, place.",
)

_N_SHOWN = 5


@app.command
def copy(
    src: str,
    dst: str,
    /,
    *,
    rate: str | None = None,
    queue: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Copy a run, a directory or a file to another drive or to a remote, verified, and enter the replicas.

    Example: nualley transfer copy cenns-10-42 data2

    Parameters
    ----------
    src : str
        A run, a directory of which all files are meant, a file, or REMOTE:path.
    dst : str
        A drive of drives.toml, or REMOTE: with its colon: the same place there. Or the directory that the files go to,
        or REMOTE:path.
    rate : str
        Most bytes to read in a second, copying and reading back, such as "200 MB/s"; by default replicas.rate.
    queue : bool
        Leave it to the worker, which goes on with it until it is finished.
    """
    site = open_site(output.experiment)
    rate_B_per_s = parse_rate_B_per_s(rate) if rate else site.configuration.replicas.rate_B_per_s
    with open_transfers(site) as service:
        ways = find_ways(site, src, dst)
        if not ways:
            print_note(f"every file of {src} has a verified replica on {dst.rstrip(':')}")
        begun = service.begin_all(ways, rate_B_per_s=rate_B_per_s, is_left=queue)
        numbers = [transfer.transfer_id for transfer in begun]
        if queue:
            return _show_left(site, numbers, output)
        return _work(service, numbers, output, is_one=len(begun) == 1)


@app.command(name="list")
def list_(*, unfinished: Annotated[bool, Parameter(negative="")] = False, output: Output = Output()) -> None:
    """List transfers and how far they are, oldest first.

    Example: nualley transfer list --unfinished

    Parameters
    ----------
    unfinished : bool
        Only those of which not all is there yet, and that were not given up.
    """
    transfers = open_site(output.experiment).catalog().transfers
    found = [(each, transfers.count(each.transfer_id)) for each in transfers.transfers(is_open=unfinished)]
    if output.is_json:
        print_json([transfer_json(transfer, count) for transfer, count in found])
        return
    rows = [
        [
            transfer.transfer_id,
            transfer.source,
            transfer.destination,
            f"{count.n_done}/{count.n_files}",
            format_size(count.done_B),
            transfer.state,
            transfer.problem or None,
        ]
        for transfer, count in found
    ]
    print_table(("transfer", "source", "destination", "files", "copied", "state", "problem"), rows, right=(0, 3, 4))
    if any(transfer.state is TransferState.UNFINISHED for transfer, _ in found):
        print_note("next: nualley transfer resume")


@app.command
def resume(
    transfer: Whole | None = None,
    /,
    *,
    queue: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Go on with a transfer that was stopped, killed or could not be finished; by default with all of them.

    Example: nualley transfer resume 3

    Parameters
    ----------
    transfer : int
        Its number, as transfer list shows it.
    queue : bool
        Leave it to the worker, which goes on with it until it is finished.
    """
    site = open_site(output.experiment)
    numbers = [each.transfer_id for each in site.catalog().transfers.transfers(is_open=True)]
    wanted = numbers if transfer is None else [transfer]
    if queue:
        leave_to_worker(site, wanted)
        return _show_left(site, wanted, output)
    with open_transfers(site) as service:
        return _work(service, wanted, output, is_one=False)


@app.command
def cancel(transfer: Whole, /, *, output: Output = Output()) -> int:
    """Give a transfer up for good: what was copied stays, partial files of it at the destination are removed.

    A process or worker that works on it stops. A finished transfer is none to give up.

    Example: nualley transfer cancel 3

    Parameters
    ----------
    transfer : int
        Its number, as transfer list shows it.
    """
    with open_transfers(open_site(output.experiment)) as service:
        done = service.cancel(transfer)
    if output.is_json:
        print_json(done.to_json())
        return done.exit_code
    count = done.count
    print_text(
        f"transfer {transfer} is cancelled: {count.n_done} of {count.n_files} files, {format_size(count.done_B)}, "
        f"stay at {done.transfer.destination}; {done.n_parts} partial files were removed"
    )
    _show_problems(done.problems)
    return done.exit_code


@app.command
def verify(transfer: Whole | None = None, /, *, output: Output = Output()) -> int:
    """Read the copies of a transfer back from where they are and compare them; by default of all transfers.

    Example: nualley transfer verify 3

    Parameters
    ----------
    transfer : int
        Its number, as transfer list shows it.
    """
    site = open_site(output.experiment)
    numbers = [each.transfer_id for each in site.catalog().transfers.transfers()]
    with copy_progress(is_shown=not output.is_json) as progress, open_transfers(site) as service:
        wanted = numbers if transfer is None else [transfer]
        found, errors = work_on(service.verify, wanted, progress)
    if transfer is not None and errors:
        raise errors[0]
    if output.is_json:
        print_json([*(each.to_json() for each in found), *({"error": error.to_json()} for error in errors)])
    else:
        _show_verified(found, errors)
    return exit_code([each.exit_code for each in found], errors)


@app.command
def place(
    *,
    detector: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    queue: Annotated[bool, Parameter(negative="")] = False,
    output: Output = Output(),
) -> int:
    """Make the copies that are missing: by default two of raw files and one of all others, each on another device.

    Example: nualley transfer place --dry-run

    Parameters
    ----------
    detector : str
        Only runs of this one.
    dry_run : bool
        Only say what would be copied where.
    queue : bool
        Leave it to the worker.
    """
    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    plan = make_placer(site).plan([run.run_id for run in site.catalog().runs(detector=detector)])
    if dry_run:
        _show_plan(plan.placements, plan.problems, output)
        return exit_code([], plan.problems)
    errors: list[NualleyError] = list(plan.problems)
    numbers: list[int] = []
    with open_transfers(site) as service:
        usages = site.drive_usages()
        for placement in plan.placements:
            try:  # a remote that is away keeps no drive from its copies
                numbers.append(service.begin(*destination_of(placement, usages), is_left=queue).transfer_id)
            except NualleyError as error:
                errors.append(error)
        code = _show_left(site, numbers, output) if queue else _work(service, numbers, output, is_one=False)
    if not output.is_json:
        _show_problems(errors)
    return exit_code([ExitCode(code)], errors)


# ---------------------------------------------------------------- doing and showing
def _show_left(site: Site, numbers: Sequence[int], output: Output) -> int:
    transfers = site.catalog().transfers
    left = [(transfers.transfer(number), transfers.count(number)) for number in numbers]
    if output.is_json:
        print_json([transfer_json(transfer, count) for transfer, count in left])
        return ExitCode.DONE
    for transfer, count in left:
        what = f"{count.n_files} files, {format_size(count.size_B)}, to {transfer.destination}"
        print_text(f"transfer {transfer.transfer_id}: {what}; left to the worker")
    if not any(each.name == "process.worker" and each.state == CheckState.OK for each in site.processes()):
        print_note("the worker does not run: nualley up worker")
    print_note("how far it is: nualley transfer list" if left else "nothing is left to copy")
    return ExitCode.DONE


def _work(service: TransferService, numbers: Sequence[int], output: Output, *, is_one: bool) -> int:
    with copy_progress(is_shown=not output.is_json) as progress:
        reports, errors = work_on(service.work, numbers, progress)
    if len(numbers) == 1 and errors:
        raise errors[0]
    if output.is_json:
        answers = [*(report.to_json() for report in reports), *({"error": error.to_json()} for error in errors)]
        print_json(answers[0] if is_one else answers)
    else:
        for report in reports:
            _show_report(report)
        _show_problems(errors)
        if not numbers:
            print_note("nothing is left to copy")
    return exit_code([report.exit_code for report in reports], errors)


def _show_report(report: TransferReport) -> None:
    transfer, count = report.transfer, report.count
    is_entered = transfer.drive is not None and count.n_unknown < count.n_done
    entered = ", entered" if is_entered else ""
    state = f"finished: verified{entered}, and the source looked at again" if report.is_finished else "NOT FINISHED"
    print_text(
        f"transfer {transfer.transfer_id}: {count.n_done} of {count.n_files} files, {format_size(count.done_B)}, "
        f"to {transfer.destination}; {state}"
    )
    for note in report.notes:
        print_note(f"note: {note}")
    for found in report.skipped[:_N_SHOWN]:
        print_note(f"not copied: {found.path} is {found.reason}")
    if len(report.skipped) > _N_SHOWN:
        print_note(f"not copied: {len(report.skipped) - _N_SHOWN} more that are no files")
    _show_problems(report.problems)
    if not report.is_finished:
        print_note(f"next: nualley transfer resume {transfer.transfer_id}")


def _show_problems(problems: Sequence[NualleyError]) -> None:
    for problem in problems[:_N_SHOWN]:
        print_error(problem, is_json=False)
    if len(problems) > _N_SHOWN:
        print_note(f"and {len(problems) - _N_SHOWN} more")


def _show_verified(found: Sequence[Verification], errors: Sequence[NualleyError]) -> None:
    rows = [
        [each.transfer.transfer_id, each.transfer.destination, each.n_files, each.n_intact, format_size(each.size_B)]
        for each in found
    ]
    print_table(("transfer", "destination", "files", "intact", "read"), rows, right=(0, 2, 3, 4))
    _show_problems([*(problem for each in found for problem in each.problems), *errors])


def _show_plan(placements: Sequence[Placement], problems: Sequence[NualleyError], output: Output) -> None:
    if output.is_json:
        print_json(
            {
                "placements": [
                    {
                        "source_drive": each.source_drive,
                        "drive": each.drive,
                        "directory": each.directory,
                        "n_files": each.n_files,
                        "size_B": each.size_B,
                        "run_ids": each.run_ids,
                    }
                    for each in placements
                ],
                "problems": [problem.to_json() for problem in problems],
            }
        )
        return
    rows = [
        [each.directory, each.source_drive, each.drive, each.n_files, format_size(each.size_B)] for each in placements
    ]
    print_table(("directory", "from", "to", "files", "size"), rows, right=(3, 4))
    _show_problems(problems)
