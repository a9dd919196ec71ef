"""Protons on target, energy and live time of runs; the ledger of every proton; the average pulse."""

from nualley.exposure.arrivals import EDGES_US, RunTiming, run_timing
from nualley.exposure.daq_state import read_run_stretches
from nualley.exposure.errors import (
    EmptyIntervalError,
    EmptyTraceError,
    KeptTraceDamagedError,
    NothingToDrawError,
    NoTracePvError,
    RunWithoutTimesError,
)
from nualley.exposure.kept_trace import KeptTrace
from nualley.exposure.models import (
    Amounts,
    CumulativeBeam,
    DefectKind,
    Delivered,
    DetectorLedger,
    ExposureDefect,
    ExposureReport,
    Fate,
    LedgerPart,
    ProtonLedger,
    RunExposure,
    RunTrace,
    TraceSource,
    sum_of_amounts,
)
from nualley.exposure.ports import KeptTraces, PvHistory, RecordedRun, Runs, TraceRows
from nualley.exposure.service import Exposures
from nualley.exposure.sources import DaqSources, daq_sources

__all__ = [
    "EDGES_US",
    "Amounts",
    "CumulativeBeam",
    "DaqSources",
    "DefectKind",
    "Delivered",
    "DetectorLedger",
    "EmptyIntervalError",
    "EmptyTraceError",
    "ExposureDefect",
    "ExposureReport",
    "Exposures",
    "Fate",
    "KeptTrace",
    "KeptTraceDamagedError",
    "KeptTraces",
    "LedgerPart",
    "NoTracePvError",
    "NothingToDrawError",
    "ProtonLedger",
    "PvHistory",
    "RecordedRun",
    "RunExposure",
    "RunTiming",
    "RunTrace",
    "RunWithoutTimesError",
    "Runs",
    "TraceRows",
    "TraceSource",
    "daq_sources",
    "read_run_stretches",
    "run_timing",
    "sum_of_amounts",
]
