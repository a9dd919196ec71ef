"""What rclone's words mean: it tells what went wrong by text alone."""

import re

from nualley.replicas.errors import RemoteError, RemoteFull, RemoteNotSetUp, RemoteRefused, RemoteUnreachable

_NOT_SET_UP = (
    r"didn't find section in config|couldn't find type|didn't find backend|config.*password|not encrypted|decrypt"
)
_FULL = r"no space left|quota|insufficient storage|\b507\b|StorageFull|not enough space|disk full|EntityTooLarge"
_REFUSED = (
    r"unable to authenticate|handshake failed|knownhosts|key mismatch|\b401\b|\b403\b|AccessDenied|Unauthorized|"
    r"InvalidAccessKeyId|SignatureDoesNotMatch|permission denied|Forbidden|read-only file system"
)
_AWAY = (
    r"connection refused|connection reset|no such host|network is unreachable|no route to host|i/o timeout|"
    r"\bEOF\b|broken pipe|connection lost|couldn't connect|dial tcp|deadline exceeded|timed? ?out|"
    r"502 Bad|503 Service|use of closed"
)
_MEANINGS: tuple[tuple[str, type[RemoteError], str, str], ...] = (
    # pattern, error, what, do
    (_NOT_SET_UP, RemoteNotSetUp, "is not set up", "look at its section of rclone's file: rclone config show NAME"),
    (_FULL, RemoteFull, "has no room", "free room there, then: nualley transfer resume"),
    (_REFUSED, RemoteRefused, "refuses", "look at the login in rclone's file and at the rights there"),
    (_AWAY, RemoteUnreachable, "is not reachable", "look whether it runs, then: nualley transfer resume"),
)
_NOT_THERE = re.compile(r"object not found|directory not found|file does not exist|no such file", re.IGNORECASE)


def error_of(text: str, remote: str) -> RemoteError | FileNotFoundError:
    """Return what an error of rclone means.

    Parameters
    ----------
    text : str
        As rclone says it.
    remote : str
        Name of the remote.

    Examples
    --------
    >>> str(type(error_of("write /x: no space left on device", "nas")).__name__)
    'RemoteFull'
    """
    if _NOT_THERE.search(text):
        return FileNotFoundError(text)
    where = f"storage.remotes.{remote}" if remote else "replicas.rclone"
    for pattern, kind, what, do in _MEANINGS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(f"remote {remote} {what}: {text}", where=where, do=do)
    return RemoteError(f"remote {remote}: {text}", where=where, do="look at the remote, then: nualley transfer resume")
