"""Opening COH-Ar-750's HDF5 files: locks, filters, attributes, and what libhdf5 says of damage."""

import errno
import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nualley.core import UsageError, to_json
from nualley.daq.errors import UnreadableFileError
from nualley.daq.models import DefectKind

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# what libhdf5 raises through h5py where a file is damaged
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)
_MACHINE = frozenset(
    (errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENXIO, errno.ETIMEDOUT, errno.ENOENT, errno.EMFILE)
)
_MAX_ATTRIBUTE = 64
_SUPERBLOCK_B = 48  # the shortest: version 2 and 3 with addresses of 8 bytes


def open_hdf5(path: Path) -> Any:
    """Open without taking or minding locks; a file that is written under SWMR opens in no other way."""
    name = os.fsencode(path)
    try:
        return h5py.File(name, "r", locking=False)
    except OSError as error:
        if "SWMR" not in str(error) and "already open for write" not in str(error):
            raise
        return h5py.File(name, "r", locking=False, swmr=True)


def is_disk_failure(error: BaseException) -> bool:
    """Whether the machine failed and not the content; libhdf5 tells only in its text which system call failed."""
    said = re.search(r"errno = (\d+)", str(error))
    number = int(said[1]) if said else getattr(error, "errno", None)
    return number in _MACHINE


def cannot_open(error: OSError, size_B: int) -> tuple[DefectKind, str]:
    """Return the defect of a file that is signed as HDF5 but does not open."""
    announced = re.search(r"stored_eof = (\d+)", str(error))
    if announced:
        return DefectKind.TRUNCATED_EVENT, f"the file has {size_B} B, HDF5's superblock announces {announced[1]} B"
    if size_B < _SUPERBLOCK_B:
        return DefectKind.TRUNCATED_EVENT, f"the file ends after {size_B} B of HDF5's superblock, 48 B or more"
    return DefectKind.BAD_HEADER, f"HDF5 cannot open the file of {size_B} B: {error}"


def no_signature(head: bytes, size_B: int) -> tuple[DefectKind, str]:
    """Return the defect of a file that does not begin as HDF5."""
    if not size_B:
        return DefectKind.EMPTY, "0 B, expected an HDF5 file"
    if size_B < len(SIGNATURE) and SIGNATURE.startswith(head):
        return DefectKind.TRUNCATED_EVENT, f"the file ends after {size_B} B of HDF5's signature of {len(SIGNATURE)} B"
    return DefectKind.UNKNOWN_FORMAT, f"begins with {head.hex(' ')}, expected HDF5's {SIGNATURE.hex(' ')}"


def require_filters(data: Mapping[str, Any], path: Path) -> None:
    """See to it that the filters with which data were compressed are there."""
    missing = _missing_filters(data)
    if missing:
        try:
            # heavy and wanted by compressed files only: its import registers Blosc, Zstd and others with libhdf5
            importlib.import_module("hdf5plugin")
        except ImportError as error:
            raise _no_filter(missing, path) from error
        if still := _missing_filters(data):
            raise _no_filter(still, path)


def _missing_filters(data: Mapping[str, Any]) -> dict[int, str]:
    found = {}
    for dataset in data.values():
        plist = dataset.id.get_create_plist()
        for index in range(plist.get_nfilters()):
            number, _, _, name = plist.get_filter(index)
            if not h5py.h5z.filter_avail(number):
                found[int(number)] = bytes(name).decode(errors="replace")
    return found


def _no_filter(missing: Mapping[int, str], path: Path) -> UnreadableFileError:
    named = ", ".join(f"{number} ({name})" if name else str(number) for number, name in missing.items())
    return UnreadableFileError(
        f"its data are compressed with HDF5 filter {named}, which is not installed here",
        where=str(path),
        do="pip install hdf5plugin",
    )


def attributes(file: Any, n_most: int = 1000) -> dict[str, Any]:
    """Return the attributes of a file.

    Parameters
    ----------
    file : h5py.File
        The file.
    n_most : int
        At how many objects to look: a foreign file may hold millions.

    Returns
    -------
    dict of str to dict
        By object: ``/``, its groups, their datasets; only those that have any. JSON-able.
    """
    things = {"/": file}
    for name in list(file)[:n_most]:
        things[name] = file[name]
        if isinstance(file[name], h5py.Group):
            things |= {f"{name}/{key}": file[name][key] for key in list(file[name])[: n_most - len(things)]}
    found = {name: {key: _attribute(thing, key) for key in thing.attrs} for name, thing in things.items()}
    return {name: values for name, values in found.items() if values}


def _attribute(thing: Any, key: str) -> Any:
    try:
        value = thing.attrs[key]
    except DAMAGE as error:
        return f"cannot be read: {error}"
    if isinstance(value, np.ndarray) and value.size > _MAX_ATTRIBUTE:
        return f"{value.dtype} of shape {value.shape}"
    try:
        return to_json(value, key)
    except UsageError:  # empty, a reference, or another thing of HDF5's own
        return str(value)
