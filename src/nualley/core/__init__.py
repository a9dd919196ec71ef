"""What every part shares: errors, time, intervals, names, quantities, digests, JSON, folders, processes, events."""

from nualley.core.arrow import keep_pandas_out
from nualley.core.devices import device_of
from nualley.core.digests import Digester, Digests, digest_file
from nualley.core.errors import (
    ConfigurationError,
    ExitCode,
    IntegrityError,
    NualleyError,
    UnreachableError,
    UsageError,
    first_few,
    nearest,
    reason,
    refused_value,
)
from nualley.core.events import Event
from nualley.core.files import (
    LONGEST_SOCKET_B,
    free_B,
    make_folders,
    plain_path,
    replacing,
    socket_base,
    sync_folder,
    try_lock,
)
from nualley.core.identifiers import DetectorId, RunId, escape_name, make_run_id, split_run_id, unescape_name
from nualley.core.intervals import Interval, IntervalSet
from nualley.core.processes import PARENT_PID, end_with_parent
from nualley.core.protocols import Check, CheckResult, CheckState, Clock, SystemClock
from nualley.core.quantities import format_quantity, format_size, parse_quantity, unit_factor
from nualley.core.strict_json import dump_json, strict_text, to_json
from nualley.core.tasks import end_tasks
from nualley.core.time import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    format_duration,
    format_time,
    parse_duration_ns,
    parse_time_ns,
)

__all__ = [
    "DAY_NS",
    "HOUR_NS",
    "LONGEST_SOCKET_B",
    "MINUTE_NS",
    "PARENT_PID",
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
    "device_of",
    "digest_file",
    "dump_json",
    "end_tasks",
    "end_with_parent",
    "escape_name",
    "first_few",
    "format_duration",
    "format_quantity",
    "format_size",
    "format_time",
    "free_B",
    "keep_pandas_out",
    "make_folders",
    "make_run_id",
    "nearest",
    "parse_duration_ns",
    "parse_quantity",
    "parse_time_ns",
    "plain_path",
    "reason",
    "refused_value",
    "replacing",
    "socket_base",
    "split_run_id",
    "strict_text",
    "sync_folder",
    "to_json",
    "try_lock",
    "unescape_name",
    "unit_factor",
]
