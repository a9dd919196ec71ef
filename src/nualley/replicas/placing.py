"""Which files have fewer copies than they should, and where more of them would go."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nualley.catalog import Catalog, ReplicaState
from nualley.core import NualleyError, escape_name, unescape_name
from nualley.replicas import decide
from nualley.replicas.errors import NotEnoughCopies
from nualley.replicas.models import HeldFile, Placement, PlacementPlan, Policy
from nualley.replicas.places import RemotePlace, split_remote
from nualley.replicas.ports import Drives
from nualley.replicas.settings import ReplicasSettings
from nualley.storage import Demand, DriveUsage, NoDriveFits, choose_drive

_Group = tuple[str, str, str]  # stage, drive and directory that is copied from


class Placer:
    """Plans copies that are missing.

    Parameters
    ----------
    catalog : Catalog
        Says what lies where.
    drives : Drives
        Say what is there, and how full it is.
    settings : ReplicasSettings
        Say how many copies there should be.
    remotes : collection of str
        Names of the remotes.
    """

    def __init__(
        self, catalog: Catalog, drives: Drives, settings: ReplicasSettings, remotes: Collection[str] = ()
    ) -> None:
        self._catalog = catalog
        self._drives = drives
        self._settings = settings
        self._remotes = remotes

    def plan(self, run_ids: Iterable[str]) -> PlacementPlan:
        """Return what has to be copied so that all files of some runs have their copies.

        Parameters
        ----------
        run_ids : iterable of str
            The runs.

        Returns
        -------
        PlacementPlan
            By directory; what cannot be copied is told.
        """
        usages = list(self._drives.usages())
        lacking, n_lacking, n_unreachable = self._lacking(run_ids, usages)
        problems: list[NualleyError] = [
            decide.not_enough(n_files, stage, self._settings.policy(stage), "no verified copy is within reach")
            for stage, n_files in n_unreachable.items()
        ]
        placements: list[Placement] = []
        for (stage, source_drive, directory), files in lacking.items():
            policy = self._settings.policy(stage)
            if source_drive in self._remotes:  # from one remote to another nothing is copied
                policy = replace(policy, remotes=())
            try:
                for drive, more in _spread(files, usages, policy, self._n_held_by_drive(files)):
                    size_B = sum(file.size_B for file in more)
                    run_ids_of = tuple(sorted({file.run_id for file in more}))
                    placements.append(Placement(source_drive, drive, directory, len(more), size_B, run_ids_of))
                    usages = _filled(usages, drive, size_B)
            except NoDriveFits as error:
                problems.append(decide.not_enough(len(files), stage, policy, f"{error.what} ({error.where})"))
        return PlacementPlan(tuple(placements), dict(n_lacking), tuple(problems))

    def _lacking(
        self, run_ids: Iterable[str], usages: Sequence[DriveUsage]
    ) -> tuple[dict[_Group, list[HeldFile]], Counter[str], Counter[str]]:
        lacking: dict[_Group, list[HeldFile]] = {}
        n_lacking, n_unreachable = Counter[str](), Counter[str]()
        for run_id in run_ids:
            of_run: dict[str, list[HeldFile]] = {}
            for file in self._held(run_id):
                if decide.count_copies(file.replicas, usages) >= self._settings.policy(file.stage).n_copies:
                    continue
                if file.replicas and all(replica.state is ReplicaState.REMOVED for replica in file.replicas):
                    continue  # it went on purpose, for it can be made again
                of_run.setdefault(file.stage, []).append(file)
            for stage, files in of_run.items():
                chosen, unreached = decide.choose_folders(files, usages, self._remotes)
                n_lacking[stage] += len(files)
                if unreached:
                    n_unreachable[stage] += len(unreached)
                for folder, more in chosen.items():
                    lacking.setdefault((stage, *folder), []).extend(more)
        return lacking, n_lacking, n_unreachable

    def _n_held_by_drive(self, files: Sequence[HeldFile]) -> Counter[str]:
        """Return how many files of the same runs each drive holds: what belongs together stays together."""
        n_held = Counter[str]()
        for run_id in {file.run_id for file in files}:
            n_held.update(self._catalog.n_held_by_drive(run_id))
        return n_held

    def _held(self, run_id: str) -> list[HeldFile]:
        replicas = self._catalog.transfers.replicas_of_run(run_id)
        return [
            HeldFile(run_id, file.name, file.stage, file.size_B, tuple(replicas.get(file.file_id, ())))
            for file in self._catalog.files(run_id)
        ]


def _spread(
    files: Sequence[HeldFile], usages: Sequence[DriveUsage], policy: Policy, n_held_by_drive: Mapping[str, int]
) -> Iterable[tuple[str, Sequence[HeldFile]]]:
    """Yield the drives that take copies of files in one directory, each with the files that it lacks."""
    held = [{each.drive for each in file.replicas if each.state is ReplicaState.VERIFIED} for file in files]
    exclude = set.intersection(*held)
    n_more = policy.n_copies - min(decide.count_copies(file.replicas, usages) for file in files)
    remotes = [remote for remote in policy.remotes if remote not in exclude][:n_more]
    for remote in remotes:
        exclude.add(remote)
        yield remote, [file for file, names in zip(files, held, strict=True) if remote not in names]
    for _ in range(n_more - len(remotes)):
        demand = Demand(sum(file.size_B for file in files), policy.roles, policy.keep_free_B)
        drive = choose_drive(usages, demand, exclude=exclude, n_held_by_drive=n_held_by_drive).drive.name
        exclude.add(drive)
        yield drive, [file for file, drives in zip(files, held, strict=True) if drive not in drives]


def _filled(usages: Sequence[DriveUsage], drive: str, size_B: int) -> list[DriveUsage]:
    """Return how full the drives will be, so that the next directory is not planned into the same room."""
    return [
        replace(usage, used_B=usage.used_B + size_B, available_B=max(0, usage.available_B - size_B))
        if drive in (usage.drive.name, *usage.shares_with)
        else usage
        for usage in usages
    ]


def destination_of(placement: Placement, usages: Sequence[DriveUsage]) -> tuple[Path | RemotePlace, Path | RemotePlace]:
    """Return from which directory to which a placement is copied: the same place on the other drive or remote.

    Parameters
    ----------
    placement : Placement
        As it was planned.
    usages : sequence of DriveUsage
        The drives.

    Raises
    ------
    NotEnoughCopies
        Where the directory is the drive's root: all of the drive would be copied.
    """
    roots = {usage.drive.name: usage.drive.path for usage in usages}
    source = split_remote(placement.directory) or Path(unescape_name(placement.directory))
    if isinstance(source, RemotePlace):
        below = source.path
    else:
        relative = source.relative_to(roots[placement.source_drive])
        below = escape_name(os.fspath(relative)) if relative.parts else ""
    if not below:
        kind = "remote" if isinstance(source, RemotePlace) else "drive"
        raise NotEnoughCopies(
            f"{placement.n_files} files lie in the root of {kind} {placement.source_drive}",
            where=placement.directory,
            do="copy each by its name: nualley transfer copy FILE DRIVE",
        )
    if placement.drive in roots:
        return source, roots[placement.drive] / unescape_name(below)
    return source, RemotePlace(placement.drive, below)
