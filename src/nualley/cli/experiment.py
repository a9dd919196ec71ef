"""``nualley init``, ``check`` and ``schema``: the experiment as text."""

import os
from collections.abc import Sequence
from pathlib import Path

from nualley.app.archive_plan import pending_changes, told
from nualley.app.site import open_site
from nualley.archive import Change, Pending
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_text
from nualley.config import check as find_mistakes
from nualley.config import find_experiment, left_out, schemas, write_template
from nualley.core import ExitCode


def init(directory: Path, /) -> None:
    """Write a new experiment repository that works as it is.

    Example: nualley init my-experiment

    Parameters
    ----------
    directory : Path
        A new or empty directory.
    """
    for path in write_template(directory):
        print_text(str(path))
    print_note(f"next: nualley check {directory}, then nualley up --experiment {directory}")


def check(directory: Path | None = None, /, *, output: Output = Output()) -> ExitCode:
    """Check an experiment repository and report every mistake at once.

    Example: nualley check my-experiment

    Parameters
    ----------
    directory : Path
        The repository; by default as --experiment says.
    """
    found = find_experiment(Path.cwd(), os.environ, directory or output.experiment)
    mistakes = find_mistakes(found, os.environ)
    # what runs otherwise than written can be told only of what is written well
    differing, damages = ([], ()) if mistakes else pending_changes(open_site(found))
    if output.is_json:
        changes = [{"pv": each.pv, "what": each.what, **_made(each.change)} for each in differing]
        told_mistakes = [mistake.to_json() for mistake in mistakes]
        told = {"directory": str(found), "mistakes": told_mistakes, "left_out": left_out(found)}
        print_json({**told, "changes": changes, "damages": damages})
    else:
        for mistake in mistakes:
            print_text(f"{mistake}\n")
        noun = "mistake" if len(mistakes) == 1 else "mistakes"
        print_note(f"{found}: {len(mistakes) or 'no'} {noun}")
        for remote in () if mistakes else open_site(found).configuration.storage.to_remotes():
            print_note(
                f"remote {remote.name}: {remote.address} through {remote.kind}; not asked: nualley drives remotes"
            )
        for what in left_out(found) if mistakes else ():
            print_note(f"not checked, since a file could not be read whole: {what}")
        _warn(differing, damages)
    return ExitCode.CONFIGURATION if mistakes else ExitCode.DONE


def _made(change: Change) -> dict[str, object]:
    return {"verb": change.verb, "who": change.who, "time_ns": change.time_ns, "note": change.note}


def _warn(changes: Sequence[Pending], damages: Sequence[str]) -> None:
    if changes:
        noun = "PV is" if len(changes) == 1 else "PVs are"
        print_note(f"warning: {len(changes)} {noun} archived otherwise than this repository says, by run-time changes:")
        print_note("\n".join(f"  {line}" for line in told(changes)))
    if any(change.can_be_written for change in changes):
        print_note("  nualley archive pvs --write pvs/NAME.toml writes what is not declared")
    for damage in damages:
        print_note(f"warning: a run-time change cannot be read and does not count: {damage}")


def schema(*, output: Output = Output()) -> None:  # noqa: ARG001  # JSON by nature; the option is accepted
    """Print the JSON Schema of every kind of file of an experiment repository, and of frozen selections.

    Example: nualley schema > schema.json
    """
    from nualley.app.selections import document_schemas  # NumPy is heavy

    print_json({**schemas(), **document_schemas()})
