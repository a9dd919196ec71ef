"""How the bytes of one file get from one side of a transfer to the other: always under another name first."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from nualley.catalog import Transfer, TransferFile
from nualley.core import Digester, Digests, reason, unescape_name
from nualley.replicas import decide
from nualley.replicas.errors import RemoteError, UploadDamaged
from nualley.replicas.ports import RemoteFiles, RemoteReader
from nualley.replicas.sides import LocalSide, RemoteSide
from nualley.storage import (
    DestinationConflict,
    DestinationRefused,
    DurableFiles,
    FileState,
    OpenFile,
    Part,
    Progress,
    Published,
    PublishStep,
    SourceVanished,
    publish,
    read_source,
)

Told = Callable[[PublishStep, Digests], None]

PART_SUFFIX = ".nualley.part"


class Carrier(Protocol):
    """Brings files of a transfer to their final names, verified, or not at all."""

    n_readings: int
    """How often it goes through the bytes of a file."""

    def carry(self, file: TransferFile, *, expected: Digests | None, progress: Progress, told: Told) -> Published:
        """Bring one there; raises what `storage.publish` does, RemoteError and UploadDamaged."""
        ...


class LocalCarrier:
    """From one directory of this machine to another.

    Parameters
    ----------
    source, destination : LocalSide
        The directories.
    files : DurableFiles
        The file systems.
    """

    n_readings = 2

    def __init__(self, source: LocalSide, destination: LocalSide, files: DurableFiles) -> None:
        self._source = source
        self._destination = destination
        self._files = files

    def carry(self, file: TransferFile, *, expected: Digests | None, progress: Progress, told: Told) -> Published:
        """Copy, sync, read back, and give it its name."""
        return publish(
            self._source.path(file.path),
            self._destination.path(file.path),
            files=self._files,
            expected=expected,
            progress=progress,
            told=told,
            resumes=True,
        )


# ---------------------------------------------------------------- to a remote
class UploadCarrier:
    """From this machine to a remote.

    Parameters
    ----------
    source : LocalSide
        Where the files are.
    destination : RemoteSide
        Where they go.
    files : DurableFiles
        The file systems of this machine.
    transfer : Transfer
        Names the parts, and limits the rate.
    """

    n_readings = 3

    def __init__(self, source: LocalSide, destination: RemoteSide, files: DurableFiles, transfer: Transfer) -> None:
        self._source = source
        self._destination = destination
        self._files = files
        self._transfer = transfer

    def carry(self, file: TransferFile, *, expected: Digests | None, progress: Progress, told: Told) -> Published:
        """Read the source, send it under another name, read that back, see that all is as before, and move it.

        Notes
        -----
        A part that a dead process left is believed as little as any other: it is used where it reads back right.
        """
        remote, final = self._destination.remote, self._destination.path(file.path)
        source = self._source.path(file.path)
        address = self._destination.address(file.path)
        size_B = file.size_B

        def advance(n_before: int) -> Callable[[int], None]:
            return lambda done_B: progress(n_before * size_B + done_B, self.n_readings * size_B)

        read = read_source(source, files=self._files, expected=expected, progress=lambda done_B, _: advance(0)(done_B))
        wanted, part = read.digests, _part_of(self._transfer, final)
        sizes = remote.sizes([final, part])
        if final in sizes:
            self._compare(final, sizes[final], wanted, advance(2))
            return Published(wanted, Path(address), already_there=True)
        if sizes.get(part) != wanted.size_B or not self._holds(part, wanted, advance(2)):
            remote.upload(source, part, rate_B_per_s=self._transfer.rate_B_per_s, progress=advance(1))
            told(PublishStep.SYNCED, wanted)
            found = remote.digests(part, advance(2))
            if not decide.is_same(found, wanted):
                remote.remove(part)
                raise _upload_damaged(address, found, wanted)
        told(PublishStep.VERIFIED, wanted)
        try:
            read.check_unchanged()
        except BaseException:
            remote.remove(part)
            raise
        self._give_name(part, final, wanted, advance(2))
        return Published(wanted, Path(address))

    def _holds(self, part: str, wanted: Digests, progress: Callable[[int], None]) -> bool:
        try:
            return decide.is_same(self._destination.remote.digests(part, progress), wanted)
        except SourceVanished:
            return False

    def _compare(self, final: str, size_B: int, wanted: Digests, progress: Callable[[int], None]) -> None:
        """Accept what is under the final name if it holds the same bytes."""
        remote = self._destination.remote
        found = Digests(size_B, "", "") if size_B != wanted.size_B else remote.digests(final, progress)
        if found.size_B != wanted.size_B or not decide.is_same(found, wanted):
            what = f"xxh3_128 {found.xxh3_128} ({found.size_B} B)" if found.xxh3_128 else f"{found.size_B} B"
            address = f"{remote.name}:/{final}"
            raise DestinationConflict(
                f"{address} is taken: {what} lies there, the source has {wanted.xxh3_128} ({wanted.size_B} B)",
                where=address,
                do="compare the two files and move the wrong one away; nothing is ever overwritten",
            )
        remote.remove(_part_of(self._transfer, final))

    def _give_name(self, part: str, final: str, wanted: Digests, progress: Callable[[int], None]) -> None:
        remote = self._destination.remote
        try:
            is_renamed = remote.move(part, final)
        except FileExistsError:  # somebody else was quicker, or a move whose answer was lost
            self._compare(final, remote.sizes([final]).get(final, -1), wanted, progress)
            return
        # a remote that writes its own copy is believed as little as one that was sent the bytes
        if is_renamed and remote.sizes([final]).get(final) == wanted.size_B:
            return
        found = remote.digests(final, progress)
        if not decide.is_same(found, wanted):
            raise _upload_damaged(f"{remote.name}:/{final}", found, wanted, is_final=True)


def _part_of(transfer: Transfer, final: str) -> str:
    """Return the name beside the final one under which a transfer sends a file; no other transfer has the same."""
    digester = Digester()
    digester.update(f"{transfer.host}\n{transfer.transfer_id}\n{transfer.created_ns}\n{final}".encode())
    folder = final.rpartition("/")[0]
    name = f".{digester.digests().xxh3_128[:16]}{PART_SUFFIX}"
    return f"{folder}/{name}" if folder else name


def remove_parts(
    destination: LocalSide | RemoteSide, files: DurableFiles, transfer: Transfer, left: Sequence[TransferFile]
) -> int:
    """Remove what a transfer left half made at its destination, and return how many files that were.

    Parameters
    ----------
    destination : LocalSide or RemoteSide
        Where its files go.
    files : DurableFiles
        The file systems of this machine.
    transfer : Transfer
        The transfer; nobody works on it.
    left : sequence of TransferFile
        Its files that are not copied.

    Raises
    ------
    DestinationRefused, RemoteError
        Where the drive or the remote does not let go of one.
    """
    if isinstance(destination, RemoteSide):
        remote = destination.remote
        parts = remote.sizes([_part_of(transfer, destination.path(file.path)) for file in left])
        for part in parts:
            remote.remove(part)
        return len(parts)
    n_parts = 0
    for file in left:
        try:
            n_parts += files.remove_stale_part(destination.path(file.path))
        except NotADirectoryError:
            continue  # nothing of ours can be there
        except OSError as error:
            raise DestinationRefused(
                f"the partial file of {destination.address(file.path)} cannot be removed: {reason(error)}",
                where=destination.address(file.path),
                do=f"give this user the right to, then: nualley transfer cancel {transfer.transfer_id}",
            ) from error
    return n_parts


def _upload_damaged(address: str, found: Digests, wanted: Digests, *, is_final: bool = False) -> UploadDamaged:
    left = "it is there as evidence: move it away" if is_final else "nothing was left under the final name"
    return UploadDamaged(
        f"{address} reads back as xxh3_128 {found.xxh3_128} ({found.size_B} B), "
        f"sent was {wanted.xxh3_128} ({wanted.size_B} B)",
        where=address,
        do=f"look at the remote and at the way there; {left}, then: nualley transfer resume",
    )


# ---------------------------------------------------------------- from a remote
class FetchCarrier:
    """From a remote to a directory of this machine.

    Parameters
    ----------
    source : RemoteSide
        Where the files are.
    destination : LocalSide
        Where they go.
    files : DurableFiles
        The file systems of this machine.
    """

    n_readings = 2

    def __init__(self, source: RemoteSide, destination: LocalSide, files: DurableFiles) -> None:
        self._source = source
        self._destination = destination
        self._files = files

    def carry(self, file: TransferFile, *, expected: Digests | None, progress: Progress, told: Told) -> Published:
        """Fetch it into a part as a local copy is made: synced, read back from the drive, then linked."""
        source = Path(unescape_name(self._source.address(file.path)))
        return publish(
            source,
            self._destination.path(file.path),
            files=_WithRemote(self._files, self._source.remote, source, self._source.path(file.path)),
            expected=expected,
            progress=progress,
            told=told,
            resumes=True,
        )


_NO_DEVICE = -1


class _WithRemote:
    """`storage.DurableFiles` of this machine, on which one path is a file of a remote."""

    def __init__(self, files: DurableFiles, remote: RemoteFiles, source: Path, path: str) -> None:
        self._files = files
        self._remote = remote
        self._source = source
        self._path = path

    def open(self, path: Path, *, is_link_followed: bool = True) -> OpenFile:
        if path == self._source:
            return _Fetched(self._remote.open(self._path))
        return self._files.open(path, is_link_followed=is_link_followed)

    def state(self, path: Path) -> FileState | None:
        if path != self._source:
            return self._files.state(path)
        try:
            with closing(self._remote.open(self._path)) as reader:
                return _state(reader)
        except SourceVanished:
            return None

    def open_part(self, destination: Path) -> Part:
        return self._files.open_part(destination)

    def take_part(self, destination: Path, size_B: int) -> Part | None:
        return self._files.take_part(destination, size_B)

    def remove_stale_part(self, destination: Path) -> bool:
        return self._files.remove_stale_part(destination)

    def make_directories(self, directory: Path) -> Sequence[Path]:
        return self._files.make_directories(directory)

    def sync_directory(self, directory: Path) -> None:
        self._files.sync_directory(directory)

    def move(self, source: Path, destination: Path) -> None:
        self._files.move(source, destination)

    def available_B(self, path: Path) -> int:
        return self._files.available_B(path)


class _Fetched:
    """`storage.OpenFile` that a remote gives."""

    def __init__(self, reader: RemoteReader) -> None:
        self._reader = reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()

    def state(self) -> FileState:
        return _state(self._reader)

    def sync(self) -> None:
        """Nothing waits here for its drive."""

    def drop_cache(self) -> None:
        """Nothing of it is cached here."""

    def rewind(self) -> None:
        raise RemoteError("a file of a remote is read once, from its start")

    def read_into(self, buffer: memoryview) -> int:
        return self._reader.read_into(buffer)


def _state(reader: RemoteReader) -> FileState:
    return FileState(_NO_DEVICE, 0, reader.size_B, reader.mtime_ns, reader.mtime_ns)


def carrier_between(
    source: LocalSide | RemoteSide, destination: LocalSide | RemoteSide, files: DurableFiles, transfer: Transfer
) -> Carrier:
    """Return what brings files from one side to the other; RemoteError where both are remotes.

    Parameters
    ----------
    source, destination : LocalSide or RemoteSide
        The sides.
    files : DurableFiles
        The file systems of this machine.
    transfer : Transfer
        The transfer.
    """
    if isinstance(source, LocalSide):
        if isinstance(destination, LocalSide):
            return LocalCarrier(source, destination, files)
        return UploadCarrier(source, destination, files, transfer)
    if isinstance(destination, LocalSide):
        return FetchCarrier(source, destination, files)
    raise RemoteError("files go from a remote to another one by way of a drive", where=os.fspath(transfer.source))
