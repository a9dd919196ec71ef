"""Every checksum of a file in one reading, for whoever has to compare it with what another system says."""

import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nualley.core import Digester, NualleyError, UsageError, escape_name, reason

_CHUNK_B = 1 << 20
_HASHES = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True, slots=True)
class Checksums:
    """The checksums of a file.

    Parameters
    ----------
    path : str
        The file, escaped.
    size_B : int
        Size [B].
    sums : dict of str to str
        Name -> lower-case hex digits: ``xxh3_128`` and ``adler32`` as the catalog has them, ``crc32`` (zlib's), and MD5
        (RFC 1321), SHA-1, SHA-256 and SHA-512 (FIPS 180-4).
    """

    path: str
    size_B: int
    sums: dict[str, str]

    def to_json(self) -> dict[str, str | int]:
        """Return them as a JSON object."""
        return {"path": self.path, "size_B": self.size_B, **self.sums}


def checksums_of(path: Path, progress: Callable[[str, int, int], None]) -> Checksums:
    """Read a file once, and return all its checksums.

    Parameters
    ----------
    path : Path
        A regular file.
    progress : callable
        Told its name, bytes done and bytes in all [B].

    Raises
    ------
    NualleyError
        Where it cannot be read, or changes meanwhile.
    """
    shown, digester, crc32 = escape_name(os.fspath(path)), Digester(), 0
    hashes = [hashlib.new(name, usedforsecurity=False) for name in _HASHES]
    try:
        with path.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            done_B = 0
            while chunk := file.read(_CHUNK_B):
                digester.update(chunk)
                crc32 = zlib.crc32(chunk, crc32)
                for each in hashes:
                    each.update(chunk)
                done_B += len(chunk)
                progress(shown, done_B, before.st_size)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise NualleyError(
            f"the file cannot be read: {reason(error)}", where=shown, do="look at its rights and its drive"
        ) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or done_B != after.st_size:
        raise NualleyError("the file changed while it was read", where=shown, do="try again once nobody writes to it")
    digests = digester.digests()
    sums = {"xxh3_128": digests.xxh3_128, "adler32": digests.adler32, "crc32": f"{crc32:08x}"}
    return Checksums(shown, done_B, sums | {each.name: each.hexdigest() for each in hashes})


def files_below(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Return files, and of directories all regular files below them, by name; links are followed only where named.

    Raises
    ------
    UsageError
        Where there is nothing at a path, or no file.
    """
    for path in paths:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise UsageError(
                f"there is no such file: {reason(error)}", where=str(path), do="correct the path"
            ) from error
        if stat.S_ISDIR(mode):
            yield from _walk(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise UsageError("it is no regular file", where=str(path), do="name a file or a directory")


def _walk(folder: Path) -> Iterator[Path]:
    for directory, subdirectories, names in os.walk(folder, onerror=_refuse):
        subdirectories.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _refuse(error: OSError) -> None:
    where = escape_name(str(error.filename))
    raise NualleyError(
        f"the directory cannot be read: {reason(error)}", where=where, do="look at its rights"
    ) from error
