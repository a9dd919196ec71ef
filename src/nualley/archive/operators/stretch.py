"""What operators work on: samples in pieces, the stretch that was asked for, and bins of whole seconds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nualley.archive.errors import OperatorError
from nualley.core import SECOND_NS

COLUMNS = ("time_ns", "value", "severity", "status")
"""What an operator gives for each sample."""

MOST_HELD = 5_000_000
"""Operators that look at all samples of a bin at once hold so many at most."""

LINKS = ("is_after_gap", "lost_s", "regained_s")
"""What is known beside that of the connection before a sample."""

_Link: TypeAlias = tuple[str, int, int | None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time that was asked for.

    Parameters
    ----------
    start_ns, stop_ns : int
        Half-open stretch [ns since 1970 UTC].
    """

    start_ns: int
    stop_ns: int

    def bins(self, width_s: int) -> tuple[int, int]:
        """Return the numbers of the first and the last bin of so many seconds."""
        return self.start_ns // SECOND_NS // width_s, (self.stop_ns - 1) // SECOND_NS // width_s

    def bin_numbers(self, samples: pa.Table, width_s: int) -> NDArray[np.int64]:
        """Return the bin of each sample; the one from before the start is in the bin before the first.

        Parameters
        ----------
        samples : pyarrow.Table
            With a column time_ns, rising.
        width_s : int
            Width of the bins [s].
        """
        time_ns = samples["time_ns"].to_numpy()
        first, _ = self.bins(width_s)
        number: NDArray[np.int64] = np.where(time_ns < self.start_ns, first - 1, time_ns // SECOND_NS // width_s)
        return number


def samples_of(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Take the samples out of an archive's rows, each with what happened to the connection before it.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        Rows as `nualley.archive.reader.ArchiveReader.pieces` yields them.

    Yields
    ------
    pyarrow.Table
        `COLUMNS`, and those of `LINKS`: whether the connection was lost or regained since the sample before, and when
        [s since 1970 UTC]; 0 where it was not, or nobody knows.
    """
    waiting: list[_Link] = []
    for piece in pieces:
        at = np.flatnonzero(pc.equal(piece["kind"].cast(pa.string()), "sample").to_numpy())
        happened: dict[int, list[_Link]] = {0: waiting} if waiting else {}
        for behind, link in _links_before(piece, at, waiting[-1] if waiting else None):
            happened.setdefault(behind, []).append(link)
        waiting = happened.pop(at.size, [])
        seconds = np.zeros((3, at.size), dtype=np.int64)
        for number, rows in happened.items():
            seconds[:, number] = _times_s(rows)
        taken = piece.select(COLUMNS) if at.size == len(piece) else piece.select(COLUMNS).take(pa.array(at))
        columns = [pa.array(seconds[0] != 0), pa.array(seconds[1]), pa.array(seconds[2])]
        yield pa.table([*taken.columns, *columns], names=[*COLUMNS, *LINKS])


def _links_before(piece: pa.Table, at: NDArray[np.intp], since: _Link | None) -> Iterator[tuple[int, _Link]]:
    """Yield connection rows, each with the number of the first sample that came behind it.

    By its stamp, the sample may be before the row: a restarted IOC stamps its value before it is found again, and a
    loss is noticed later than it began.
    """
    links = np.setdiff1d(np.arange(len(piece)), at, assume_unique=True)
    if not links.size:
        return
    times_ns, received_ns = (piece[name].to_numpy()[at] for name in ("time_ns", "received_ns"))
    told = piece.select(("kind", "time_ns", "last_heard_ns")).take(pa.array(links)).to_pylist()
    lost = None if since is None or since[0] == "reconnect" else (0, since[1])
    for row, behind in zip(told, np.searchsorted(at, links).tolist(), strict=True):
        link = row["kind"], row["time_ns"], row["last_heard_ns"]
        if link[0] != "reconnect":
            begin_ns = link[2] or link[1]
            while behind and times_ns[behind - 1] > begin_ns and received_ns[behind - 1] >= link[1]:
                behind -= 1  # noqa: PLW2901  # walks back to it
            lost = behind, link[1]
        elif lost is not None:
            first, noticed_ns = lost
            behind = first if first < behind and received_ns[first] >= noticed_ns else behind  # noqa: PLW2901  # as above
            lost = None
        yield behind, link


def _times_s(links: Sequence[_Link]) -> tuple[int, int, int]:
    """Return 1, and when the connection was lost and regained [s]."""
    lost = [heard_ns or time_ns for kind, time_ns, heard_ns in links if kind != "reconnect"]
    regained = [time_ns for kind, time_ns, _ in links if kind == "reconnect"]
    return 1, min(lost, default=0) // SECOND_NS, max(regained, default=0) // SECOND_NS


def after_gap(samples: pa.Table) -> NDArray[np.bool_]:
    """Return which samples came after the connection was lost or regained."""
    found: NDArray[np.bool_] = samples[LINKS[0]].to_numpy()
    return found


def numbers(samples: pa.Table) -> NDArray[np.float64]:
    """Return the values of samples as float64; NaN where there is none.

    Raises
    ------
    OperatorError
        Where they are no numbers.
    """
    kind = samples["value"].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise OperatorError(
            f"the values are {kind}, and this operator calculates with numbers",
            where="operator",
            do="read the samples themselves, or take firstSample, lastSample, firstFill, lastFill, nth or ncount",
        )
    found: NDArray[np.float64] = samples["value"].cast(pa.float64(), safe=False).to_numpy()
    return found


def severities(samples: pa.Table) -> NDArray[np.int8]:
    """Return the alarm severities; 3 where a row has none."""
    found: NDArray[np.int8] = pc.fill_null(samples["severity"], 3).to_numpy()
    return found


def whole_bins(samples: Iterable[pa.Table], width_s: int, stretch: Stretch) -> Iterator[pa.Table]:
    """Cut samples so that no bin is in two pieces.

    Parameters
    ----------
    samples : iterable of pyarrow.Table
        By time.
    width_s : int
        Width of the bins [s].
    stretch : Stretch
        What was asked for.

    Raises
    ------
    OperatorError
        Where a bin has more than `MOST_HELD` samples.
    """
    held: pa.Table | None = None
    for piece in samples:
        table = piece if held is None else pa.concat_tables([held, piece])
        if not len(table):
            continue
        number = stretch.bin_numbers(table, width_s)
        n_whole = int(np.searchsorted(number, number[-1]))
        if n_whole:
            yield table.slice(0, n_whole)
        held = table.slice(n_whole)
        if len(held) > MOST_HELD:
            raise OperatorError(
                f"a bin of {width_s} s has more than {MOST_HELD} samples",
                where="operator",
                do="take shorter bins; mean, min, max, count, std, variance, kurtosis and skewness have no such limit",
            )
    if held is not None and len(held):
        yield held
