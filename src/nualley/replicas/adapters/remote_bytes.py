"""Bytes of remotes that reckon nothing themselves: all of them are fetched."""

from collections.abc import Callable
from contextlib import closing

from nualley.core import Digester, Digests
from nualley.replicas.ports import RemoteReader

_CHUNK_B = 1 << 20


def fetch_digests(opened: RemoteReader, progress: Callable[[int], object], chunk_B: int = _CHUNK_B) -> Digests:
    """Return the digests of what a remote gives back of a file, and close it.

    Parameters
    ----------
    opened : RemoteReader
        The file, of which nothing was read.
    progress : callable
        Told bytes done [B].
    chunk_B : int
        So much is asked for at a time [B].
    """
    digester, buffer, done_B = Digester(), memoryview(bytearray(chunk_B)), 0
    with closing(opened) as reader:
        while n_read := reader.read_into(buffer):
            digester.update(buffer[:n_read])
            done_B += n_read
            progress(done_B)
    return digester.digests()
