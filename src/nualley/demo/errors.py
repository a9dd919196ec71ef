"""What can go wrong in the demo without being meant to."""

from nualley.core import ExitCode, NualleyError


class DemoError(NualleyError, RuntimeError):
    """A process of the demo did not start or ended by itself."""


class DemoStoppedError(NualleyError, InterruptedError):
    """The demo was stopped before it could give its account."""

    exit_code = ExitCode.STOPPED
    __str__ = NualleyError.__str__


def stopped(word: str) -> DemoStoppedError:
    """Return the error of a demo that was stopped.

    Parameters
    ----------
    word : str
        What it was doing, such as ``while it started``.
    """
    return DemoStoppedError(
        f"the demo was stopped {word}: there is no account",
        do="nualley demo --seconds 60 ends by itself; without --seconds the first Ctrl-C ends it with its account",
    )
