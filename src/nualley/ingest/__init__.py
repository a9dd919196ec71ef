"""From the DAQ's disk to verified replicas and a record in the catalog."""

from nualley.ingest.checks import QuarantineCheck, RunTimesCheck, WaitingCheck
from nualley.ingest.copies import Copies
from nualley.ingest.decide import join_stretches, run_number
from nualley.ingest.drives import RegisteredDrives
from nualley.ingest.errors import (
    CopiesMissing,
    DropProblem,
    FileRefused,
    NothingToIngest,
    OtherBytes,
    PathMissing,
    ReaderFailed,
    RunNumberUnknown,
)
from nualley.ingest.intake import Intake
from nualley.ingest.models import (
    IngestedFile,
    IngestReport,
    NumberSource,
    Outcome,
    OwnPlaces,
    PollReport,
    Readiness,
    RunTime,
)
from nualley.ingest.ports import DropFiles, Progress, RawFiles, RunTimes
from nualley.ingest.service import Ingest, make_run
from nualley.ingest.settings import IngestSettings
from nualley.ingest.watcher import Watcher

__all__ = [
    "Copies",
    "CopiesMissing",
    "DropFiles",
    "DropProblem",
    "FileRefused",
    "Ingest",
    "IngestReport",
    "IngestSettings",
    "IngestedFile",
    "Intake",
    "NothingToIngest",
    "NumberSource",
    "OtherBytes",
    "Outcome",
    "OwnPlaces",
    "PathMissing",
    "PollReport",
    "Progress",
    "QuarantineCheck",
    "RawFiles",
    "ReaderFailed",
    "Readiness",
    "RegisteredDrives",
    "RunNumberUnknown",
    "RunTime",
    "RunTimes",
    "RunTimesCheck",
    "WaitingCheck",
    "Watcher",
    "join_stretches",
    "make_run",
    "run_number",
]
