"""Files in memory that record every call, fail on demand and know what a power cut would leave."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from nualley.storage import FileState

Hook = Callable[[str, Path], None]


@dataclass
class Node:
    """The bytes of one file: as written, and as the device would give them back."""

    inode: int
    data: bytearray = field(default_factory=bytearray)
    on_device: bytes | None = None
    is_cached: bool = True
    mtime_ns: int = 0
    ctime_ns: int = 0
    is_held: bool = False


class MemoryFiles:
    """`DurableFiles` in memory; ``root`` is a mounted, empty drive."""

    def __init__(self, root: Path, *, room_B: int = 10**12, is_preallocating: bool = True) -> None:
        self.root = root
        self.room_B = room_B
        self.is_preallocating = is_preallocating
        self.names: dict[Path, Node] = {}
        self.directories: set[Path] = {root}
        self.durable: dict[Path, dict[Path, Node | None]] = {root: {}}  # directory -> its entries; None: a directory
        self.calls: list[tuple[str, Path]] = []
        self.hook: Hook = lambda _call, _path: None
        self.flip_on_device = False
        self._n_inodes = 0
        self._ticks = 0

    # ------------------------------------------------------------ for tests
    def put(self, path: Path, data: bytes, mtime_ns: int = 0) -> None:
        """Make a file, or write other bytes into it, as a DAQ would."""
        node = self.names.get(path) or self._new()
        node.data[:] = data
        node.mtime_ns = mtime_ns
        node.ctime_ns = self._tick()
        self.names[path] = node
        self.directories.update(path.parents)

    def rot(self, path: Path, data: bytes) -> None:
        """Let the drive give back other bytes than were written."""
        node = self.names[path]
        node.data[:] = data
        node.on_device = data

    def get(self, path: Path) -> bytes | None:
        """Return the bytes under a name, None where there is none."""
        node = self.names.get(path)
        return None if node is None else bytes(node.data)

    def is_durable(self, path: Path) -> bool:
        """Return whether file and name, with all folders up to the root, survive a power cut now."""
        node = self.durable.get(path.parent, {}).get(path)
        if node is None or node.on_device != bytes(node.data):
            return False
        folder = path.parent
        while folder != self.root:
            if folder not in self.durable.get(folder.parent, {}):
                return False
            folder = folder.parent
        return True

    def after_power_cut(self) -> dict[Path, bytes]:
        """Return what is left: names that were synced, and of each file what was synced."""
        left: dict[Path, bytes] = {}
        folders = [self.root]
        while folders:
            for path, node in self.durable.get(folders.pop(), {}).items():
                if node is None:
                    folders.append(path)
                else:
                    left[path] = node.on_device or b""
        return left

    def names_of(self, call: str) -> list[Path]:
        """Return the paths that a call was made with."""
        return [path for name, path in self.calls if name == call]

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks

    def _new(self) -> Node:
        self._n_inodes += 1
        return Node(self._n_inodes)

    def record(self, call: str, path: Path) -> None:
        """Note a call, and let the test interfere."""
        self.calls.append((call, path))
        self.hook(call, path)

    # ------------------------------------------------------------ the port
    def state(self, path: Path) -> FileState | None:
        self.record("state", path)
        node = self.names.get(path)
        return None if node is None else _state(node)

    def open(self, path: Path, *, is_link_followed: bool = True) -> "MemoryFile":
        self.record("open", path)
        if path in self.directories:
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return MemoryFile(self, path, self.names[path])

    def open_part(self, destination: Path) -> "MemoryPart":
        path = self.part_path(destination)
        self.record("open_part", path)
        if path.parent not in self.directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        known = self.names.get(path)
        if known is not None and known.is_held:
            raise BlockingIOError(errno.EAGAIN, "held", str(path))
        node = self._new()
        node.is_held = True
        self.names[path] = node
        return MemoryPart(self, path, node)

    def take_part(self, destination: Path, size_B: int) -> "MemoryPart | None":
        path = self.part_path(destination)
        self.record("take_part", path)
        known = self.names.get(path)
        if known is None:
            return None
        if known.is_held:
            raise BlockingIOError(errno.EAGAIN, "held", str(path))
        if list(self.names.values()).count(known) > 1 or len(known.data) > size_B:
            return None
        known.is_held = True
        return MemoryPart(self, path, known)

    def part_path(self, destination: Path) -> Path:
        return destination.with_name(f".{destination.name}.part")

    def remove_stale_part(self, destination: Path) -> bool:
        path = self.part_path(destination)
        self.record("remove_stale_part", path)
        known = self.names.get(path)
        if known is None or known.is_held:
            return False
        del self.names[path]
        return True

    def make_directories(self, directory: Path) -> Sequence[Path]:
        self.record("make_directories", directory)
        above = [folder for folder in directory.parents if folder == self.root or self.root in folder.parents]
        self.directories.update((directory, *above))
        return above

    def sync_directory(self, directory: Path) -> None:
        self.record("sync_directory", directory)
        if directory not in self.directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))
        entries: dict[Path, Node | None] = {path: node for path, node in self.names.items() if path.parent == directory}
        entries |= {path: None for path in self.directories if path.parent == directory}
        self.durable[directory] = entries

    def move(self, source: Path, destination: Path) -> None:
        self.record("move", destination)
        self.directories.update(destination.parents)
        if destination in self.names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))
        self.names[destination] = self.names[source]
        self.sync_directory(destination.parent)
        del self.names[source]
        self.sync_directory(destination.parent)

    def available_B(self, path: Path) -> int:
        return self.room_B - sum(len(node.data) for node in self.names.values())


def _state(node: Node) -> FileState:
    return FileState(1, node.inode, len(node.data), node.mtime_ns, node.ctime_ns)


class MemoryFile:
    """An open file in memory."""

    def __init__(self, files: MemoryFiles, path: Path, node: Node) -> None:
        self.files, self.path, self.node = files, path, node
        self.offset = 0
        self.is_part = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_part:
            self.node.is_held = False

    def state(self) -> FileState:
        return _state(self.node)

    def sync(self) -> None:
        self.files.record("sync", self.path)
        data = bytearray(self.node.data)
        if self.files.flip_on_device and data:
            data[0] ^= 1
        self.node.on_device = bytes(data)

    def drop_cache(self) -> None:
        self.files.record("drop_cache", self.path)
        self.node.is_cached = self.node.on_device is None

    def rewind(self) -> None:
        self.offset = 0

    def read_into(self, buffer: memoryview) -> int:
        self.files.record("read", self.path)
        held = self.node.data if self.node.is_cached else (self.node.on_device or b"")
        chunk = bytes(held[self.offset : self.offset + len(buffer)])
        buffer[: len(chunk)] = chunk
        self.offset += len(chunk)
        return len(chunk)


class MemoryPart(MemoryFile):
    """A part in memory."""

    def __init__(self, files: MemoryFiles, path: Path, node: Node) -> None:
        super().__init__(files, path, node)
        self.is_part = True
        self.has_name = True

    def preallocate(self, size_B: int) -> None:
        self.files.record("preallocate", self.path)
        if self.files.is_preallocating and size_B > self.files.available_B(self.path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def write(self, chunk: memoryview) -> None:
        self.files.record("write", self.path)
        if len(chunk) > self.files.available_B(self.path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.node.data[self.offset : self.offset + len(chunk)] = bytes(chunk)
        self.node.is_cached = True
        self.offset += len(chunk)

    def seek(self, offset_B: int) -> None:
        self.offset = offset_B

    def set_writable(self, *, is_writable: bool) -> None:
        self.files.record("set_writable" if is_writable else "set_read_only", self.path)

    def set_mtime(self, mtime_ns: int) -> None:
        self.files.record("set_mtime", self.path)
        self.node.mtime_ns = mtime_ns

    def link(self, destination: Path) -> None:
        self.files.record("link", destination)
        if destination in self.files.names or destination in self.files.directories:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))
        self.files.names[destination] = self.node

    def remove(self) -> None:
        if self.has_name:
            self.files.record("remove", self.path)
            self.files.names.pop(self.path, None)
            self.has_name = False
