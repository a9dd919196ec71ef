"""Copies between drives and sites: transfers that are verified and reconciled, and how many copies there should be."""

from nualley.replicas.adoption import Adopted, Adopter, AdoptResult, Candidate
from nualley.replicas.checks import TransfersCheck
from nualley.replicas.consistency import FoundFile, Inconsistencies, WrongSize, compare
from nualley.replicas.copying import Origin
from nualley.replicas.decide import choose_source, count_copies, may_source_go
from nualley.replicas.errors import (
    CopyDamaged,
    CopyGone,
    FileGone,
    IntoItself,
    NotEnoughCopies,
    NothingToCopy,
    OtherHost,
    ReplicasError,
    SameFile,
    SourceIncomplete,
    SourceReplicaLost,
    StillWritten,
    TransferRunning,
    TransferStopped,
)
from nualley.replicas.models import (
    HeldFile,
    Listing,
    Placement,
    PlacementPlan,
    Policy,
    Refused,
    Seen,
    TransferReport,
    Verification,
    transfer_json,
)
from nualley.replicas.pace import Pace
from nualley.replicas.places import Place, find_place
from nualley.replicas.placing import Placer, destination_of
from nualley.replicas.ports import Drives, Progress, ShouldStop, Timer, Trees, Turns
from nualley.replicas.scrubbing import Scrubbed, Scrubber, ScrubResult, choose
from nualley.replicas.service import SystemTimer, TransferService
from nualley.replicas.settings import PlacementSettings, ReplicasSettings, parse_rate_B_per_s
from nualley.replicas.working import Machine

__all__ = [
    "AdoptResult",
    "Adopted",
    "Adopter",
    "Candidate",
    "CopyDamaged",
    "CopyGone",
    "Drives",
    "FileGone",
    "FoundFile",
    "HeldFile",
    "Inconsistencies",
    "IntoItself",
    "Listing",
    "Machine",
    "NotEnoughCopies",
    "NothingToCopy",
    "Origin",
    "OtherHost",
    "Pace",
    "Place",
    "Placement",
    "PlacementPlan",
    "PlacementSettings",
    "Placer",
    "Policy",
    "Progress",
    "Refused",
    "ReplicasError",
    "ReplicasSettings",
    "SameFile",
    "ScrubResult",
    "Scrubbed",
    "Scrubber",
    "Seen",
    "ShouldStop",
    "SourceIncomplete",
    "SourceReplicaLost",
    "StillWritten",
    "SystemTimer",
    "Timer",
    "TransferReport",
    "TransferRunning",
    "TransferService",
    "TransferStopped",
    "TransfersCheck",
    "Trees",
    "Turns",
    "Verification",
    "WrongSize",
    "choose",
    "choose_source",
    "compare",
    "count_copies",
    "destination_of",
    "find_place",
    "may_source_go",
    "parse_rate_B_per_s",
    "transfer_json",
]
