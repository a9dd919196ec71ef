"""The one durable, verified copy: a file stands under its final name whole, or not at all."""

import mmap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from nualley.core import Digester, Digests, IntegrityError, reason
from nualley.storage.errors import DestinationConflict, DigestMismatch, SourceChanged, StorageError, VerifyFailed
from nualley.storage.models import FileState, Published, PublishStep
from nualley.storage.ports import DurableFiles, OpenFile, Part
from nualley.storage.refusals import reading, shown, vanished, writing

_CHUNK_B = 1 << 20

Progress = Callable[[int, int], None]
Told = Callable[[PublishStep, Digests], None]
"""Told each step that was reached, and the digests of the bytes."""


def publish(
    source: Path,
    destination: Path,
    *,
    files: DurableFiles,
    expected: Digests | None = None,
    progress: Progress | None = None,
    told: Told | None = None,
    resumes: bool = False,
    aside: Path | None = None,
) -> Published:
    """Copy a file so that it stands under its final name verified and durable, or not at all.

    Parameters
    ----------
    source : Path
        A regular file that nobody writes to any more.
    destination : Path
        The final name; missing folders are made. Never overwritten.
    files : DurableFiles
        The file systems.
    expected : Digests, optional
        What the source has to hold.
    progress : callable, optional
        Told bytes done and bytes to do [B]; copying and reading back count alike.
    told : callable, optional
        Told the steps as they are reached; it may raise, which ends the copy.
    resumes : bool
        Go on with the part that a dead process left, as far as its bytes are those of the source, and leave one's own
        where something else than the copy itself ends it: Ctrl-C, ``progress`` or ``told``.
    aside : Path, optional
        Where a file that is known to be wrong, and lies under the final name, goes: beside it, and only once the new
        bytes are durable and verified. Without one, what lies there is compared, and stays.

    Returns
    -------
    Published
        Its digests, and whether it lay there before.

    Raises
    ------
    SourceVanished, SourceUnreadable, SourceChanged
        The source is not there, cannot be read or was written to meanwhile.
    DigestMismatch
        The source does not hold the expected bytes.
    DestinationConflict
        Other bytes lie under the final name.
    DestinationBusy
        Another process is writing there.
    DestinationRefused, DriveFull, DriveReadOnly, DriveFailing, VerifyFailed
        The drive cannot hold it.

    Notes
    -----
    The order is: write a part -> fdatasync -> drop the page cache -> read back and compare -> see that the source did
    not change -> link without overwriting -> fsync the folder and those above it that were made. A part of a process
    that died is recognised by its lock, which died with it, and removed by the next who publishes to the same name, or
    taken up where he resumes. How far it is good nobody has to remember, nor is believed: what the drive gives back of
    it is compared with the source, chunk by chunk, and written anew from the first difference on.
    """
    with reading(source):
        opened = files.open(source)
    with opened:
        with reading(source):
            source_state = opened.state()
        steps = _Steps(files, destination, source_state, progress, told, aside)
        if aside is None and steps.is_taken():
            digests = steps.read_source(source, opened, expected)
            return steps.compare(digests)
        return steps.copy(source, opened, expected, resumes=resumes)


def read_back(path: Path, *, files: DurableFiles, progress: Progress | None = None) -> Digests:
    """Return the digests of what a drive gives back of a file, not of what memory still holds of it.

    Parameters
    ----------
    path : Path
        A regular file; a link is not followed.
    files : DurableFiles
        The file systems.
    progress : callable, optional
        Told bytes done and bytes to do [B].

    Returns
    -------
    Digests
        Of its bytes.

    Raises
    ------
    SourceVanished, SourceUnreadable
        It is not there, or cannot be read.
    """
    with reading(path), files.open(path, is_link_followed=False) as opened:
        opened.drop_cache()
        size_B = opened.state().size_B
        return _digest(opened.read_into, advance=(lambda done_B: progress(done_B, size_B)) if progress else None)


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A file that was read whole, before something else copies it.

    Parameters
    ----------
    digests : Digests
        Of its bytes.
    check_unchanged : callable
        Raises SourceChanged, SourceVanished or SourceUnreadable where it is not what was read any more.
    """

    digests: Digests
    check_unchanged: Callable[[], None]


def read_source(
    source: Path, *, files: DurableFiles, expected: Digests | None = None, progress: Progress | None = None
) -> SourceRead:
    """Read a file that something else than `publish` will copy.

    Parameters
    ----------
    source : Path
        A regular file that nobody writes to any more.
    files : DurableFiles
        The file systems.
    expected : Digests, optional
        What it has to hold.
    progress : callable, optional
        Told bytes done and bytes to do [B].

    Raises
    ------
    SourceVanished, SourceUnreadable, SourceChanged, DigestMismatch
        As for `publish`.
    """
    with reading(source):
        opened = files.open(source)
    with opened:
        with reading(source):
            steps = _Steps(files, source, opened.state(), progress)
        digests = steps.read_source(source, opened, expected)
    return SourceRead(digests, lambda: steps.check_unchanged(source))


def publish_made(
    destination: Path,
    make: Callable[[Path], None],
    *,
    files: DurableFiles,
    size_B: int = 0,
    check: Callable[[Path], None] | None = None,
) -> Published:
    """Let a library write a file that stands under its final name durable, or not at all.

    Parameters
    ----------
    destination : Path
        The final name; nothing may be there yet.
    make : callable
        Writes the file at the path that it is given, in place: an empty file is there already.
    files : DurableFiles
        The file systems.
    size_B : int
        How large it will be about [B]; only for the text of an error.
    check : callable, optional
        Looks at the written and synced file and raises where it is not right.

    Returns
    -------
    Published
        The digests of what was read back from the drive.

    Raises
    ------
    DestinationConflict
        Something lies under the final name.
    DestinationBusy, DestinationRefused, DriveFull, DriveReadOnly, DriveFailing, VerifyFailed
        As for `publish`; what ``make`` and ``check`` raise passes through.
    """
    steps = _Steps(files, destination, FileState(0, 0, size_B, 0, 0), None)
    if steps.is_taken():
        raise _conflict(destination, "something lies there already")
    return steps.make(make, check)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps towards one destination."""

    files: DurableFiles
    destination: Path
    source_state: FileState
    progress: Progress | None
    told: Told | None = None
    aside: Path | None = None

    def is_taken(self) -> bool:
        with self._writing():
            return self.files.state(self.destination) is not None

    def copy(self, source: Path, opened: OpenFile, expected: Digests | None, *, resumes: bool) -> Published:
        size_B = self.source_state.size_B
        is_kept = False
        with self._writing():
            above, part, begun = self._take_part() if resumes else (*self._open_part(), None)
        with part:
            try:
                with self._writing():
                    part.preallocate(size_B)
                digests = self._fill(part, source, opened, expected, begun=begun)
                with self._writing():
                    part.set_mtime(self.source_state.mtime_ns)
                self._settle(part, digests)
                self.check_unchanged(source)
                return self._give_name(part, digests, above)
            except BaseException as error:
                # a part that the copy itself gave up is wrong, or in the way of a full drive
                is_kept = resumes and not isinstance(error, StorageError | IntegrityError)
                raise
            finally:
                if not is_kept:
                    with self._writing():
                        part.remove()

    def make(self, make: Callable[[Path], None], check: Callable[[Path], None] | None) -> Published:
        with self._writing():
            above, part = self._open_part()
        with part:
            try:
                with self._writing():
                    part.set_writable(is_writable=True)
                    make(part.path)
                    part.set_writable(is_writable=False)
                    part.rewind()
                    digests = _digest(part.read_into)
                self._settle(part, digests)
                if check:
                    check(part.path)
                return self._give_name(part, digests, above)
            finally:
                with self._writing():
                    part.remove()

    def read_source(self, source: Path, opened: OpenFile, expected: Digests | None) -> Digests:
        def read(buffer: memoryview) -> int:
            with reading(source):
                return opened.read_into(buffer)

        digests = _digest(read, advance=self._advance_from(0))
        self._check_read(source, digests, expected)
        self.check_unchanged(source)
        return digests

    def compare(self, digests: Digests) -> Published:
        """Accept what lies under the final name if it holds the same bytes, and make it durable."""
        with self._writing():
            self.files.remove_stale_part(self.destination)
            try:
                there = self.files.open(self.destination, is_link_followed=False)
            except OSError as error:
                raise _conflict(self.destination, f"no file that can be read lies there ({reason(error)})") from error
            with there:
                there.sync()
                there.drop_cache()
                found = _digest(there.read_into, advance=self._advance_from(self.source_state.size_B))
                is_source = there.state().is_same_file(self.source_state)
            if found != digests:
                raise _conflict(
                    self.destination,
                    f"xxh3_128 {found.xxh3_128} ({found.size_B} B) lies there, "
                    f"the source has {digests.xxh3_128} ({digests.size_B} B)",
                )
            self._sync_directories(self.files.make_directories(self.destination.parent))
        return Published(digests, self.destination, already_there=True, is_source=is_source)

    def _open_part(self) -> tuple[Sequence[Path], Part]:
        above = self.files.make_directories(self.destination.parent)
        return above, self.files.open_part(self.destination)

    def _take_part(self) -> tuple[Sequence[Path], Part, "_Begun | None"]:
        above = self.files.make_directories(self.destination.parent)
        left = self.files.take_part(self.destination, self.source_state.size_B)
        if left is not None:
            return above, left, _Begun(left)
        return above, self.files.open_part(self.destination), None

    def _fill(
        self, part: Part, source: Path, opened: OpenFile, expected: Digests | None, *, begun: "_Begun | None"
    ) -> Digests:
        def read(buffer: memoryview) -> int:
            with reading(source):
                return opened.read_into(buffer)

        def write(chunk: memoryview) -> None:
            with self._writing():
                if begun is None or not begun.holds(chunk):
                    part.write(chunk)

        digests = _digest(read, sink=write, advance=self._advance_from(0))
        self._check_read(source, digests, expected)
        return digests

    def _check_read(self, source: Path, digests: Digests, expected: Digests | None) -> None:
        if digests.size_B != self.source_state.size_B:
            raise _changed(source, f"{self.source_state.size_B} B at first, {digests.size_B} B were read")
        if expected is not None and digests != expected:
            raise DigestMismatch(
                f"{shown(source)} holds xxh3_128 {digests.xxh3_128} adler32 {digests.adler32} ({digests.size_B} B), "
                f"expected {expected.xxh3_128} {expected.adler32} ({expected.size_B} B)",
                where=shown(source),
                do="take the file from another replica; this one is damaged or not the one that is meant",
            )

    def _settle(self, part: Part, digests: Digests) -> None:
        """Bring the bytes to the drive and see that the drive gives them back."""
        with self._writing():
            part.sync()
        self._tell(PublishStep.SYNCED, digests)
        with self._writing():
            part.drop_cache()
            part.rewind()
        found = self._read_part(part, digests.size_B)
        if found != digests:
            raise VerifyFailed(
                f"{shown(self.destination)} reads back as xxh3_128 {found.xxh3_128} ({found.size_B} B), "
                f"written was {digests.xxh3_128} ({digests.size_B} B)",
                where=shown(self.destination),
                do="look at the drive, its cable and the machine's memory; nothing was left under the final name",
            )
        self._tell(PublishStep.VERIFIED, digests)

    def _read_part(self, part: Part, size_B: int) -> Digests:
        def read(buffer: memoryview) -> int:
            with self._writing():
                return part.read_into(buffer)

        return _digest(read, advance=self._advance_from(size_B))

    def _tell(self, step: PublishStep, digests: Digests) -> None:
        if self.told:
            self.told(step, digests)

    def check_unchanged(self, source: Path) -> None:
        with reading(source):
            after = self.files.state(source)
        if after is None:
            raise vanished(source)
        if after != self.source_state:
            names = ("device", "inode", "size_B", "mtime_ns", "ctime_ns")
            changes = [
                f"{name} {getattr(self.source_state, name)} -> {getattr(after, name)}"
                for name in names
                if getattr(self.source_state, name) != getattr(after, name)
            ]
            raise _changed(source, ", ".join(changes))

    def _give_name(self, part: Part, digests: Digests, above: Sequence[Path]) -> Published:
        with self._writing():
            if self.aside is not None:
                self.files.move(self.destination, self.aside)
            try:
                part.link(self.destination)
            except FileExistsError:
                # NFS may answer a repeated request with "exists" although the first one made this very link
                there = self.files.state(self.destination)
                if there is None or not there.is_same_file(part.state()):
                    return self.compare(digests)
            part.remove()
            self._sync_directories(above)
        return Published(digests, self.destination)

    def _sync_directories(self, above: Sequence[Path]) -> None:
        for directory in (self.destination.parent, *above):
            self.files.sync_directory(directory)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self.destination, size_B=self.source_state.size_B, available_B=self.files.available_B)

    def _advance_from(self, done_B: int) -> Callable[[int], None]:
        total_B = 2 * self.source_state.size_B
        progress = self.progress

        def advance(read_B: int) -> None:
            if progress:
                progress(done_B + read_B, total_B)

        return advance


class _Begun:
    """The part of a dead process, as far as its bytes are those that it should hold.

    Parameters
    ----------
    part : Part
        At its start.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._good_B = 0
        self._is_good = True

    def holds(self, chunk: memoryview) -> bool:
        """Return whether the next bytes are these; at the first that are not, the part stands where they belong."""
        if self._is_good and self._read(len(chunk)) == chunk:
            self._good_B += len(chunk)
            return True
        if self._is_good:
            self._is_good = False
            self._part.seek(self._good_B)
        return False

    def _read(self, size_B: int) -> bytearray:
        found = bytearray(size_B)
        n_read = 0
        while n_more := self._part.read_into(memoryview(found)[n_read:]):
            n_read += n_more
        return found[:n_read]


def _digest(
    read: Callable[[memoryview], int],
    *,
    sink: Callable[[memoryview], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Digests:
    digester = Digester()
    buffer = memoryview(mmap.mmap(-1, _CHUNK_B))  # begins with a page: it can go to the drive as it is
    done_B = 0
    while n_read := read(buffer):
        chunk = buffer[:n_read]
        digester.update(chunk)
        if sink:
            sink(chunk)
        done_B += n_read
        if advance:
            advance(done_B)
    return digester.digests()


def _changed(source: Path, change: str) -> SourceChanged:
    return SourceChanged(
        f"{shown(source)} changed while it was read: {change}",
        where=shown(source),
        do="wait until nobody writes to it, then try again",
    )


def _conflict(destination: Path, found: str) -> DestinationConflict:
    return DestinationConflict(
        f"{shown(destination)} is taken: {found}",
        where=shown(destination),
        do="compare the two files and move the wrong one away; nothing is ever overwritten",
    )
