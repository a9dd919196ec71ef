"""The document of a selection that is being frozen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nualley.catalog import FileRecord
from nualley.core import format_time
from nualley.selection.frozen import FORMAT, FrozenSelection, FrozenSource, frozen_flag, frozen_run, frozen_sum
from nualley.selection.models import Definition, Resolution


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and by what selections are frozen.

    Parameters
    ----------
    experiment : str
        Name of the experiment.
    code : str
        Version of the code.
    host : str
        Name of the machine.
    """

    experiment: str
    code: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who freezes, and when.

    Parameters
    ----------
    origin : Origin
        Where and by what.
    author : str
        Who.
    time_ns : int
        When [ns since 1970 UTC].
    """

    origin: Origin
    author: str
    time_ns: int


def make_document(
    found: Definition, resolution: Resolution, stamp: Stamp, files: Callable[[str], Sequence[FileRecord]]
) -> FrozenSelection:
    """Return the document of a selection.

    Parameters
    ----------
    found : Definition
        How it is defined.
    resolution : Resolution
        What it selects.
    stamp : Stamp
        Who freezes it, and when.
    files : callable
        Gives the files of a run.

    Returns
    -------
    FrozenSelection
        What is cited.
    """
    source = None if found.imported is None else {key: found.imported[key] for key in FrozenSource.model_fields}
    return FrozenSelection(
        format=FORMAT,
        name=found.name,
        experiment=stamp.origin.experiment,
        expression=found.expression,
        source=None if source is None else FrozenSource.model_validate(source),
        author=stamp.author,
        frozen=format_time(stamp.time_ns),
        code=stamp.origin.code,
        runs=[
            frozen_run(run, files(run.listed.run_id) if run.is_known and run.listed.run_id else ())
            for run in resolution.runs
        ],
        detectors={name: frozen_sum(sums) for name, sums in resolution.detectors.items()},
        runs_without_times=list(resolution.without_times),
        flags=[frozen_flag(flag) for flag in resolution.flags],
        warnings=list(resolution.warnings),
    )
