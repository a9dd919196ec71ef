"""When messages reached us, in a file: a broker sends again what it does not know to be acknowledged."""

import os
from collections.abc import Mapping
from pathlib import Path

from nualley.core import sync_folder

_LONGEST_LINE = 200


class ReceiptFile:
    """The last receipts, one line each: time, a space, key.

    Parameters
    ----------
    path : Path
        The file; made where it is missing.
    n_kept : int
        How many are kept, > 0; more than a broker has under way at once.

    Notes
    -----
    Lines are appended and synced; a file of twice as many lines is written anew. A torn last line is passed over:
    what it would have told was not stored before it was whole.
    """

    def __init__(self, path: Path, n_kept: int) -> None:
        self._path = path
        self._n_kept = n_kept
        self._kept: dict[str, int] = {}
        self._n_lines = 0
        self._file = -1

    def find(self, key: str) -> int:
        """Return when a message of this key reached us first [ns since 1970 UTC]; see `nualley.pv.Receipts`."""
        self._open()
        return self._kept.get(key, 0)

    def note(self, received_ns_by_key: Mapping[str, int]) -> None:
        """Keep receipts durably; see `nualley.pv.Receipts`."""
        self._open()
        for key, received_ns in received_ns_by_key.items():
            self._keep(key, received_ns)
        self._n_lines += len(received_ns_by_key)
        if self._n_lines > 2 * self._n_kept:
            self._write_anew()
        else:
            self._append(_lines(received_ns_by_key))

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self) -> None:
        if self._file >= 0:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_bytes().splitlines() if self._path.is_file() else []
        for line in lines:
            time_ns, _, key = line.decode("ascii", errors="replace").partition(" ")
            if time_ns.isdecimal() and key and len(line) <= _LONGEST_LINE:
                self._keep(key, int(time_ns))
        self._write_anew()  # nothing follows a torn line

    def _keep(self, key: str, received_ns: int) -> None:
        self._kept.pop(key, None)  # the newest stand last
        self._kept[key] = received_ns
        while len(self._kept) > self._n_kept:
            del self._kept[next(iter(self._kept))]

    def _append(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._file, text) :]
        os.fdatasync(self._file)

    def _write_anew(self) -> None:
        part = self._path.with_name(f".{self._path.name}.part")
        written = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.close()
        self._file = written
        try:
            self._append(_lines(self._kept))
            part.replace(self._path)
            sync_folder(self._path.parent)
        except OSError:
            self.close()  # the next receipts begin the file again
            raise
        self._n_lines = len(self._kept)


def _lines(received_ns_by_key: Mapping[str, int]) -> bytes:
    return "".join(f"{received_ns} {key}\n" for key, received_ns in received_ns_by_key.items()).encode("ascii")
