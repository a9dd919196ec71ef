"""``nualley init``, ``check`` and ``schema``: the experiment as text."""

import os
from pathlib import Path

from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_text
from nualley.config import check as find_mistakes
from nualley.config import find_experiment, schemas, write_template
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
    if output.is_json:
        print_json({"directory": str(found), "mistakes": [mistake.to_json() for mistake in mistakes]})
    else:
        for mistake in mistakes:
            print_text(f"{mistake}\n")
        noun = "mistake" if len(mistakes) == 1 else "mistakes"
        print_note(f"{found}: {len(mistakes) or 'no'} {noun}")
    return ExitCode.CONFIGURATION if mistakes else ExitCode.DONE


def schema(*, output: Output = Output()) -> None:  # noqa: ARG001  # JSON by nature; the option is accepted
    """Print the JSON Schema of every kind of file of an experiment repository.

    Example: nualley schema > schema.json
    """
    print_json(schemas())
