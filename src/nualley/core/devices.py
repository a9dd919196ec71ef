"""Which device is under a path: what lies on one is lost together."""

import fcntl
import os
import stat
from pathlib import Path

# _IOR(0x94, 31, struct btrfs_ioctl_fs_info_args): u64 max_id, u64 num_devices, u8 fsid[16], ... (linux/btrfs.h)
_FS_INFO, _FS_INFO_B = 0x8400941F, 1024
_FSID = slice(16, 32)
_OWN_NUMBERS = 1 << 62  # above all that the kernel gives to devices


def device_of(path: Path) -> int:
    """Return the number of the device under a path: the kernel's, or one of the file system where it has several.

    Parameters
    ----------
    path : Path
        A file or directory; a link is followed.

    Raises
    ------
    OSError
        Where it cannot be looked at.

    Notes
    -----
    Each subvolume of btrfs has a device number (and an ``f_fsid``) of its own, though all lie on the same disks: there
    the file system's UUID says which are one. Datasets of one ZFS pool cannot be told so, nor partitions of one disk.
    """
    found = path.stat()
    if os.major(found.st_dev):  # a block device: subvolumes have none
        return found.st_dev
    folder = path if stat.S_ISDIR(found.st_mode) else path.parent
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return found.st_dev
    try:
        said = fcntl.ioctl(opened, _FS_INFO, bytes(_FS_INFO_B))
    except OSError:  # no btrfs
        return found.st_dev
    finally:
        os.close(opened)
    return _OWN_NUMBERS | int.from_bytes(said[_FSID]) >> 67
