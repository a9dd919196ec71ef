"""What exposure needs of the world: archived PVs and recorded runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nualley.exposure.kept_trace import KeptTrace
from nualley.exposure.models import Series
from nualley.exposure.rows import Rows
from nualley.physics import LinkChange, PvRows, TraceSums


@dataclass(frozen=True, slots=True, eq=False)
class TraceRows:
    """Arrays that a PV posted.

    Parameters
    ----------
    time_ns : ndarray of int64, shape (n,)
        When [ns since 1970 UTC], not falling.
    severity : ndarray of int8, shape (n,)
        EPICS alarm severity, 0 to 3.
    offsets : ndarray of int64, shape (n + 1,)
        Array ``i`` is ``samples[offsets[i]:offsets[i + 1]]``.
    samples : ndarray of float64 or float32
        All of them, one after the other.
    """

    time_ns: NDArray[np.int64]
    severity: NDArray[np.int8]
    offsets: NDArray[np.int64]
    samples: NDArray[np.float64] | NDArray[np.float32]


class ScalarHistory(Protocol):
    """Archived numbers. A PV that is not known has no rows and was never alive."""

    def read(self, pv: str, start_ns: int, stop_ns: int) -> PvRows:
        """Return samples and connection changes of a scalar PV.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            The interval [ns since 1970 UTC].

        Returns
        -------
        PvRows
            The last sample at or before the start comes first. Of the connection changes, the last one before the
            interval and the first one after it are there too: a hang that is noticed later has its ``last_heard_ns``
            inside.
        """
        ...

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        ...


class PvHistory(ScalarHistory, Protocol):
    """The archive, as far as exposure sees it."""

    def read_traces(self, pv: str, start_ns: int, stop_ns: int) -> TraceRows:
        """Return the arrays that a PV posted in ``[start_ns, stop_ns)``."""
        ...

    def read_trace_minutes(self, pv: str, start_ns: int, stop_ns: int) -> Sequence[TraceSums]:
        """Return the averages over minutes that are kept for good of the arrays of a PV.

        Parameters
        ----------
        pv : str
            Its name.
        start_ns, stop_ns : int
            The interval [ns since 1970 UTC]; at minutes.

        Returns
        -------
        sequence of TraceSums
            By minute. None where no averages are kept, or not yet: of arrays that are not sealed.
        """
        ...

    def count_traces(self, pv: str, start_ns: int, stop_ns: int) -> int:
        """Return about how many arrays and kept averages there are in an interval; 0 where there are none."""
        ...

    def labels(self, pv: str) -> tuple[str, ...]:
        """Return the labels of an enum PV, empty where it is none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PvFooting:
    """What the archive says of a PV without looking at its samples: enough to tell whether a stretch is what it was.

    Parameters
    ----------
    names : tuple of str
        The names under which its history stands.
    start_ns : ndarray of int64, shape (n,)
        Hours with samples [ns since 1970 UTC], in any order; one may occur several times, each time for other samples.
    n, n_good : ndarray of int64, shape (n,)
        Samples that were ever stored, and those that are good; also those that were kept for a while only.
    first_ns, last_ns : ndarray of int64, shape (n,)
        Times of the first and the last sample [ns since 1970 UTC].
    lowest, highest : ndarray of float64, shape (n,)
        Smallest and largest good value; NaN where none is good.
    severity : ndarray of int8, shape (n,)
        Worst alarm severity, 0 to 3.
    links : tuple of LinkChange
        Connection changes by time: inside, the last one before and the first one behind.
    alive_until_ns : int
        Up to when the last value is known to have held [ns since 1970 UTC].
    recent_ns : int
        Time of the first sample that is not sealed yet, which no hour tells of [ns since 1970 UTC]; without one, the
        end of all times.
    """

    names: tuple[str, ...]
    start_ns: NDArray[np.int64]
    n: NDArray[np.int64]
    n_good: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    severity: NDArray[np.int8]
    links: tuple[LinkChange, ...]
    alive_until_ns: int
    recent_ns: int


class Footings(Protocol):
    """The archive, as far as rows rest on it."""

    def footing(self, pv: str, start_ns: int, stop_ns: int) -> PvFooting | None:
        """Return what the archive says of a PV.

        Parameters
        ----------
        pv : str
            Its name. One that is not archived has no hours and was never alive.
        start_ns, stop_ns : int
            The stretch [ns since 1970 UTC]; the last hour with samples before it is there too.

        Returns
        -------
        PvFooting or None
            None where it cannot be told: its values are texts, or a file is damaged.
        """
        ...


class RowFiles(Protocol):
    """Where rows are kept. What is damaged counts as not there, and is told."""

    @property
    def damages(self) -> Sequence[str]:
        """What was found damaged so far: a file, and what is wrong with it."""
        ...

    def hours(self, series: Series, start_ns: int, stop_ns: int) -> Rows | None:
        """Return the rows of an hour that begin in ``[start_ns, stop_ns)``; None where there are none."""
        ...

    def minutes(self, series: Series, day_ns: int) -> Rows | None:
        """Return the rows of a minute of a UTC day; None where there are none."""
        ...

    def days(self, series: Series) -> set[int]:
        """Return the UTC days of which there are rows of a minute, by their begin [ns since 1970 UTC]."""
        ...

    def put_minutes(self, series: Series, day_ns: int, rows: Rows) -> None:
        """Write the rows of a minute of a UTC day durably; those that were there go."""
        ...

    def put_hours(self, series: Series, rows: Mapping[int, Rows]) -> None:
        """Write the rows of an hour of some UTC days durably; those of other days stay.

        Parameters
        ----------
        series : Series
            Which.
        rows : mapping of int to Rows
            Begin of the day [ns since 1970 UTC] -> its rows.
        """
        ...

    def size_B(self, series: Series) -> int:  # the unit
        """Return the bytes of a series' files [B]."""
        ...


class RecordedRun(Protocol):
    """A run, as far as exposure sees it."""

    @property
    def run_id(self) -> str:
        """``<detector>-<number>``."""
        ...

    @property
    def detector(self) -> str:
        """Id of the detector."""
        ...

    @property
    def start_ns(self) -> int | None:
        """When it began [ns since 1970 UTC]; None where not known."""
        ...

    @property
    def stop_ns(self) -> int | None:
        """When it stopped [ns since 1970 UTC]; None where not known or not yet."""
        ...

    @property
    def time_source(self) -> str:
        """How the times are known: ``pv``, ``given`` or ``unknown``."""
        ...


class Runs(Protocol):
    """The catalog, as far as exposure sees it."""

    def run(self, run_id: str) -> RecordedRun:
        """Return a run, which must be recorded."""
        ...

    def runs(
        self, *, detector: str | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Sequence[RecordedRun]:
        """Return the runs that overlap ``[start_ns, stop_ns)``, by start.

        One without a start is left out where a bound is asked for; one without a stop reaches on.
        """
        ...


class KeptTraces(Protocol):
    """Where average traces of runs are kept for good."""

    def find(self, run_id: str) -> KeptTrace | None:
        """Return the one of a run; None where none is kept.

        Raises
        ------
        KeptTraceDamagedError
            Where it is not as it was written.
        """
        ...

    def keep(self, kept: KeptTrace) -> None:
        """Keep one durably, in the place of what was kept of its run."""
        ...
