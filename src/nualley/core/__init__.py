"""What every part shares: errors, time, intervals, identifiers, quantities, digests, events, protocols."""

from nualley.core.digests import Digester, Digests, digest_file
from nualley.core.errors import (
    ConfigurationError,
    ExitCode,
    IntegrityError,
    NualleyError,
    UnreachableError,
    UsageError,
    nearest,
)
from nualley.core.events import Event
from nualley.core.identifiers import DetectorId, RunId, escape_name, make_run_id, split_run_id, unescape_name
from nualley.core.intervals import Interval, IntervalSet
from nualley.core.protocols import Check, CheckResult, CheckState, Clock, SystemClock
from nualley.core.quantities import format_quantity, format_size, parse_quantity, unit_factor
from nualley.core.time import DAY_NS, SECOND_NS, format_duration, format_time, parse_duration_ns, parse_time_ns

__all__ = [
    "DAY_NS",
    "SECOND_NS",
    "Check",
    "CheckResult",
    "CheckState",
    "Clock",
    "ConfigurationError",
    "DetectorId",
    "Digester",
    "Digests",
    "Event",
    "ExitCode",
    "IntegrityError",
    "Interval",
    "IntervalSet",
    "NualleyError",
    "RunId",
    "SystemClock",
    "UnreachableError",
    "UsageError",
    "digest_file",
    "escape_name",
    "format_duration",
    "format_quantity",
    "format_size",
    "format_time",
    "make_run_id",
    "nearest",
    "parse_duration_ns",
    "parse_quantity",
    "parse_time_ns",
    "split_run_id",
    "unescape_name",
    "unit_factor",
]
