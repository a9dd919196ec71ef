"""The command ``nualley``: every error becomes one text or one JSON object, and an exit code."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from nualley import __version__
from nualley.cli.output import print_error, wants_json
from nualley.core import ExitCode, NualleyError, UsageError

_HELP = """From the beam pulse to the published number: an account of every byte and every proton.

Begin with: nualley init my-experiment
"""
_EPILOGUE = "Next: nualley COMMAND --help. A time T is 2026-11-23T04:00:00Z, a date (UTC day), now, or -2h."

# modules are imported by the command that needs them; --help and --version import none of them
_COMMANDS = (
    ("experiment:init", "init", "Write a new experiment repository that works as it is.", "nualley init my-experiment"),
    (
        "experiment:check",
        "check",
        "Check an experiment repository; every mistake at once.",
        "nualley check my-experiment",
    ),
    ("experiment:schema", "schema", "Print the JSON Schema of the repository's files.", "nualley schema > schema.json"),
    ("doctor:doctor", "doctor", "Say what is installed, reachable and writable.", "nualley doctor"),
    ("processes:up", "up", "Run the product: archive, worker and web.", "nualley up"),
    (
        "processes:service",
        "service",
        "Write systemd units for the product's processes.",
        "nualley service --user coherent --directory /etc/systemd/system",
    ),
    ("demo:demo", "demo", "A miniature Neutrino Alley, and the product beside it.", "nualley demo --seconds 60"),
    ("runs:app", "runs", "Runs of all detectors: ingest, list, show, compare, note.", ""),
    ("archive:app", "archive", "Archived PVs: last values and history.", ""),
    ("beam:app", "beam", "Beam on every detector: exposure, protons, plots.", ""),
    ("drives:app", "drives", "Drives and how full they are.", ""),
    ("catalog:app", "catalog", "The catalog: backup and restore.", ""),
)
_LEADING = ("--experiment", "--json", "--format")


def make_app() -> App:
    """Return the command tree; commands are imported when they are called."""
    app = App(
        name="nualley",
        version=__version__,
        help=_HELP,
        help_epilogue=_EPILOGUE,
        result_action="return_value",
        version_flags=["--version"],
    )
    for target, name, text, example in _COMMANDS:
        module, attribute = target.split(":")
        shown = f"{text}\n\nExample: {example}" if example else text
        app.command(f"nualley.cli.{module}:{attribute}", name=name, help=shown)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; the process's own by default.

    Returns
    -------
    int
        An `ExitCode`.
    """
    words = _trailing(list(sys.argv[1:] if argv is None else argv))
    try:
        return int(make_app()(words, exit_on_error=False, print_error=False) or 0)
    except CycloptsError as error:
        command = " ".join(word for word in words if not word.startswith("-"))[:60]
        print_error(UsageError(str(error), where=f"nualley {command}", do="nualley --help"), wants_json(words))
        return ExitCode.USAGE
    except NualleyError as error:
        print_error(error, wants_json(words))
        return error.exit_code
    except BrokenPipeError:
        # who read us has seen enough; nothing more can be written, also not at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        # the machine refuses (a drive, a right, a file): said as every other error
        found = NualleyError(
            f"the machine refuses: {error.strerror or error}",
            where=str(error.filename or ""),
            do="nualley doctor looks at store, drives and rights",
        )
        print_error(found, wants_json(words))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.STOPPED


def _trailing(words: list[str]) -> list[str]:
    """Move options that stand before the command behind it: ``nualley --experiment DIR runs list`` works too."""
    moved: list[str] = []
    while words and words[0].split("=")[0] in _LEADING:
        n_words = 1 if "=" in words[0] or words[0] == "--json" else 2
        moved += words[:n_words]
        words = words[n_words:]
    return words + moved
