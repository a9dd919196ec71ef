"""The inventory as values: the experiment, its detectors, its beam and its people."""

from nualley.experiment.beam import Beam, BeamPv, ChargePv, PowerPv, ProtonEnergy, RatePv, TracePv
from nualley.experiment.dated import BEGINNING_NS, FOREVER_NS, UNKNOWN, Dated, DatedEntry, Period
from nualley.experiment.detector import Daq, DaqPvs, Detector, Target, check_detector_id
from nualley.experiment.models import Experiment
from nualley.experiment.people import People, Person, Role
from nualley.experiment.run_times import Changes, RunStretch, run_stretches

__all__ = [
    "BEGINNING_NS",
    "FOREVER_NS",
    "UNKNOWN",
    "Beam",
    "BeamPv",
    "Changes",
    "ChargePv",
    "Daq",
    "DaqPvs",
    "Dated",
    "DatedEntry",
    "Detector",
    "Experiment",
    "People",
    "Period",
    "Person",
    "PowerPv",
    "ProtonEnergy",
    "RatePv",
    "Role",
    "RunStretch",
    "Target",
    "TracePv",
    "check_detector_id",
    "run_stretches",
]
