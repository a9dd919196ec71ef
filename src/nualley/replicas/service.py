"""Transfers: every file of a source at its destination, verified and entered, and a fresh look that says so."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from nualley.catalog import Catalog, CopyState, Origin, Transfer, TransferFile, TransferState
from nualley.core import Clock, NualleyError, format_size, unescape_name
from nualley.replicas import decide
from nualley.replicas.cancelling import CancelWatch, check_not_cancelled, finished
from nualley.replicas.carrying import carrier_between, remove_parts
from nualley.replicas.copying import ENTERED_FROM_B, FileCopier
from nualley.replicas.errors import (
    NothingToCopy,
    OtherHost,
    RemoteError,
    ReplicasError,
    TransferRunning,
    TransferStopped,
    UnknownRemote,
    WrongRole,
)
from nualley.replicas.models import Cancellation, Listing, TransferReport, Verification
from nualley.replicas.pace import Pace
from nualley.replicas.places import (
    Place,
    RemotePlace,
    check_apart,
    check_mounted,
    check_one_remote,
    check_remote_room,
    find_place,
    lies_on,
    split_remote,
)
from nualley.replicas.ports import Drives, Progress, ShouldStop
from nualley.replicas.settings import ReplicasSettings
from nualley.replicas.sides import LocalSide, RemoteSide, Side
from nualley.replicas.verifying import Verifier
from nualley.replicas.working import Machine, Outcome, TransferPass
from nualley.storage import DriveFull, DriveMissing, DriveUsage, StorageError

_N_NAMED = 3
_NOT_REACHED = (ReplicasError, StorageError, DriveMissing, UnknownRemote)
_LONGEST_STOP_S = 60.0
_TRY_EACH_S = 0.1


class SystemTimer:
    """`replicas.ports.Timer` of this machine."""

    def now_s(self) -> float:
        """Return a time that only goes forward [s]."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Wait [s]."""
        time.sleep(duration_s)


def _never() -> bool:
    return False


class TransferService:
    """Copies directories and files to other places, and goes on with what was stopped.

    Parameters
    ----------
    catalog : Catalog
        The record: of files, and of transfers.
    machine : Machine
        File systems, trees of files, turns at devices.
    drives : Drives
        The drives of the experiment.
    origin : Origin
        Who does it.
    clock : Clock
        Dates each proof.
    settings : ReplicasSettings, optional
        Say which roles of drives take which stages.
    entered_from_B : int
        The states of files from this size on are entered one by one [B].
    """

    def __init__(
        self,
        catalog: Catalog,
        machine: Machine,
        *,
        drives: Drives,
        origin: Origin,
        clock: Clock,
        settings: ReplicasSettings | None = None,
        entered_from_B: int = ENTERED_FROM_B,
    ) -> None:
        self._catalog = catalog
        self._machine = machine
        self._drives = drives
        self._origin = origin
        self._clock = clock
        self._settings = settings or ReplicasSettings()
        self._entered_from_B = entered_from_B

    # ------------------------------------------------------------ asking for one
    def begin(
        self,
        source: Path | RemotePlace,
        destination: Path | RemotePlace,
        *,
        rate_B_per_s: int | None = None,
        is_left: bool = False,
    ) -> Transfer:
        """Queue all that is at a place for another one; nothing is copied yet.

        Parameters
        ----------
        source : Path or RemotePlace
            A directory, of which all files are meant, or one file.
        destination : Path or RemotePlace
            The directory that they go to; a file goes into it by its name.
        rate_B_per_s : int, optional
            Most bytes that are read in a second [B/s].
        is_left : bool
            Leave it to the worker.

        Returns
        -------
        Transfer
            As the catalog holds it.

        Raises
        ------
        NothingToCopy, IntoItself, TwoRemotes, WrongRole, DriveMissing, DriveFull, RemoteError
            Before anything is entered.
        """
        (transfer,) = self.begin_all([(source, destination)], rate_B_per_s=rate_B_per_s, is_left=is_left)
        return transfer

    def begin_all(
        self,
        ways: Sequence[tuple[Path | RemotePlace, Path | RemotePlace]],
        *,
        rate_B_per_s: int | None = None,
        is_left: bool = False,
    ) -> list[Transfer]:
        """Queue several as `begin` does one: all of them, or where one cannot be, none.

        Parameters
        ----------
        ways : sequence of (Path or RemotePlace, Path or RemotePlace)
            From where to where.
        rate_B_per_s : int, optional
            Most bytes that are read in a second, of each [B/s].
        is_left : bool
            Leave them to the worker.

        Returns
        -------
        list of Transfer
            As the catalog holds them.

        Raises
        ------
        NothingToCopy, IntoItself, TwoRemotes, WrongRole, DriveMissing, DriveFull, RemoteError
            Before anything is entered.
        """
        planned = [self._plan(*way, rate_B_per_s=rate_B_per_s, is_left=is_left) for way in ways]
        return [self._catalog.transfers.begin(transfer, queued) for transfer, queued in planned]

    def _plan(
        self,
        source: Path | RemotePlace,
        destination: Path | RemotePlace,
        *,
        rate_B_per_s: int | None,
        is_left: bool,
    ) -> tuple[Transfer, Sequence[TransferFile]]:
        usages, trees = self._drives.usages(), self._machine.trees
        from_, to = (
            place if isinstance(place, RemotePlace) else find_place(place, usages, trees)
            for place in (source, destination)
        )
        check_one_remote(from_, to)
        listing = self._look(self._side(from_, is_source=True), from_.text)
        if isinstance(to, Place) and to.usage is not None and from_.drive is not None:
            self._check_role(to.usage, self._catalog.transfers.stages_below(from_.drive, from_.text))
        if isinstance(from_, Place) and isinstance(to, Place):
            check_apart(from_.path, listing.root, to.path)
        self._check_room(listing, to)
        transfer = Transfer(
            source=from_.text,
            destination=to.text,
            source_drive=from_.drive,
            drive=to.drive,
            rate_B_per_s=rate_B_per_s,
            host=self._origin.host,
            is_left=is_left,
        )
        return transfer, decide.reconcile((), listing).queued

    def _side(self, place: Place | RemotePlace, *, is_source: bool = False) -> LocalSide | RemoteSide:
        if isinstance(place, RemotePlace):
            return RemoteSide(self._machine.remotes.open(place.remote), place.path, is_source=is_source)
        files, trees = self._machine.files, self._machine.trees
        return LocalSide(place.path, place.drive, files, trees, is_source=is_source)

    def _look(self, source: Side, text: str) -> Listing:
        listing = source.look()
        if listing is None or not (listing.files or listing.unreadable):
            what = "nothing is there" if listing is None else "no file is there"
            raise NothingToCopy(
                f"{what}: {text}",
                where=text,
                do="look whether its drive is mounted, and name a directory that holds files",
            )
        return listing

    def _check_role(self, usage: DriveUsage, stages: Sequence[str]) -> None:
        """Raise WrongRole where a drive is for other data; of files that the catalog does not know nothing is said."""
        drive = usage.drive
        for stage in stages:
            roles = self._settings.policy(stage).roles
            if drive.role in roles:
                continue
            fit = [each.drive.name for each in self._drives.usages() if each.drive.role in roles]
            raise WrongRole(
                f"drive {drive.name} is for {drive.role} data; data of stage {stage} go to drives of role "
                f"{' or '.join(roles)}",
                where=f"storage.drives.{drive.name} (role {drive.role})",
                do=f"name {' or '.join(fit) or 'another drive'}, or change the role in drives.toml, "
                f"or replicas.placement.{stage}.roles",
            )

    def _check_room(self, listing: Listing, to: Place | RemotePlace) -> None:
        side = self._side(to)
        there = side.sizes([seen.path for seen in listing.files])
        needed_B = sum(seen.size_B for seen in listing.files if there.get(seen.path) != seen.size_B)
        if isinstance(side, RemoteSide):
            check_remote_room(side.remote, needed_B)
        elif isinstance(to, Place):
            self._check_drive_room(needed_B, to)

    def _check_drive_room(self, needed_B: int, to: Place) -> None:
        free_B = self._machine.files.available_B(to.path)
        filled = to.usage.fill_fraction_after(needed_B) if to.usage else 0.0
        limit = to.usage.drive.limit_fraction if to.usage else 1.0
        if needed_B > free_B or filled > limit:
            beyond = f" and fill it to {100 * filled:.1f} % (limit {100 * limit:.3g} %)" if to.usage else ""
            raise DriveFull(
                f"{to.text} has {format_size(free_B)} free; {format_size(needed_B)} are to be copied{beyond}",
                where=f"storage.drives.{to.drive}" if to.drive else to.text,
                do="free room there, raise the drive's limit in drives.toml, or name another place",
            )

    # ------------------------------------------------------------ doing it
    def work(
        self, transfer_id: int, *, progress: Progress | None = None, should_stop: ShouldStop = _never
    ) -> TransferReport:
        """Copy what is left of a transfer, until a fresh look at its source finds nothing that was not copied.

        Parameters
        ----------
        transfer_id : int
            The transfer.
        progress : callable, optional
            Told its name, bytes done and bytes to do.
        should_stop : callable
            Asked often.

        Returns
        -------
        TransferReport
            What became of it. What is in its way is told there; the rest goes on. One that was finished once stays so.

        Raises
        ------
        TransferStopped
            Where a stop was asked; the part of the file under way is kept.
        TransferNotFound, TransferRunning, OtherHost
            Before anything is done.
        TransferCancelled
            Where it was given up, before or meanwhile.
        CatalogError, CatalogUnreachable, CatalogDamaged
            Where the record cannot be used: all stays as it is, and can be taken up.
        """
        check_not_cancelled(self._load(transfer_id))
        timer = self._machine.timer
        with self._machine.turns.at_transfer(transfer_id):
            transfer = self._load(transfer_id)
            check_not_cancelled(transfer)
            watch = CancelWatch(self._catalog, transfer_id, timer, should_stop)
            try:
                done = self._pass(transfer, self._pace(transfer, progress, watch))
            except TransferStopped:
                self._end_cancelled(transfer_id)
                raise
            except (NothingToCopy, DriveMissing, UnknownRemote, RemoteError) as error:
                done = Outcome([error])
            return self._end(transfer, done)

    def _end(self, before: Transfer, done: Outcome) -> TransferReport:
        """Enter what a pass came to: what was finished once stays finished, whatever became of its source."""
        number, transfers = before.transfer_id, self._catalog.transfers
        is_finished, notes = before.state is TransferState.FINISHED, []
        if is_finished and all(isinstance(problem, NothingToCopy) for problem in done.problems):
            notes = [f"it was finished before; {problem.what}" for problem in done.problems]
            done = Outcome([], done.skipped)
        elif not is_finished or not done.problems:
            problem = "; ".join(error.what for error in done.problems[:_N_NAMED])
            transfers.finish(number, problem=problem)
        transfer = transfers.transfer(number)
        if done.n_folders:
            notes.append(f"{done.n_folders} empty folders of the source are there, too")
        notes += self._notes(transfer)
        count = transfers.count(number)
        if count.n_unknown:
            notes.append(
                f"{count.n_unknown} of the files are not in the catalog, so that their copies are no replicas; "
                "nualley files adopt enters what has a rule in drives.toml"
            )
        return TransferReport(transfer, count, tuple(done.problems), done.skipped, tuple(notes))

    # ------------------------------------------------------------ giving it up
    def cancel(self, transfer_id: int) -> Cancellation:
        """Give a transfer up: what was copied stays, what was half made goes, and who works on it stops.

        Parameters
        ----------
        transfer_id : int
            The transfer.

        Returns
        -------
        Cancellation
            One that was given up before stays as it is; what was left half made then is looked for again.

        Raises
        ------
        TransferNotFound, TransferFinished
            Before anything is done.
        """
        transfer = self._catalog.transfers.cancel(transfer_id)
        if transfer.state is TransferState.FINISHED:
            raise finished(transfer)
        n_parts, problems = 0, list[NualleyError]()
        try:
            self._load(transfer_id)
            with self._when_stopped(transfer_id):
                n_parts = self._remove_parts(transfer)
        except _NOT_REACHED as error:
            problems.append(error)
        return Cancellation(transfer, self._catalog.transfers.count(transfer_id), n_parts, tuple(problems))

    @contextmanager
    def _when_stopped(self, transfer_id: int) -> Iterator[None]:
        """Have a transfer alone as soon as who works on it has heard that it was given up."""
        timer, turns = self._machine.timer, self._machine.turns
        until_s = timer.now_s() + _LONGEST_STOP_S
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(turns.at_transfer(transfer_id))
                    break
                except TransferRunning:
                    if timer.now_s() >= until_s:
                        raise
                timer.sleep(_TRY_EACH_S)
            yield

    def _remove_parts(self, transfer: Transfer) -> int:
        destination = self._side(self._destination(transfer))
        files = self._catalog.transfers.files(transfer.transfer_id)
        left = [file for file in files if file.state is not CopyState.CATALOGUED]
        return remove_parts(destination, self._machine.files, transfer, left)

    def _end_cancelled(self, transfer_id: int) -> None:
        """Raise TransferCancelled where a transfer was given up while it was worked on."""
        transfer = self._catalog.transfers.transfer(transfer_id)
        if transfer.state is TransferState.CANCELLED:
            with suppress(*_NOT_REACHED):  # whoever gave it up is told
                self._remove_parts(transfer)
        check_not_cancelled(transfer)

    def _load(self, transfer_id: int) -> Transfer:
        transfer = self._catalog.transfers.transfer(transfer_id)
        if transfer.host != self._origin.host:
            raise OtherHost(
                f"transfer {transfer_id} is of {transfer.host}, this is {self._origin.host}: paths there are not these",
                where=f"transfer {transfer_id}",
                do=f"give the command on {transfer.host}",
            )
        return transfer

    def _ends(self, transfer: Transfer) -> tuple[LocalSide | RemoteSide, LocalSide | RemoteSide]:
        """Return both sides of a transfer; DriveMissing, UnknownRemote and RemoteError where one cannot be used."""
        usages = self._usages()
        texts = ((transfer.source, transfer.source_drive), (transfer.destination, transfer.drive))
        places = [self._place(text, name, usages) for text, name in texts]
        # not before both are there: a drive is marked by whoever writes to it for the first time
        if isinstance(places[1], Place) and places[1].usage is not None:
            self._drives.register(places[1].usage)
        return self._side(places[0], is_source=True), self._side(places[1])

    def _destination(self, transfer: Transfer) -> Place | RemotePlace:
        return self._place(transfer.destination, transfer.drive, self._usages())

    def _usages(self) -> Mapping[str, DriveUsage]:
        return {usage.drive.name: usage for usage in self._drives.usages()}

    def _place(self, text: str, name: str | None, usages: Mapping[str, DriveUsage]) -> Place | RemotePlace:
        remote = split_remote(text)
        if remote is not None and name in self._machine.remotes.names():
            return remote
        if name is not None and name not in usages:
            raise DriveMissing(
                f"drives.toml names no drive or remote {name}", where="drives.toml", do="name it there again"
            )
        path = Path(unescape_name(text))
        if name is not None:
            check_mounted(usages[name])
            root = usages[name].drive.path
            if not lies_on(path, root, self._machine.trees):
                raise DriveMissing(
                    f"{text} is not on drive {name}, which is at {root} now",
                    where=text,
                    do="mount the drive where it was, or begin anew: nualley transfer copy",
                )
        return Place(path, usages[name] if name else None)

    def _pace(self, transfer: Transfer, progress: Progress | None, should_stop: ShouldStop) -> Pace:
        return Pace(
            f"transfer {transfer.transfer_id}",
            transfer.rate_B_per_s,
            timer=self._machine.timer,
            progress=progress,
            should_stop=should_stop,
            again="nualley transfer resume",
        )

    def _pass(self, transfer: Transfer, pace: Pace) -> Outcome:
        source, destination = self._ends(transfer)
        copier = FileCopier(
            self._catalog,
            carrier_between(source, destination, self._machine.files, transfer),
            source=source,
            destination=destination,
            origin=self._origin,
            clock=self._clock,
            check_there=lambda: self._destination(transfer),
            entered_from_B=self._entered_from_B,
        )
        turns, ends = self._machine.turns, (source, destination)
        return TransferPass(self._catalog, turns, copier, transfer=transfer, pace=pace, ends=ends).run()

    def _notes(self, transfer: Transfer) -> tuple[str, ...]:
        if split_remote(transfer.source) or split_remote(transfer.destination):
            return ()
        source, destination = (Path(unescape_name(path)) for path in (transfer.source, transfer.destination))
        if self._machine.trees.device(source) != self._machine.trees.device(destination):
            return ()
        return ("source and destination are on one device: both copies together count as one",)

    # ------------------------------------------------------------ is it still there?
    def verify(
        self, transfer_id: int, *, progress: Progress | None = None, should_stop: ShouldStop = _never
    ) -> Verification:
        """Read every copy of a transfer back from its drive and compare it.

        Parameters
        ----------
        transfer_id : int
            The transfer.
        progress : callable, optional
            Told its name, bytes done and bytes to do.
        should_stop : callable
            Asked often.

        Returns
        -------
        Verification
            Copies that are damaged or gone are named; the catalog knows it then, and the transfer is not finished any
            more.

        Raises
        ------
        TransferStopped, TransferNotFound, TransferRunning, OtherHost, DriveMissing, RemoteError
            Of a drive or a remote that is not there nothing is said.
        """
        transfer = self._load(transfer_id)
        destination, turns = self._side(self._destination(transfer)), self._machine.turns
        with turns.at_transfer(transfer_id):
            verifier = Verifier(
                self._catalog,
                turns,
                destination,
                transfer=transfer,
                clock=self._clock,
                pace=self._pace(transfer, progress, should_stop),
                check_there=lambda: self._destination(transfer),
            )
            return verifier.run()
