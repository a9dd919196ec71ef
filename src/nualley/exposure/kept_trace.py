"""The average trace of a run that is kept for good: which of two is the better one."""

from dataclasses import dataclass

from nualley.exposure.models import RunTrace, TraceSource
from nualley.physics import TraceRule

_SAME_RATE = 0.95
"""A trace for other times than the kept one is no poorer where it tells of so many traces a second, by ratio."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptTrace:
    """The average trace of a run, and how it was made.

    Parameters
    ----------
    trace : RunTrace
        The average; its source says what it was made of.
    pv : str
        The PV of the trace.
    sample_period_ns : float
        Time between two samples [ns].
    rule : TraceRule
        What counted as a trip, and how traces were aligned.
    """

    trace: RunTrace
    pv: str
    sample_period_ns: float
    rule: TraceRule

    def is_same_question(self, other: "KeptTrace") -> bool:
        """Say whether both are of the same times, PV and rule."""
        return self.has_same_times(other) and self.how == other.how

    def has_same_times(self, other: "KeptTrace") -> bool:
        """Say whether both are of the same times."""
        return (self.trace.start_ns, self.trace.stop_ns) == (other.trace.start_ns, other.trace.stop_ns)

    @property
    def how(self) -> tuple[object, ...]:
        """What it was made from, but for the times."""
        return self.pv, self.sample_period_ns, self.trace.unit, self.rule


def is_better(found: KeptTrace, kept: KeptTrace | None) -> bool:
    """Say whether an average takes the place of the kept one; never where it is poorer.

    Parameters
    ----------
    found : KeptTrace
        As the archive tells it now.
    kept : KeptTrace or None
        The one that is kept.
    """
    new = found.trace
    if not new.n_all or kept is None:
        return bool(new.n_all)
    old = kept.trace
    is_raw = new.source is TraceSource.RAW
    if found.is_same_question(kept):
        is_other = new.n != old.n or old.source is not TraceSource.RAW
        return new.n_all > old.n_all or (new.n_all == old.n_all and is_raw and is_other)
    # right times count more than fine ones; a new rule only where all traces are there to apply it to
    is_whole = _rate(new) >= _SAME_RATE * _rate(old)
    return is_whole and (is_raw or not found.has_same_times(kept))


def better_answer(found: KeptTrace, kept: KeptTrace | None) -> RunTrace:
    """Return what is told of a run: what the archive says now, or what is kept where that is better."""
    if kept is None or not kept.trace.n_all:
        return found.trace
    new, old = found.trace, kept.trace
    if not found.is_same_question(kept):
        return new if new.n_all else _as_kept(old)
    is_kept = old.n_all > new.n_all or (old.n_all == new.n_all and new.source is not TraceSource.RAW)
    return _as_kept(old) if is_kept else new


def _as_kept(trace: RunTrace) -> RunTrace:
    return trace.told_by(TraceSource.KEPT)


def _rate(trace: RunTrace) -> float:
    return trace.n_all / max(trace.stop_ns - trace.start_ns, 1)
