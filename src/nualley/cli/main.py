"""The command ``nualley``: every error becomes one text or one JSON object, and an exit code."""

import errno
import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from nualley import __version__
from nualley.cli.output import AnswerLost, discard, is_unread, prepare_streams, print_error
from nualley.cli.stopping import STOPPED_JSON, wants_json
from nualley.cli.words import check_not_empty, in_order
from nualley.core import ExitCode, NualleyError, UsageError, reason, refused_value

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
    (
        "report:report",
        "report",
        "Write the coordinator's report: drives, bytes, copies, runs, run lists, and the week.",
        "nualley report --week",
    ),
    ("demo:demo", "demo", "A miniature Neutrino Alley, and the product beside it.", "nualley demo --seconds 60"),
    ("runs:app", "runs", "Runs of all detectors: ingest, list, show, compare, correct, flag, validate.", ""),
    ("files:app", "files", "Files of the catalog: find, show, and the checksums of any file.", ""),
    ("selection:app", "selection", "Run lists: define, show, compare, freeze, import and export.", ""),
    ("archive:app", "archive", "Archived PVs: last values and history.", ""),
    ("beam:app", "beam", "Beam on every detector: exposure, protons, plots.", ""),
    ("drives:app", "drives", "Drives and how full they are.", ""),
    ("transfer:app", "transfer", "Durable, verified copies between drives.", ""),
    ("catalog:app", "catalog", "The catalog: backup and restore.", ""),
)
_GROUPS = frozenset(name for target, name, *_ in _COMMANDS if target.endswith(":app"))


def make_app() -> App:
    """Return the command tree; commands are imported when they are called."""
    app = App(
        name="nualley",
        version=__version__,
        help=_HELP,
        help_epilogue=_EPILOGUE,
        result_action="return_value",
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,
    )
    for target, name, text, example in _COMMANDS:
        module, attribute = target.split(":")
        shown = f"{text}\n\nExample: {example}" if example else text
        app.command(f"nualley.cli.{module}:{attribute}", name=name, help=shown)
    return app


def _nothing() -> None:
    """Do nothing: who calls commands from Python has its own care for Ctrl-C."""


def main(argv: Sequence[str] | None = None, begin: Callable[[], object] = _nothing) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Words after the program's name; the process's own by default.
    begin : callable, optional
        Called when the command is loaded and its words are understood, before it does anything.

    Returns
    -------
    int
        An `ExitCode`.
    """
    words = sys.argv[1:] if argv is None else argv
    # pyarrow's own pools keep twice the memory that a query needs, and are no faster here
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    prepare_streams()
    code: int = ExitCode.DONE
    try:
        code = _answer(words, begin)
        # what is written only at the interpreter's end could not be said to have failed
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if error.errno == errno.EPIPE:  # who read us has seen enough
            return code
        lost = NualleyError(
            f"the answer cannot be written: {reason(error)}", where="stdout", do="write it where there is room"
        )
        print_error(lost, is_json=False)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        try:
            if wants_json(words):
                print(STOPPED_JSON, flush=True)
        except OSError:  # the same Ctrl-C ended who read us
            discard(sys.stdout)
        return ExitCode.STOPPED
    return code


def _answer(words: Sequence[str], begin: Callable[[], object]) -> int:
    """Run one command; of what it raises, only a broken stdout and Ctrl-C get out."""
    try:
        check_not_empty(words, lambda position: _name_at(words, position))
        return _call(in_order(words, _GROUPS), begin)
    except CycloptsError as error:
        found: NualleyError = _usage_error(error)
    except NualleyError as error:
        found = error
    except AnswerLost:
        raise
    except OSError as error:
        # raises again where it was stdout, which rich wrote help to; what is not buffered is not tried again
        sys.stdout.flush()
        if error.errno == errno.EPIPE and is_unread(sys.stdout):
            raise AnswerLost(error.errno, error.strerror) from error
        # the machine refuses (a drive, a right, a file): said as every other error
        found = NualleyError(
            f"the machine refuses: {reason(error)}",
            where=str(error.filename or ""),
            do="nualley doctor looks at store, drives and rights",
        )
    print_error(found, wants_json(words))
    return found.exit_code


def _call(words: Sequence[str], begin: Callable[[], object]) -> int:
    app = make_app()
    _check_verb(app, words)
    try:
        # in two steps: the first one imports the command's modules
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        begin()
        return int(command(*bound.args, **bound.kwargs) or 0)
    except SystemExit as end:
        # rich ends the process where nobody reads its help any more
        if isinstance(end.__context__, BrokenPipeError):
            return ExitCode.DONE
        raise


def _name_at(words: Sequence[str], position: int) -> str:
    """Return what help calls the word at a position; empty where the command takes none there, or not this kind."""
    mark = "nualley-some-word"
    marked = [word for word in (*words[:position], mark, *words[position + 1 :]) if word != "--json"]
    try:
        _, bound, _ = make_app().parse_args(in_order(marked, _GROUPS), exit_on_error=False, print_error=False)
    except (CycloptsError, NualleyError):
        return ""
    for name, value in bound.arguments.items():
        if mark in map(str, value if isinstance(value, tuple) else (value,)):
            return name.upper()
    return ""


def _check_verb(app: App, words: Sequence[str]) -> None:
    """Refuse an option where a command, or its verb, is expected; without any word there help is shown."""
    n_command = int(bool(words) and words[0] in _GROUPS)
    following = words[n_command : n_command + 1]
    if n_command and (not following or following[0] in app.help_flags):
        _load_verbs(app[words[0]])
    if following and following[0].startswith("-") and following[0] not in (*app.help_flags, *app.version_flags):
        called = " ".join(["nualley", *words[:n_command]])
        verbs = [name for name in (app[words[0]] if n_command else app) if not name.startswith("-")]
        raise UsageError(
            f"{called} {following[0]} names no command, expected one of {', '.join(verbs)}",
            where=called,
            do=f"{called} --help",
        )


def _load_verbs(group: App) -> None:
    """Import the verbs of a group, so that its help shows what each does."""
    for name in group:
        group[name]


def _usage_error(error: CycloptsError) -> UsageError:
    command = " ".join(["nualley", *(error.command_chain or ())])
    what, do = str(error), f"{command} --help"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = " ".join(error.unused_tokens)
        what = f"{command} takes no {words!r} here; if it is part of a text of several words, that stands in quotes"
    elif found := getattr(error.__cause__, "errors", None):  # pydantic's, which is not imported for this
        what, do = refused_value(found()[0], do)
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        what = f"{error.argument.name} is missing"
    return UsageError(what, where=command, do=do)
