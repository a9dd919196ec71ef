"""Files that are being taken in, by locks that hold over all processes of a store and die with who has them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from nualley.core import try_lock
from nualley.storage import DestinationBusy


class FileClaims:
    """`ingest.ports.Claims` by ``flock`` of a file for each claim, which goes with it.

    Parameters
    ----------
    folder : Path
        Where the locks are: ``run`` of the store; made where missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def claim(self, what: str) -> Iterator[None]:
        """Take a file alone for the length of a ``with`` block.

        Raises
        ------
        DestinationBusy
            Where another process takes it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"take-{xxhash.xxh3_64_hexdigest(what.encode())}.lock"
        descriptor = _lock(path)
        if descriptor is None:
            raise DestinationBusy(f"another process takes {what} in right now", where=what, do="wait until it is done")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is locked: whoever waits for it sees that it is gone
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    while (descriptor := try_lock(path)) is not None:
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # who had it took its name away before the lock
    return None
