"""What of a PV's samples is stored, where its policy asks for less than all: scan, dead band, condition, period."""

import math
from dataclasses import dataclass
from typing import TypeAlias

from nualley.archive.condition import Condition
from nualley.archive.decide import Reason
from nualley.archive.settings import PvPolicy
from nualley.core import SECOND_NS
from nualley.pv import Sample


@dataclass(frozen=True, slots=True)
class Rule:
    """What of a PV's samples is stored.

    Parameters
    ----------
    period_ns : int
        At most one sample in so long, the newest one [ns]; 0: every one.
    dead_band : float
        A number is stored once it differs by more from the last stored one [the PV's unit]; 0: every one.
    dead_band_relative : float
        The same as a fraction of the last stored one; the larger of the two counts.
    condition : Condition or None
        Nothing is stored while it does not hold.
    silence_ns : int
        After so long without any sample its value is unknown [ns]; 0: it is believed while its IOC lives.
    """

    period_ns: int = 0
    dead_band: float = 0.0
    dead_band_relative: float = 0.0
    condition: Condition | None = None
    silence_ns: int = 0


def rule_of(policy: PvPolicy) -> Rule | None:
    """Return what a policy asks for; None where every sample is stored and believed."""
    rule = Rule(
        period_ns=round((policy.period_s or 0.0) * SECOND_NS),
        dead_band=policy.dead_band,
        dead_band_relative=policy.dead_band_relative,
        condition=Condition.parse(policy.only_while) if policy.only_while else None,
        silence_ns=round((policy.periodic_s or 0.0) * policy.stale_periods * SECOND_NS),
    )
    return None if rule == Rule() else rule


Verdict: TypeAlias = Reason | None
"""Why a sample is not stored now; None where it is."""


@dataclass(slots=True)
class RuledPv:
    """A PV that has a rule, and what the rule has to remember.

    Parameters
    ----------
    rule : Rule
        The rule.
    """

    rule: Rule
    held: Sample | None = None
    """The newest sample that is not stored, and may still be."""
    stored: Sample | None = None
    """The last stored one."""
    stored_ns: int = 0
    heard_ns: int = 0
    is_off: bool = False
    """Whether its condition does not hold."""
    is_connected: bool = True
    """Whether its source had it while it was off."""

    def verdict(self, sample: Sample) -> Verdict:
        """Say what becomes of a sample that nothing is wrong with."""
        self.heard_ns = sample.received_ns
        if self.is_off:
            return Reason.CONDITION
        if self.stored is not None and _is_within(sample, self.stored, self.rule):
            return Reason.DEAD_BAND
        if self.rule.period_ns and self.stored is not None:
            return Reason.SCAN if sample.received_ns - self.stored_ns < self.rule.period_ns else None
        return None

    def note_stored(self, sample: Sample) -> None:
        """Take note that a sample was stored."""
        self.stored, self.held = sample, None
        self.stored_ns = max(self.stored_ns, sample.received_ns)

    def is_due(self, now_ns: int) -> bool:
        """Return whether the sample that is held back is to be stored now."""
        return self.held is not None and not self.is_off and now_ns - self.stored_ns >= self.rule.period_ns

    def is_silent(self, now_ns: int) -> bool:
        """Return whether nothing came for longer than it may take."""
        return 0 < self.rule.silence_ns < now_ns - self.heard_ns and self.heard_ns > 0


def _is_within(sample: Sample, last: Sample, rule: Rule) -> bool:
    """Return whether a sample tells nothing new within the dead band; an alarm that changed always does."""
    now, before = sample.value, last.value
    if not (rule.dead_band or rule.dead_band_relative):
        return False
    if (sample.severity, sample.status) != (last.severity, last.status):
        return False
    if not isinstance(now, int | float) or not isinstance(before, int | float):
        return False
    if math.isnan(now) or math.isnan(before):
        return math.isnan(now) and math.isnan(before)
    return abs(now - before) <= max(rule.dead_band, rule.dead_band_relative * abs(before))
