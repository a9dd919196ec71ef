"""When a process that ended is started again: pure policy."""

from dataclasses import dataclass

from nualley.core import ExitCode

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_S = 60.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a process was started again in a row.

    Parameters
    ----------
    n_quick : int
        Ends after less than `HEALTHY_S` of running, in a row.
    """

    n_quick: int = 0

    def after_end(self, ran_s: float) -> "Restarts":
        """Return the count after the process ended.

        Parameters
        ----------
        ran_s : float
            How long it ran [s]; a long run makes the next end the first one again.
        """
        return Restarts(self.n_quick + 1 if ran_s < HEALTHY_S else 1)

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start [s]: doubled each time, bounded.

        Examples
        --------
        >>> [Restarts(n).delay_s for n in (1, 2, 3, 20)]
        [0.5, 1.0, 2.0, 30.0]
        """
        return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(self.n_quick - 1, 16)))


def is_hopeless(exit_code: int) -> bool:
    """Say whether starting again cannot help: the call, the configuration or an address in it is wrong (2 and 3)."""
    return exit_code in (ExitCode.USAGE, ExitCode.CONFIGURATION)
