"""Small drives that really run full or go away, and another user: only root can make them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NOBODY = 65534


class SmallDrives:
    """Mounts small file systems in memory, and takes them away at the end.

    Parameters
    ----------
    folder : Path
        Where their mount points are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mounted: list[Path] = []

    def mount(self, name: str = "drive", *, size: str = "1m", n_inodes: int | None = None) -> Path:
        """Mount an empty drive of that size, such as ``4m``, and return its mount point."""
        path = self._folder / name
        path.mkdir(exist_ok=True)
        options = f"size={size}" + ("" if n_inodes is None else f",nr_inodes={n_inodes}")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"needs root: {' '.join(command)}: {done.stderr.strip()}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        self._mounted.append(path)
        return path

    def mount_ext4(self, name: str = "drive", *, size_MiB: int) -> Path:
        """Mount an empty drive with ext4 in a file, return its mount point; skip without loop devices."""
        return self._mount_image(name, ["mkfs.ext4", "-q", "-F"], size_MiB)

    def mount_btrfs(self, name: str = "drive", *, size_MiB: int = 128) -> Path:
        """Mount an empty drive with btrfs in a file, return its mount point; skip where that cannot be."""
        if shutil.which("mkfs.btrfs") is None:
            reason = "btrfs is not installed: sudo apt-get install btrfs-progs"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return self._mount_image(name, ["mkfs.btrfs", "-q", "-f"], size_MiB)

    def _mount_image(self, name: str, make: list[str], size_MiB: int) -> Path:
        path, image = self._folder / name, self._folder / f"{name}.img"
        path.mkdir(exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_MiB << 20)
        for command in ([*make, str(image)], ["mount", "-o", "loop", str(image), str(path)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"needs root and loop devices: {' '.join(command)}: {done.stderr.strip()}")
        self._mounted.append(path)
        return path

    def move(self, path: Path, other: Path) -> None:
        """Mount a drive at another path: what was its mount point is a bare folder then, as without the drive."""
        other.mkdir(exist_ok=True)
        # a bind mount of the same file system: the kernel moves no mount below a shared one
        subprocess.run(["mount", "--bind", str(path), str(other)], check=True)
        subprocess.run(["umount", str(path)], check=True)
        self._mounted.remove(path)
        self._mounted.append(other)

    def bind(self, path: Path, other: Path) -> None:
        """Let a directory be seen at another path too."""
        subprocess.run(["mount", "--bind", str(path), str(other)], check=True)
        self._mounted.insert(0, other)

    def remount(self, path: Path, option: str) -> None:
        """Remount a drive ``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(path)], check=True)

    def unmount_all(self) -> None:
        """Take every drive away, also one that is still in use."""
        for path in self._mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def small_drives(tmp_path: Path) -> Iterator[SmallDrives]:
    """Return what mounts small drives; only root can."""
    drives = SmallDrives(tmp_path)
    yield drives
    drives.unmount_all()


@pytest.fixture
def small_drive(small_drives: SmallDrives) -> Path:
    """Return a drive of 1 MiB that can really run full."""
    return small_drives.mount()


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], None]], None]:
    """Return what works as another user, in a child: what is asserted there fails here."""
    if os.geteuid():
        pytest.skip("needs root to become another user: sudo make test")

    def run(work: Callable[[], None]) -> None:
        child = os.fork()
        if not child:
            status = 1
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                work()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return run


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that another user can reach and write to."""
    folder = Path(os.path.realpath("/tmp")) / f"nualley-faults-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
