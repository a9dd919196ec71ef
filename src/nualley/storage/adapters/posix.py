"""Files and volumes of a POSIX machine: every step towards durability is one system call."""

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import xxhash

from nualley.core import device_of, free_B, sync_folder
from nualley.storage.errors import DestinationConflict
from nualley.storage.models import MARKER_NAME, DriveMarker, FileState, VolumeState
from nualley.storage.publication import publish_made

_MARKER = """\
# By this file nualley knows the drive again, and tells it from the empty folder below. It belongs to this drive alone.
drive = "{drive}"
id = "{drive_id}"
"""
_SUFFIX = ".nualley.part"
_NAME_MAX_B = 255
_BLOCK_B = 4096
_PLENTY = 8  # a drive with room for so many files of that size is not full at the end of one
_READ_ONLY_FILE = 0o444  # a published file is not changed any more
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_PREALLOCATION = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def part_path(destination: Path) -> Path:
    """Return where a file lies while it is made: hidden beside its final name.

    Parameters
    ----------
    destination : Path
        The final name, any bytes.

    Returns
    -------
    Path
        ``.<name>.nualley.part``, or with a digest of the name where that would be too long for a file system.
    """
    name = os.fsencode(destination.name)
    if len(name) + len(_SUFFIX) + 1 > _NAME_MAX_B:
        name = xxhash.xxh3_128_hexdigest(name).encode()
    return destination.with_name(os.fsdecode(b"." + name + _SUFFIX.encode()))


class PosixFile:
    """A regular file, open for reading.

    Parameters
    ----------
    descriptor : int
        An open descriptor; closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        self._is_direct = False
        self._may_be_direct = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def state(self) -> FileState:
        """Return the state of the open file, whatever its name points at by now."""
        return _state(os.fstat(self._fd))

    def sync(self) -> None:
        """Wait until its bytes are on the drive."""
        os.fdatasync(self._fd)

    def drop_cache(self) -> None:
        """Forget its cached pages, so that the next read asks the drive."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._may_be_direct = True

    def rewind(self) -> None:
        """Read from the start again."""
        os.lseek(self._fd, 0, os.SEEK_SET)

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; return their number, 0 at the end."""
        n_read = self._directly(buffer, partial(os.readv, self._fd, [buffer]))
        if n_read == len(buffer) >= _BLOCK_B and not self._is_direct:
            # the drive reads on while these bytes are worked on
            ahead_B = os.lseek(self._fd, 0, os.SEEK_CUR)
            os.posix_fadvise(self._fd, ahead_B, len(buffer), os.POSIX_FADV_WILLNEED)
        return n_read

    def _directly(self, buffer: memoryview, transfer: Callable[[], int]) -> int:
        """Move bytes between buffer and drive without the page cache where that can be.

        A copy in memory costs most of what a copy costs, and what is read directly was asked of the drive for sure.
        """
        self._set_direct(is_wanted=self._may_be_direct and self._is_aligned(buffer))
        try:
            return transfer()
        except OSError as error:
            if not self._is_direct or error.errno != errno.EINVAL:
                raise
            self._may_be_direct = False  # the device wants blocks that are larger still
            self._set_direct(is_wanted=False)
            return transfer()

    def _is_aligned(self, buffer: memoryview) -> bool:
        if buffer.readonly or not len(buffer) or len(buffer) % _BLOCK_B:
            return False
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        return (address | os.lseek(self._fd, 0, os.SEEK_CUR)) % _BLOCK_B == 0

    def _set_direct(self, *, is_wanted: bool) -> None:
        if is_wanted == self._is_direct:
            return
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | (os.O_DIRECT if is_wanted else 0))
            self._is_direct = is_wanted
        except OSError:  # this file system knows no such thing
            self._may_be_direct = False


class PosixPart(PosixFile):
    """A file in the making, held by a lock that dies with this process.

    Parameters
    ----------
    path : Path
        Where it lies.
    descriptor : int
        Open for reading and writing, locked; closed with this object.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(descriptor)
        self.path = path
        self._has_name = True
        self._may_be_direct = True

    def seek(self, offset_B: int) -> None:
        """Read or write from there on."""
        os.lseek(self._fd, offset_B, os.SEEK_SET)

    def preallocate(self, size_B: int) -> None:
        """Reserve room where it is scarce, so that a full drive shows before the copy.

        What is reserved costs more than twice the processor time to write (ext4 turns each extent into a written one).
        A file system that cannot reserve is no error.
        """
        volume = os.fstatvfs(self._fd)
        if size_B * _PLENTY <= volume.f_bavail * volume.f_frsize:
            return
        try:
            os.posix_fallocate(self._fd, 0, size_B)
        except OSError as error:
            if error.errno not in _NO_PREALLOCATION:
                raise

    def write(self, chunk: memoryview) -> None:
        """Write all of the bytes, from where it stands."""
        rest = chunk
        while rest:
            rest = rest[self._directly(rest, partial(os.write, self._fd, rest)) :]

    def set_writable(self, *, is_writable: bool) -> None:
        """Let its owner open it by name for writing, or nobody; root may always."""
        mode = stat.S_IMODE(os.fstat(self._fd).st_mode)
        os.fchmod(self._fd, mode | stat.S_IWUSR if is_writable else mode & _READ_ONLY_FILE)

    def set_mtime(self, mtime_ns: int) -> None:
        """Set the time of the last change [ns since 1970 UTC]."""
        os.utime(self._fd, ns=(mtime_ns, mtime_ns))

    def link(self, destination: Path) -> None:
        """Give it its final name too, or move it there; FileExistsError where the name is taken, never overwriting."""
        self._has_name = link_or_rename(self.path, destination)

    def remove(self) -> None:
        """Take away the name that it had in the making, where it still has it."""
        if self._has_name:
            self.path.unlink(missing_ok=True)
            self._has_name = False


def link_or_rename(source: Path, destination: Path) -> bool:
    """Give a file another name without overwriting, and return whether it still has its old one.

    Parameters
    ----------
    source, destination : Path
        Names on one file system; a file system without hard links renames.

    Raises
    ------
    OSError
        ``EEXIST`` where the destination is there.
    """
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        rename_exclusively(source, destination)
        return False
    return True


def rename_exclusively(source: Path, destination: Path) -> None:
    """Rename without overwriting (``renameat2``), for file systems that refuse hard links.

    Parameters
    ----------
    source, destination : Path
        Names on one file system.

    Raises
    ------
    OSError
        ``EEXIST`` where the destination is there, ``EINVAL`` or ``ENOSYS`` where the system cannot do this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        renameat2 = libc.renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), os.fspath(destination)) from None
    if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(destination), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(destination))


class PosixFiles:
    """`storage.ports.DurableFiles` on the file systems of this machine."""

    def state(self, path: Path) -> FileState | None:
        """Return the state of what the name points at, links followed; None where there is nothing."""
        try:
            return _state(path.stat())
        except FileNotFoundError:
            return None

    def open(self, path: Path, *, is_link_followed: bool = True) -> PosixFile:
        """Open a regular file for reading; anything else is refused, never waited for."""
        # O_NONBLOCK: opening a FIFO would wait for a writer
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if is_link_followed else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return PosixFile(descriptor)

    def open_part(self, destination: Path) -> PosixPart:
        """Make an empty part for the destination, alone: one left by a dead process is removed first."""
        path = part_path(destination)
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
                descriptor = os.open(path, flags, _READ_ONLY_FILE)
            except FileExistsError:
                # never taken over and cut: a process that died between link and unlink left a name of the final file
                _remove_unless_held(path)
                continue
            if _lock(descriptor, path):
                return PosixPart(path, descriptor)

    def take_part(self, destination: Path, size_B: int) -> PosixPart | None:
        """Take over the part that a dead process left, at its start; None where none may be gone on with."""
        path = part_path(destination)
        try:
            descriptor = _open_left_part(path)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            # between link and unlink a process may have died: what has two names is the final file already
            if _is_name_of(path, descriptor) and found.st_nlink == 1 and found.st_size <= size_B:
                return PosixPart(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def remove_stale_part(self, destination: Path) -> bool:
        """Remove the part that a dead process left, and return whether there was one; a living one's is let be."""
        try:
            return _remove_unless_held(part_path(destination))
        except BlockingIOError:
            return False

    def make_directories(self, directory: Path) -> Sequence[Path]:
        """Make the directory and those above it where missing.

        Returns those above it whose entries may not be durable yet, nearest first: all that this user could have
        changed on this file system, for another process may have made one and died before its sync.
        """
        directory.mkdir(parents=True, exist_ok=True)
        device = directory.stat().st_dev
        above = []
        for parent in directory.absolute().parents:
            if parent.stat().st_dev != device or not os.access(parent, os.W_OK | os.R_OK):
                break
            above.append(parent)
        return above

    def sync_directory(self, directory: Path) -> None:
        """Wait until the directory's entries are on the drive."""
        sync_folder(directory)

    def move(self, source: Path, destination: Path) -> None:
        """Rename within a folder and make that durable; FileExistsError where the name is taken, never overwriting."""
        if link_or_rename(source, destination):
            sync_folder(destination.parent)  # between the two a power cut leaves both names, never none
            source.unlink()
        sync_folder(destination.parent)

    def available_B(self, path: Path) -> int:
        """Return the bytes that a user may still write at the path, or at the nearest folder above that exists [B]."""
        return free_B(path)


class PosixVolumes:
    """`storage.ports.Volumes` by ``statvfs``, and by a small TOML file in each drive's root."""

    def state(self, path: Path) -> VolumeState:
        """Return what the file system says of itself.

        Parameters
        ----------
        path : Path
            A directory.

        Returns
        -------
        VolumeState
            Size, use and whether it may be written to.

        Raises
        ------
        OSError
            Where the path is no directory or does not answer.
        """
        if not stat.S_ISDIR(path.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
        volume = os.statvfs(path)
        return VolumeState(
            size_B=volume.f_blocks * volume.f_frsize,
            used_B=(volume.f_blocks - volume.f_bfree) * volume.f_frsize,
            available_B=volume.f_bavail * volume.f_frsize,
            device=device_of(path),
            is_mount_point=os.path.ismount(path),
            is_writable=os.access(path, os.W_OK | os.X_OK),  # no for a read-only mount too, even to root
            marker=_read_marker(path),
        )

    def mark(self, path: Path, name: str) -> DriveMarker:
        """Return the marker of a volume; where it has none, write one for a drive of that name first, durably.

        Parameters
        ----------
        path : Path
            The drive's root.
        name : str
            The drive's name.

        Returns
        -------
        DriveMarker
            The one that is there now: of two processes that mark at once, both return the first one's.

        Raises
        ------
        StorageError
            Where it cannot be written.
        OSError
            Where one that is there cannot be read or understood.
        """

        def make(part: Path) -> None:
            part.chmod(_READ_ONLY_FILE | stat.S_IWUSR)  # whatever the umask: who may not read it would see no drive
            part.write_text(_MARKER.format(drive=name, drive_id=secrets.token_hex(16)), encoding="utf-8")

        with contextlib.suppress(DestinationConflict):
            publish_made(path / MARKER_NAME, make, files=PosixFiles())
        found = _read_marker(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the marker that was written is gone", os.fspath(path / MARKER_NAME))
        return found


def _read_marker(path: Path) -> DriveMarker | None:
    marker = path / MARKER_NAME
    if marker.exists() and not marker.is_file():  # a pipe in its place would be waited for without end
        raise OSError(errno.EBADMSG, f"its marker {MARKER_NAME} is no regular file")
    try:
        said = tomllib.loads((path / MARKER_NAME).read_text(encoding="utf-8"))
        return DriveMarker(str(said["drive"]), str(said["id"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError):
        raise OSError(errno.EBADMSG, f"its marker {MARKER_NAME} cannot be understood") from None


def _state(found: os.stat_result) -> FileState:
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock a part; return False, with the descriptor closed, where its name was taken away meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_name_of(path, descriptor):
            return True
    except BlockingIOError:
        pass  # another process took the new, not yet locked part for a stale one and is removing it
    except BaseException:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    os.close(descriptor)
    return False


def _open_left_part(path: Path) -> int:
    """Open a part for writing that its owner may only read, unless a living process holds it."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    looking = os.open(path, os.O_RDONLY | flags)
    try:
        fcntl.flock(looking, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not stat.S_ISREG(os.fstat(looking).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        os.fchmod(looking, _READ_ONLY_FILE | stat.S_IWUSR)
        descriptor = os.open(path, os.O_RDWR | flags)
        os.fchmod(descriptor, _READ_ONLY_FILE)
    finally:
        os.close(looking)  # its lock too: the caller locks what is open for writing
    return descriptor


def _remove_unless_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_name_of(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)
    return True


def _is_name_of(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
