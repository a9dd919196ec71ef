"""Rows of the delivered beam: where they are, and who makes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nualley.exposure.adapters.archive import ArchiveHistory, NoHistory
from nualley.exposure.adapters.row_files import RowFolder
from nualley.exposure.models import Series
from nualley.exposure.row_keeper import RowKeeper
from nualley.exposure.row_reader import KeptRows
from nualley.exposure.sources import beam_sources, daq_sources

if TYPE_CHECKING:
    from nualley.config import Configuration
    from nualley.core import Clock
    from nualley.experiment import Detector


def rows_folder(store: Path) -> Path:
    """Return where a store keeps the rows."""
    return store / "exposure"


def kept_rows(files: RowFolder, history: ArchiveHistory | NoHistory, detectors: "Mapping[str, Detector]") -> KeptRows:
    """Return the rows of an experiment.

    Parameters
    ----------
    files : RowFolder
        Where they are.
    history : ArchiveHistory or NoHistory
        The archive, which tells whether they count.
    detectors : mapping of str to Detector
        Id -> detector: each that has a PV of its live fraction has rows of its own.
    """
    series: dict[str, Series] = {}
    for name, detector in detectors.items():
        pv = daq_sources(detector).live_fraction
        if pv is not None:
            series.setdefault(pv, Series(f"live-{name}", pv))
    return KeptRows(files, history, series)


def make_row_keeper(configuration: "Configuration", history: ArchiveHistory, clock: "Clock") -> RowKeeper:
    """Return who makes the rows of an experiment; the caller holds the role of it.

    Parameters
    ----------
    configuration : Configuration
        The experiment.
    history : ArchiveHistory
        The archive, with a reader that nobody else uses.
    clock : Clock
        Says which hours are over.
    """
    files = RowFolder(rows_folder(configuration.store))
    kept = kept_rows(files, history, configuration.detectors)
    return RowKeeper(history, beam_sources(configuration.beam), kept, clock)
