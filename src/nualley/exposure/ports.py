"""What exposure needs of the world: archived PVs and recorded runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nualley.exposure.kept_trace import KeptTrace
from nualley.physics import PvRows, TraceSums


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


class PvHistory(Protocol):
    """The archive, as far as exposure sees it. A PV that it does not know has no rows and was never alive."""

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

    def alive_until_ns(self, pv: str) -> int:
        """Return up to when the last value is known to have held [ns since 1970 UTC]."""
        ...

    def labels(self, pv: str) -> tuple[str, ...]:
        """Return the labels of an enum PV, empty where it is none."""
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
