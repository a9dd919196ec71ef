"""How arrays of archived PVs are averaged for good: from their policies, and on the way to a child process."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nualley.archive import PvPolicy
from nualley.archive.changes import Plan
from nualley.physics import TraceRule

if TYPE_CHECKING:
    from nualley.config import Configuration  # slow to load, and no child process needs it

Rules = Mapping[str, TraceRule]


def trace_rule(policy: PvPolicy) -> TraceRule | None:
    """Return how the arrays of a PV are averaged; None where they are not."""
    return TraceRule(policy.veto_fraction, policy.align_to_sample) if policy.is_averaged else None


def trace_rules(plan: Plan) -> dict[str, TraceRule]:
    """Return how arrays are averaged, of each PV for which they are, under each of its names."""
    found = {pv: trace_rule(policy) for pv, policy in plan.archived().items()}
    return {part.name: rule for pv, rule in found.items() if rule for part in plan.aliases.resolve(pv)}


def declared_rule(configuration: "Configuration", pv: str) -> TraceRule:
    """Return how traces of a PV are to be averaged, as the experiment repository says; plainly where it does not."""
    groups = configuration.pv_groups.values()
    policies = [group.pv[pv] for group in groups if pv in group.pv]
    return TraceRule(policies[0].veto_fraction, policies[0].align_to_sample) if policies else TraceRule()


def rules_to_json(rules: Rules) -> str:
    """Return rules as text for a child process."""
    return json.dumps({pv: [rule.veto_fraction, rule.align_to] for pv, rule in rules.items()})


def rules_from_json(text: str) -> dict[str, TraceRule]:
    """Return the rules that `rules_to_json` wrote; none of an empty text."""
    return {pv: TraceRule(*fields) for pv, fields in json.loads(text or "{}").items()}
