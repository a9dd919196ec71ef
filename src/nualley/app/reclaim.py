"""Making room, wired: what could go, what goes by a plan, the trash, and what goes from drop directories by itself."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nualley.app.machine import machine_of
from nualley.app.origins import origin_of
from nualley.app.remotes import open_remotes
from nualley.app.removals import drive_roots
from nualley.app.scanning import drives_to_scan, scans_of
from nualley.app.site import Site
from nualley.core import escape_name, unescape_name
from nualley.ingest import RegisteredDrives
from nualley.replicas import (
    Bin,
    DropMachine,
    Ground,
    Judge,
    NoRemotes,
    Proposal,
    Proposer,
    Purger,
    Reclaimer,
    Remotes,
    Rules,
    Scrubber,
    ShouldStop,
    Trash,
    TrashItem,
    UserFile,
    check_clock,
)
from nualley.replicas.adapters.journal_file import JournalFile
from nualley.replicas.adapters.purge_file import PurgeFile
from nualley.replicas.adapters.steady import SystemSteadyClock
from nualley.replicas.adapters.trees import PosixTrees
from nualley.selection.frozen import read_frozen
from nualley.storage import MARKER_NAME, NOBODY, TRASH_NAME, DriveUsage, Owner, Ownership
from nualley.storage.adapters.posix import PosixFiles, PosixVolumes
from nualley.storage.adapters.removal_files import PosixRemovalFiles
from nualley.storage.adapters.scan_rows import reading_scan

_OWN_SUFFIX = b".nualley.part"


_NO_REMOTES = NoRemotes()


@contextmanager
def open_reclaim(site: Site) -> Iterator["Reclaim"]:
    """Have all parts that make room, with the remotes; what was started for these ends with the block.

    Parameters
    ----------
    site : Site
        The experiment.
    """
    with open_remotes(site) as remotes:
        yield Reclaim(site, remotes=remotes)


class Reclaim:
    """All parts that make room, of one experiment.

    Parameters
    ----------
    site : Site
        The experiment.
    should_stop : callable
        Asked often while bytes are read.
    remotes : Remotes
        Those whose copies count where somebody reclaims; by default none.
    """

    def __init__(self, site: Site, should_stop: ShouldStop = lambda: False, *, remotes: Remotes = _NO_REMOTES) -> None:
        self._site = site
        self._frozen: dict[str, Sequence[tuple[str | None, int]]] = {}
        configuration, catalog = site.configuration, site.catalog()
        self.folder = configuration.store / "trash"
        drives = RegisteredDrives(configuration.storage.to_drives(), PosixVolumes(), catalog)
        looks = PosixRemovalFiles()
        origin = origin_of(site)
        rules = Rules(
            policy=configuration.replicas.policy,
            reclaim=configuration.replicas.reclaim,
            frozen=self.frozen_by_run,
            owner_of=self._owner_of,
        )
        machine = machine_of(site, remotes)
        scrubber = Scrubber(
            catalog,
            machine,
            clock=site.clock,
            origin=origin,
            is_there=lambda name: name in remotes.names() or self._is_there(name),
            should_stop=should_stop,
        )
        judge = Judge(
            catalog,
            drives,
            looks,
            trees=machine.trees,
            scrubber=scrubber,
            rules=rules,
            clock=site.clock,
            remotes=remotes,
        )
        trash = Trash(
            catalog,
            Bin(looks, JournalFile(self.folder)),
            clock=site.clock,
            origin=origin,
            is_there=self._is_there,
            roots=drive_roots(site),
        )
        self.proposer = Proposer(
            catalog,
            drives,
            looks,
            judge=judge,
            rules=rules,
            user_files=self._user_files,
            clock=site.clock,
            remotes=remotes.names(),
        )
        self.reclaimer = Reclaimer(
            catalog, drives, judge=judge, trash=trash, clock=site.clock, trash_ns=rules.reclaim.trash_ns
        )
        self.memory = PurgeFile(self.folder / "purge.json")
        self.purger = Purger(
            catalog,
            DropMachine(PosixFiles(), looks, PosixTrees(), SystemSteadyClock()),
            judge=judge,
            trash=trash,
            memory=self.memory,
            clock=site.clock,
            store=configuration.store,
        )

    def propose(self, drive: str | None, free_B: int | None, *, trusts_clock: bool = False) -> Proposal:
        """Propose what could go.

        Parameters
        ----------
        drive : str or None
            Only on this one; None for all that are there.
        free_B : int or None
            How much room is wanted [B]; None for all that could go.
        trusts_clock : bool
            A person says that the clock is right.

        Raises
        ------
        UnknownDrive, DriveMissing
            Where there is no such drive, or none is there.
        ClockJumped
            Where no age is known.
        """
        drives_to_scan(self._site, drive)
        newest_ns = self._site.catalog().removals.newest_ns()
        check_clock(self._site.clock.now_ns(), newest_ns, is_trusted=trusts_clock)
        name = self._site.configuration.experiment.name
        return self.proposer.propose(name, drive=drive, free_B=free_B)

    @property
    def trash_ns(self) -> int:
        """How long a file has to lie in the trash [ns]."""
        return self._site.configuration.replicas.reclaim.trash_ns

    def now_ns(self) -> int:
        """Return what the clock says [ns since 1970 UTC]."""
        return self._site.clock.now_ns()

    def waiting(self, item: TrashItem) -> dict[str, Any]:
        """Return an item of the trash as a JSON object, with when it may be deleted."""
        by_itself = item.removal.ground is Ground.PURGE
        return item.to_json() | {"until_ns": None if by_itself else item.moved_ns + self.trash_ns}

    def _is_there(self, name: str) -> bool:
        """Return whether a drive, or a drop directory that is named by its path, is there."""
        if "/" in name:
            return Path(unescape_name(name)).is_dir()
        return any(usage.is_mounted for usage in self._site.drive_usages() if usage.drive.name == name)

    # ------------------------------------------------------------ what is never touched
    def frozen_by_run(self) -> Mapping[str, Sequence[str]]:
        """Return the frozen selections by run; ListUnreadable where one cannot be read: then nothing may go."""
        by_run: dict[str, list[str]] = {}
        catalog = self._site.catalog()
        for revision in catalog.run_lists.selections():
            if revision.content is None or revision.sha256 is None:
                continue
            if revision.sha256 not in self._frozen:
                self._frozen[revision.sha256] = _runs_in(revision.content)
            for detector, number in self._frozen[revision.sha256]:
                # where a list did not say whose its runs are, those of every detector are meant
                detectors = [detector] if detector else list(self._site.configuration.detectors)
                for each in detectors:
                    by_run.setdefault(f"{each}-{number}", []).append(revision.name)
        return by_run

    # ------------------------------------------------------------ files of users
    def _owner_of(self, drive: str, path: str) -> Owner:
        root = next(
            (each.path for each in self._site.configuration.storage.to_drives() if each.name == drive), Path("/")
        )
        found = Path(unescape_name(path))
        if not found.is_relative_to(root):
            return NOBODY
        return self._ownership(drive).owner_of(os.fsencode(found.parent.relative_to(root)))

    def _ownership(self, drive: str) -> Ownership:
        storage = self._site.configuration.storage
        return Ownership(storage.to_rules(), drive, tuple(self._site.configuration.detectors))

    def _user_files(self, usage: DriveUsage) -> Iterable[UserFile]:
        """Return files of users that the newest scan of a drive found; none where it was never scanned."""
        newest = next(scans_of(self._site, usage.drive.name), None)
        if newest is None:
            return
        before_ns = self._site.clock.now_ns() - self._site.configuration.replicas.reclaim.stale_ns
        ownership = self._ownership(usage.drive.name)
        root = os.fsencode(usage.drive.path)
        store = os.fsencode(os.path.realpath(self._site.configuration.store)) + b"/"
        real_root = os.fsencode(os.path.realpath(usage.drive.path))
        for directory, name, size_B, mtime_ns in _old_files(newest, before_ns):
            owner = ownership.owner_of(directory) if directory else NOBODY
            below = b"/".join((directory, name)) if directory else name
            if owner.stage != "user" or _is_ours(below) or (real_root + b"/" + below).startswith(store):
                continue
            yield UserFile(escape_name(root + b"/" + below), size_B, mtime_ns, owner.owner)


def _is_ours(below: bytes) -> bool:
    is_trash = TRASH_NAME.encode() in below.split(b"/")
    return is_trash or below.endswith(_OWN_SUFFIX) or below == MARKER_NAME.encode()


def _old_files(scan: Path, before_ns: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    names = ["directory", "name", "kind", "size_B", "mtime_ns", "n_links"]
    with reading_scan(scan), pq.ParquetFile(scan) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=names)
            is_wanted = pc.and_(
                pc.and_(pc.equal(table["kind"], "file"), pc.equal(table["n_links"], pa.scalar(1, pa.uint32()))),
                pc.less_equal(table["mtime_ns"], before_ns),
            )
            table = table.filter(is_wanted)
            columns = (table["directory"].cast("binary"), table["name"], table["size_B"], table["mtime_ns"])
            yield from zip(*(column.to_pylist() for column in columns), strict=True)


def _runs_in(content: str) -> list[tuple[str | None, int]]:
    return [(run.detector, int(run.run)) for run in read_frozen(content).runs]
