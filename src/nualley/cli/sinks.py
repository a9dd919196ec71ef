"""Where an answer goes: stdout, or a file that has its name only when it is whole."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO

from nualley.cli.output import print_note
from nualley.core import UsageError, escape_name


def check_out(out: Path | None) -> None:
    """Refuse a file that cannot be written for want of a folder: before anything is computed for it.

    Raises
    ------
    UsageError
        Where its folder is not there.
    """
    if out is not None and not out.parent.is_dir():
        raise UsageError(
            f"there is no folder {escape_name(str(out.parent))}", where="--out", do="make it first, or name another"
        )


@contextmanager
def open_sink(out: Path | None) -> Iterator[IO[bytes]]:
    """Open where bytes go; a file takes the place of an old one when it is whole.

    Parameters
    ----------
    out : Path or None
        The file; None is stdout.
    """
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _opened(out) as sink:
            yield sink
    except OSError as error:
        # said of the file that was asked for; also where print found no room in it, which is not stdout then
        what = error.strerror or str(error)
        raise OSError(error.errno, what, str(out)) if error.errno else error from error


@contextmanager
def _opened(out: Path) -> Iterator[IO[bytes]]:
    if out.is_dir():
        raise UsageError("a folder stands where the file is to be", where=str(out), do="name a file in it")
    if out.exists() and not out.is_file():  # a device or a pipe takes what comes; a file in its place would end it
        with out.open("wb") as sink:
            yield sink
        return
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def told_file(out: Path | None, n_rows: int) -> None:
    """Say how many rows are in the file that was asked for; None is stdout, where they are seen."""
    if out is not None:
        print_note(f"{n_rows} rows in {out}")


@contextmanager
def answer_to(out: Path | None) -> Iterator[None]:
    """Let what is printed go where it was asked for; None is stdout."""
    if out is None:
        yield
        return
    with open_sink(out) as sink:
        text = io.TextIOWrapper(sink, encoding="utf-8", write_through=True)
        with redirect_stdout(text):
            yield
        text.detach()
