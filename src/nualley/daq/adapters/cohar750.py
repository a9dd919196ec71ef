"""HDF5 files of COH-Ar-750's DAQ (CLIQ, CAEN VX2740).

One group per board, ``/board{id}``, with ``timestamps`` [ns since the start of the run], ``waveforms`` (events x
channels x samples), ``triggerids``, ``flags``, ``boardfail``; all but the first two may be missing. Row i of every
board is event i. The DAQ may create its datasets longer than what it then fills, and keep ``saved_events`` (rows of all
boards) as an attribute. Source: README and writer of the public program CLIQ (github.com/bojohnson5/cliq).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nualley.daq.adapters.cohar750_board import (
    BOARD,
    FLAGS,
    IDS,
    TIMES,
    WAVEFORMS,
    Board,
    board_order,
    is_board,
    n_filled,
    n_stored,
    plan,
    read_chunk,
    undecodable,
    wrong_layout,
)
from nualley.daq.adapters.cohar750_file import (
    DAMAGE,
    SIGNATURE,
    attributes,
    cannot_open,
    is_disk_failure,
    no_signature,
    open_hdf5,
    require_filters,
)
from nualley.daq.defect_log import DefectLog
from nualley.daq.errors import BadOffsetError, UnreadableFileError
from nualley.daq.models import Chunk, Defect, DefectKind, Settings
from nualley.daq.ports import Reader
from nualley.daq.raw_file import RawFile
from nualley.daq.settings import DaqSettings

NAME = "cohar750-hdf5"


class Cohar750Format:
    """COH-Ar-750's HDF5 files: recognised by their layout."""

    def probe(self, path: Path, head: bytes) -> float:
        """Say how surely a file is of this format.

        Parameters
        ----------
        path : Path
            The file.
        head : bytes
            Its first bytes.

        Returns
        -------
        float
            1 where a board with timestamps and waveforms is there, 0.1 where HDF5 cannot open what is signed as
            HDF5 (cut, or being written), 0 else.
        """
        if not head.startswith(SIGNATURE):
            return 0.0
        try:
            with open_hdf5(path) as file:
                return 1.0 if any(is_board(file, name) for name in file) else 0.0
        except DAMAGE:
            return 0.1

    def open(self, path: Path, settings: DaqSettings, *, is_growing: bool = False) -> Reader:
        """Open a file.

        Parameters
        ----------
        path : Path
            The file.
        settings : DaqSettings
            Not needed: the file says all.
        is_growing : bool
            Whether the DAQ still writes, with SWMR or without.

        Returns
        -------
        Reader
            Of the file as it is at each iteration.

        Raises
        ------
        UnreadableFileError
            Where the operating system refuses to read it, or a compression filter is missing.
        """
        del settings
        return Cohar750Reader(path, is_growing=is_growing)


class Cohar750Reader:
    """One file; opened anew for each iteration, so that a growing file shows what it has got.

    Parameters
    ----------
    path : Path
        The file.
    is_growing : bool
        Whether the DAQ still writes: what not all boards and datasets have is then not yet there.

    Notes
    -----
    Offsets are indices of events. ``samples=False`` still decompresses waveforms that a filter guards, because only
    that shows whether they are intact.
    """

    def __init__(self, path: Path, *, is_growing: bool) -> None:
        self._path = path
        self._is_growing = is_growing
        self._log = DefectLog()
        self._resume_offset = 0
        self._header: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        with self._boards():
            pass

    @property
    def format(self) -> str:
        """``cohar750-hdf5``."""
        return NAME

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def header(self) -> Mapping[str, Any]:
        """Per board channels, record length and events; ``saved_events`` where the DAQ wrote it."""
        return self._header

    @property
    def settings(self) -> Settings:
        """All attributes of the file, per group and dataset."""
        return self._settings

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of all boards."""
        return tuple(range(max((board["channels"] for board in self._header_boards()), default=0)))

    @property
    def record_length(self) -> int | None:
        """Samples per waveform; None where boards differ."""
        lengths = {board["record_length"] for board in self._header_boards()}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def n_events(self) -> int:
        """Events in the file now, by the size of its datasets."""
        with self._boards() as boards:
            return self._n_events(boards)

    @property
    def defects(self) -> tuple[Defect, ...]:
        """Defects found so far."""
        return self._log.defects()

    @property
    def resume_offset(self) -> int:
        """Index of the event to go on with."""
        return self._resume_offset

    def iter_chunks(self, max_bytes: int, start_offset: int = 0, *, samples: bool = True) -> Iterator[Chunk]:
        """Read the file from event ``start_offset`` on; see `nualley.daq.Reader`.

        Parameters
        ----------
        max_bytes : int
            Bound of a chunk's samples, and of its hits [B].
        start_offset : int
            0 or a resume offset: index of an event.
        samples : bool
            Whether samples are wanted.

        Yields
        ------
        Chunk
            Whole events of all boards, ordered by event, board, channel.
        """
        with self._boards() as boards:
            n_all = self._n_events(boards)
            if not 0 <= start_offset <= n_all:
                raise BadOffsetError(
                    f"reading was to begin at event {start_offset}, the file has {n_all} events",
                    where=str(self._path),
                    do="read it from 0: it is not the file that it was",
                )
            self._resume_offset = row = start_offset
            while row < n_all:
                having = [board for board in boards if board.n_events > row]
                stop = plan(having, row, max_bytes)
                for chunk in self._read(having, row, stop, with_samples=samples):
                    self._resume_offset = chunk.stop_offset
                    yield chunk
                self._resume_offset = row = stop

    def _read(self, boards: Sequence[Board], start: int, stop: int, *, with_samples: bool) -> Iterator[Chunk]:
        """Yield the events that can be decoded: halves around those that cannot."""
        try:
            chunk = read_chunk(boards, start, stop, with_samples=with_samples)
        except DAMAGE as error:
            self._raise_disk_failure(error)
            if stop - start > 1:
                middle = (start + stop) // 2
                yield from self._read(boards, start, middle, with_samples=with_samples)
                yield from self._read(boards, middle, stop, with_samples=with_samples)
            else:
                self._log.add(undecodable(boards, start, error))
            return
        yield chunk

    def _n_events(self, boards: Sequence[Board]) -> int:
        counts = [board.n_events for board in boards]
        return (min if self._is_growing else max)(counts, default=0)

    def _header_boards(self) -> list[dict[str, Any]]:
        return list(self._header.get("boards", {}).values())

    @contextmanager
    def _boards(self) -> Iterator[list[Board]]:
        """Open the file and yield its usable boards, none where its content is not what it should be."""
        with RawFile(self._path) as raw:
            size_B, head = raw.size_B, raw.read(0, len(SIGNATURE))
        try:
            file = None if head != SIGNATURE else open_hdf5(self._path)
        except UnreadableFileError:
            raise
        except OSError as error:
            self._raise_disk_failure(error)
            self._add(*cannot_open(error, size_B))
            file = None
        if head != SIGNATURE:
            self._add(*no_signature(head, size_B))
        if file is None:
            yield []
            return
        with file:
            yield self._layout(file)

    def _layout(self, file: Any) -> list[Board]:
        """Return the usable boards of an open file; what is wrong with the others is logged."""
        boards: list[Board] = []
        try:
            names = sorted(file, key=board_order)
            for name in names:
                board = self._board(name, file) if BOARD.fullmatch(name) else None
                boards += [board] if board else []
            self._describe(file, boards)
        except UnreadableFileError:
            raise
        except DAMAGE as error:
            self._raise_disk_failure(error)
            self._add(DefectKind.BAD_HEADER, f"HDF5 cannot list what the file holds: {error}")
            return boards
        if not any(BOARD.fullmatch(name) for name in names):
            found = ", ".join(names[:8]) or "nothing"
            self._add(DefectKind.UNKNOWN_FORMAT, f"the file holds {found}; expected /board0 with {TIMES}, {WAVEFORMS}")
        self._compare(boards)
        return boards

    def _board(self, name: str, file: Any) -> Board | None:
        """Return a board, or None where it cannot be one."""
        try:
            group = file[name]
            data = {key: group[key] for key in (TIMES, WAVEFORMS, IDS, *FLAGS) if key in group}
            wrong = wrong_layout(data)
            if wrong:
                self._add(DefectKind.BAD_HEADER, f"{name}: {wrong}")
                return None
            require_filters(data, self._path)
            return Board(int(name[5:]), data, self._n_rows(name, data))
        except UnreadableFileError:
            raise
        except DAMAGE as error:
            self._raise_disk_failure(error)
            self._add(DefectKind.BAD_HEADER, f"{name}: HDF5 cannot read it: {error}")
            return None

    def _n_rows(self, name: str, data: Mapping[str, Any]) -> int:
        """Return how many events of a board are whole; what is longer than the shortest dataset is a defect."""
        lengths = {key: int(dataset.shape[0]) for key, dataset in data.items()}
        shortest, longest = min(lengths.values()), max(lengths.values())
        if shortest != longest:
            said = ", ".join(f"{key} {length}" for key, length in lengths.items())
            self._add(
                DefectKind.TRUNCATED_EVENT,
                f"{name}: datasets end at different events ({said}); the last {longest - shortest} are not whole",
            )
        stored = min(shortest, n_stored(data[WAVEFORMS]))
        is_fixed = data[TIMES].maxshape[0] == data[TIMES].shape[0] and data[TIMES].chunks is not None
        if is_fixed or self._is_growing:
            # created longer than filled, or grown before it is filled: the rest is not yet an event
            return n_filled(data, stored)
        if stored < shortest:
            detail = f"{name}: {WAVEFORMS} has {shortest} events, samples of {stored} are in the file"
            self._add(DefectKind.TRUNCATED_EVENT, detail)
        return stored

    def _compare(self, boards: Sequence[Board]) -> None:
        """Compare boards with each other and with what the DAQ says that it saved."""
        counts = {f"board{board.number}": board.n_events for board in boards}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in counts.items())
            missing = max(counts.values()) - min(counts.values())
            self._add(
                DefectKind.TRUNCATED_EVENT,
                f"boards end at different events ({said}); {missing} lack at least one board",
            )
        saved = self._header.get("saved_events")
        if isinstance(saved, int) and boards and saved > sum(counts.values()):
            detail = f"saved_events says {saved}, the boards hold {sum(counts.values())} events together"
            self._add(DefectKind.TRUNCATED_EVENT, detail)

    def _describe(self, file: Any, boards: Sequence[Board]) -> None:
        self._settings = attributes(file)
        self._header = {
            "boards": {
                str(board.number): {
                    "channels": board.n_channels,
                    "record_length": board.record_length,
                    "events": board.n_events,
                }
                for board in boards
            },
            **{key: value for key, value in self._settings.get("/", {}).items() if key == "saved_events"},
        }

    def _add(self, kind: DefectKind, detail: str) -> None:
        """Log a defect of the file as a whole; while it grows there is none."""
        if not self._is_growing or kind is DefectKind.UNKNOWN_FORMAT:
            self._log.add(Defect(kind, 0, detail))

    def _raise_disk_failure(self, error: BaseException) -> None:
        """Raise where it was not the content but the machine."""
        if is_disk_failure(error):
            raise UnreadableFileError(
                f"the file cannot be read: {error}", where=str(self._path), do="check the disk and who may read it"
            ) from error
