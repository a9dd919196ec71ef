"""What can go wrong when protons are counted; what is wrong with the data of a run is a defect, not an error."""

from nualley.core import ConfigurationError, IntegrityError, NualleyError, UsageError


class NoTracePvError(ConfigurationError, LookupError):
    """The experiment declares no PV of the POT trace."""


class RunWithoutTimesError(NualleyError, ValueError):
    """What was asked for needs to know when the run was."""


class EmptyIntervalError(UsageError):
    """The interval asked for holds no time that has passed."""


class NothingToDrawError(NualleyError, LookupError):
    """No detector has a run with known times."""


class KeptTraceDamagedError(IntegrityError):
    """The average trace that was kept of a run is not as it was written."""


class EmptyTraceError(NualleyError, LookupError):
    """A run has no average trace that could be folded or drawn."""
