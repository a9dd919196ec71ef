"""What can go wrong while processes are wired and run."""

from nualley.core import NualleyError


class RoleTakenError(NualleyError, BlockingIOError):
    """Another process of this store holds the role."""

    __str__ = NualleyError.__str__


class NotDrainedError(NualleyError, OSError):
    """A process had to stop before all that it received was durable."""

    __str__ = NualleyError.__str__
