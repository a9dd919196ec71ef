"""Digests of files: xxh3_128 and adler32 in one pass."""

from dataclasses import dataclass
from pathlib import Path

import xxhash
from zlib_ng import zlib_ng

_CHUNK_B = 1 << 20


@dataclass(frozen=True, slots=True)
class Digests:
    """What identifies a file's bytes.

    Parameters
    ----------
    size_B : int
        Size [B].
    xxh3_128 : str
        32 lower-case hex digits (xxHash specification 0.1.1).
    adler32 : str
        8 lower-case hex digits, zero-padded (RFC 1950): what Rucio, XRootD and dCache compare.
    """

    size_B: int
    xxh3_128: str
    adler32: str


class Digester:
    """Digests of a stream of bytes, chunk by chunk."""

    def __init__(self) -> None:
        self._xxh3_128 = xxhash.xxh3_128()
        self._adler32 = 1
        self._size_B = 0

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes."""
        self._xxh3_128.update(chunk)
        self._adler32 = zlib_ng.adler32(chunk, self._adler32)
        self._size_B += len(chunk)

    def digests(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(self._size_B, self._xxh3_128.hexdigest(), f"{self._adler32:08x}")


def digest_file(path: Path) -> Digests:
    """Read a file once and return its digests.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Digests
        Of the bytes that were read.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    digester = Digester()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_B):
            digester.update(chunk)
    return digester.digests()
