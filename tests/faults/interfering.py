"""Real files with something happening before every step, and a child in which it may happen."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from nualley.storage.adapters.posix import PosixFile, PosixFiles, PosixPart


class Interfering(PosixFiles):
    """The real files, with something happening before every step."""

    def __init__(self, before: Callable[[str], None]) -> None:
        self.before = before

    def open(self, path: Path, *, is_link_followed: bool = True) -> PosixFile:
        self.before("open")
        return super().open(path, is_link_followed=is_link_followed)

    def open_part(self, destination: Path) -> PosixPart:
        self.before("open_part")
        part = super().open_part(destination)
        return InterferingPart(part, self.before)

    def take_part(self, destination: Path, size_B: int) -> PosixPart | None:
        self.before("take_part")
        part = super().take_part(destination, size_B)
        return None if part is None else InterferingPart(part, self.before)

    def sync_directory(self, directory: Path) -> None:
        self.before("sync_directory")
        super().sync_directory(directory)


class InterferingPart(PosixPart):
    """The real part, with something happening before every step."""

    def __init__(self, part: PosixPart, before: Callable[[str], None]) -> None:
        super().__init__(part.path, part._fd)
        self.before = before

    def preallocate(self, size_B: int) -> None:
        self.before("preallocate")
        super().preallocate(size_B)

    def write(self, chunk: memoryview) -> None:
        self.before("write")
        super().write(chunk)

    def sync(self) -> None:
        self.before("sync")
        super().sync()

    def read_into(self, buffer: memoryview) -> int:
        self.before("read")
        return super().read_into(buffer)

    def link(self, destination: Path) -> None:
        self.before("link")
        super().link(destination)

    def remove(self) -> None:
        self.before("remove")
        super().remove()


def run_in_child(work: Callable[[], object]) -> int:
    """Fork, work, and return the wait status."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child tells everything
            traceback.print_exc()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]
