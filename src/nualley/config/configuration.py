"""The experiment repository as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nualley.archive import ArchiveSettings, PvGroup
from nualley.catalog import CatalogSettings, Vocabulary
from nualley.config.settings import WebSettings
from nualley.experiment import Beam, Detector, Experiment, People
from nualley.ingest import IngestSettings
from nualley.pv import EpicsSettings, MqttSettings
from nualley.replicas import ReplicasSettings
from nualley.selection import SelectionFile
from nualley.storage import StorageSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that the experiment repository and the environment say, checked; every path is absolute.

    Parameters
    ----------
    directory : Path
        The experiment directory.
    store : Path
        The store's directory; may not exist yet.
    experiment : Experiment
        Name, site, time zone.
    detectors : mapping of str to Detector
        By id, sorted.
    beam : Beam
        PVs of the beam, and what counts as on.
    people : People
        Who is who.
    pv_groups : mapping of str to PvGroup
        Archived PVs by group, the stem of the file.
    storage : StorageSettings
        Drives and drop directories.
    epics : EpicsSettings
        How EPICS is reached.
    mqtt : MqttSettings
        Where the MQTT broker is.
    archive : ArchiveSettings
        How the archive writes.
    ingest : IngestSettings
        When and how raw files are taken in.
    replicas : ReplicasSettings
        How copies are made, and how many there should be.
    catalog : CatalogSettings
        Where the record of runs is kept.
    web : WebSettings
        Where the status page listens.
    vocabulary : Vocabulary
        The words of flags.
    selections : mapping of str to SelectionFile
        Selections that are defined by text, by name.
    """

    directory: Path
    store: Path
    experiment: Experiment
    detectors: Mapping[str, Detector]
    beam: Beam
    people: People
    pv_groups: Mapping[str, PvGroup]
    storage: StorageSettings
    epics: EpicsSettings
    mqtt: MqttSettings
    archive: ArchiveSettings
    ingest: IngestSettings
    replicas: ReplicasSettings
    catalog: CatalogSettings
    web: WebSettings
    vocabulary: Vocabulary
    selections: Mapping[str, SelectionFile]
