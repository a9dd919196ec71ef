"""``nualley doctor``: what is installed, reachable and writable."""

from dataclasses import asdict

from nualley.app.doctor import examine_machine, examine_site
from nualley.app.site import open_site
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_table
from nualley.config import NoExperimentError
from nualley.core import CheckResult, CheckState, ExitCode

_MARKS = {CheckState.OK: "ok", CheckState.WARNING: "WARNING", CheckState.FAILED: "FAILED", CheckState.UNKNOWN: "?"}


def ordered(results: list[CheckResult]) -> list[CheckResult]:
    """Return what a person wants to see first: what failed, then processes that do not run, then the rest."""

    def place(result: CheckResult) -> int:
        is_down = result.name.startswith("process.") and result.state is not CheckState.OK
        return 0 if result.state is CheckState.FAILED else 1 if is_down else 2

    return sorted(results, key=place)


def doctor(*, output: Output = Output()) -> ExitCode:
    """Say what is installed, reachable and writable, and what to do where it is not.

    Example: nualley doctor
    """
    results = list(examine_machine())
    try:
        results += examine_site(open_site(output.experiment))
    except NoExperimentError as error:
        if output.experiment is not None:
            raise
        results.append(CheckResult("experiment", CheckState.WARNING, error.what, error.do))
    if output.is_json:
        print_json([asdict(result) for result in results])
    else:
        rows = [[_MARKS[result.state], result.name, result.detail, result.do] for result in ordered(results)]
        print_table(("state", "what", "found", "do"), rows)
    has_failed = any(result.state is CheckState.FAILED for result in results)
    return ExitCode.FAILED if has_failed else ExitCode.DONE
