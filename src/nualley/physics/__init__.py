"""Pure functions of arrays: constants, protons on target, steps in time, traces, arrival times."""

from nualley.physics.constants import (
    ELEMENTARY_CHARGE_C,
    JOULE_PER_GWH,
    JOULE_PER_MEV,
    MUON_LIFETIME_NS,
    PION_LIFETIME_NS,
)
from nualley.physics.exact import exact_integral, exact_sums, float_parts
from nualley.physics.history import (
    FOREVER,
    INVALID_SEVERITY,
    MEANINGLESS,
    History,
    LinkChange,
    PvRows,
    align,
    blackouts,
    history_from_rows,
    numbers,
)
from nualley.physics.pot import proton_rate, protons, protons_from_charge, protons_per_pulse
from nualley.physics.timing import ArrivalTimes, arrival_times, arrival_times_in
from nualley.physics.trace_sums import (
    TraceRule,
    TraceSums,
    add_traces,
    edge_shifts,
    join_minute,
    join_sums,
    sum_traces,
    trace_integrals,
    weighted_median,
)
from nualley.physics.traces import VETO_FRACTION, TraceAverage, TraceAverager, average_traces, is_trip

__all__ = [
    "ELEMENTARY_CHARGE_C",
    "FOREVER",
    "INVALID_SEVERITY",
    "JOULE_PER_GWH",
    "JOULE_PER_MEV",
    "MEANINGLESS",
    "MUON_LIFETIME_NS",
    "PION_LIFETIME_NS",
    "VETO_FRACTION",
    "ArrivalTimes",
    "History",
    "LinkChange",
    "PvRows",
    "TraceAverage",
    "TraceAverager",
    "TraceRule",
    "TraceSums",
    "add_traces",
    "align",
    "arrival_times",
    "arrival_times_in",
    "average_traces",
    "blackouts",
    "edge_shifts",
    "exact_integral",
    "exact_sums",
    "float_parts",
    "history_from_rows",
    "is_trip",
    "join_minute",
    "join_sums",
    "numbers",
    "proton_rate",
    "protons",
    "protons_from_charge",
    "protons_per_pulse",
    "sum_traces",
    "trace_integrals",
    "weighted_median",
]
