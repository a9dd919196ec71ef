"""What can go wrong while processes are wired and run."""

from nualley.core import ConfigurationError, NualleyError, UnreachableError, UsageError


class RoleTakenError(NualleyError, BlockingIOError):
    """Another process of this store holds the role."""

    __str__ = NualleyError.__str__


class NotDrainedError(NualleyError, OSError):
    """A process had to stop before all that it received was durable."""

    __str__ = NualleyError.__str__


class NoControlError(UnreachableError):
    """The running archive cannot be asked to do something."""


class OrderError(UsageError):
    """What came over a process's socket is no order that it understands."""


class NoSourceError(ConfigurationError):
    """A PV is asked for by a protocol that the archive process does not listen to."""


class NotDurableError(UnreachableError):
    """Samples are received, and the store's drive did not take them in time."""
