"""When something is true, when it is false, and when nobody knows: logic of three values over stretches of time."""

from dataclasses import dataclass, field

from nualley.core import IntervalSet


@dataclass(frozen=True, slots=True)
class Truth:
    """When a condition holds and when it does not; in the rest of what was asked for, it is not known.

    Parameters
    ----------
    true, false : IntervalSet
        Disjoint.

    Notes
    -----
    The strong logic of three values: what is not known makes ``and`` and ``or`` unknown only where the other part does
    not decide alone. Source: S. C. Kleene, *Introduction to Metamathematics* (1952), section 64.
    """

    true: IntervalSet = field(default_factory=IntervalSet)
    false: IntervalSet = field(default_factory=IntervalSet)

    @classmethod
    def where(cls, true: IntervalSet, within: IntervalSet) -> "Truth":
        """Return what holds in ``true`` and is known not to in the rest of ``within``."""
        return cls(true & within, within - true)

    @classmethod
    def always(cls, is_true: bool | None, within: IntervalSet) -> "Truth":  # three values, as data
        """Return what is the same all over ``within``; None where it is not known."""
        if is_true is None:
            return cls()
        return cls(within, IntervalSet()) if is_true else cls(IntervalSet(), within)

    def __invert__(self) -> "Truth":
        return Truth(self.false, self.true)

    def unknown(self, within: IntervalSet) -> IntervalSet:
        """Return when it is not known."""
        return within - (self.true | self.false)
