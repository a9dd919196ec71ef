"""Who may write: tokens in a file that its owner alone can read."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from nualley.core import reason
from nualley.web.errors import TokensError

SHORTEST = 32
"""A token has at least so many characters."""

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DO = "write one line for each program: a NAME, a space, and what `openssl rand -hex 32` prints"
_SCHEME = "bearer "


class Tokens:
    """The tokens of a file; a change of it counts from the next question on.

    Parameters
    ----------
    path : Path or None
        The file: a line for each token, ``NAME TOKEN``; lines that begin with # are remarks. None: there are none.

    Notes
    -----
    A token is compared by its digest in constant time, so that the time of an answer tells nothing of it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._owner_by_digest: Mapping[bytes, str] = {}

    @property
    def are_kept(self) -> bool:
        """Whether there is a file for them at all."""
        return self._path is not None

    def owner(self, authorization: str) -> str | None:
        """Return whose token stands in an ``Authorization`` header.

        Parameters
        ----------
        authorization : str
            ``Bearer TOKEN``; empty where there was none.

        Returns
        -------
        str or None
            The name; None where nobody's is.

        Raises
        ------
        TokensError
            Where the file cannot be read, or others than its owner can.
        """
        if self._path is None or not authorization.lower().startswith(_SCHEME):
            return None
        self._look(self._path)
        asked = _digest(authorization[len(_SCHEME) :].strip())
        found = None
        for digest, owner in self._owner_by_digest.items():
            if hmac.compare_digest(digest, asked):
                found = owner
        return found

    def _look(self, path: Path) -> None:
        try:
            status = path.stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if status.st_mode & 0o077:
                raise TokensError(
                    f"others than its owner can read the tokens (mode {status.st_mode & 0o777:o})",
                    where=str(path),
                    do=f"chmod 600 {path}, and make new tokens",
                )
            if stamp != self._stamp:
                self._owner_by_digest, self._stamp = _read(path), stamp
        except OSError as error:
            raise TokensError(f"the tokens cannot be read: {reason(error)}", where=str(path), do=_DO) from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}:{number}"
        if len(words) != 2 or not _OWNER.fullmatch(words[0]):
            raise TokensError("a line that is no NAME and TOKEN", where=where, do=_DO)
        name, token = words
        if len(token) < SHORTEST:
            raise TokensError(f"the token of {name} has {len(token)} characters", where=where, do=_DO)
        found[_digest(token)] = name
    return found
