"""What was seen of a site: the one input, beside its configuration and the time, that the status is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nualley.archive import LastValue, Ledger
from nualley.catalog import Run, Totals
from nualley.core import CheckResult, format_duration
from nualley.exposure import Delivered, RunExposure
from nualley.storage import DriveUsage
from nualley.web.models import Trouble

T = TypeVar("T")

PATIENCE_S = 15.0
"""A look at a part of the site that takes longer is told of [s]."""


@dataclass(frozen=True, slots=True)
class Observed(Generic[T]):
    """The last look at one part of the site.

    Parameters
    ----------
    value : object or None
        What was seen by the last look that succeeded; None before the first.
    time_ns : int or None
        When that was [ns since 1970 UTC].
    failure : Trouble or None
        Why the last look failed; None where it succeeded.
    busy_since_ns : int or None
        When the look that is going on began [ns since 1970 UTC]; None where none is.
    """

    value: T | None = None
    time_ns: int | None = None
    failure: Trouble | None = None
    busy_since_ns: int | None = None

    def trouble(self, now_ns: int) -> Trouble | None:
        """Return why there is nothing newer; None where all is well.

        Parameters
        ----------
        now_ns : int
            The time now [ns since 1970 UTC].
        """
        if self.busy_since_ns is not None and now_ns - self.busy_since_ns > PATIENCE_S * 1e9:
            waited = format_duration((now_ns - self.busy_since_ns) // 1_000_000_000)
            return Trouble(f"no answer for {waited}", "look at the drive or the database that it is on")
        if self.failure is None and self.value is None:
            return Trouble("being read")
        return self.failure


@dataclass(frozen=True, slots=True)
class LiveSeen:
    """What the live bus has said so far.

    Parameters
    ----------
    message_ns : int or None
        When the last message came [ns since 1970 UTC]; None where none has come.
    n_messages : int
        How many came.
    synced_ns : int
        When the archive's last commit was made, as the bus says [ns since 1970 UTC]; 0: not told.
    ledger : Ledger or None
        The account of samples, as the bus says.
    values : mapping of str to LastValue
        PV -> its last value, as the bus says.
    n_lost : int
        Messages that were sent and never arrived here.
    failure : Trouble or None
        Why it cannot be listened to.
    """

    message_ns: int | None = None
    n_messages: int = 0
    synced_ns: int = 0
    ledger: Ledger | None = None
    values: Mapping[str, LastValue] = field(default_factory=dict)
    n_lost: int = 0
    failure: Trouble | None = None


@dataclass(frozen=True, slots=True)
class ArchiveSeen:
    """What the archive holds.

    Parameters
    ----------
    last : sequence of LastValue
        The last value of each PV.
    ledger : Ledger
        The account of samples.
    synced_ns : int
        When its last commit was made [ns since 1970 UTC]; 0 where there is none.
    """

    last: Sequence[LastValue]
    ledger: Ledger
    synced_ns: int


@dataclass(frozen=True, slots=True)
class RunsSeen:
    """What the catalog holds.

    Parameters
    ----------
    last : sequence of Run
        The last runs, newest first.
    totals : mapping of str to Totals
        Run id -> counts, of the runs in ``last``.
    n_runs : int
        How many runs there are in all.
    newest_counted : mapping of str to Run
        Detector -> its newest run that has times and events.
    events_of : mapping of str to int
        Run id -> events, of the runs in ``newest_counted``.
    """

    last: Sequence[Run]
    totals: Mapping[str, Totals]
    n_runs: int
    newest_counted: Mapping[str, Run] = field(default_factory=dict)
    events_of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """All that was seen of a site.

    Parameters
    ----------
    live : LiveSeen
        The live bus.
    archive : Observed of ArchiveSeen
        The archive.
    today : Observed of Delivered
        What was delivered today.
    runs : Observed of RunsSeen
        The catalog.
    exposures : Observed of mapping of str to RunExposure
        Run id -> exposure, of the last runs.
    drives : Observed of sequence of DriveUsage
        The drives.
    processes : Observed of sequence of CheckResult
        Whether each of the experiment's processes runs.
    files : Observed of sequence of CheckResult
        Whether the sealed files of the archive are whole.
    """

    live: LiveSeen = field(default=LiveSeen())
    archive: Observed[ArchiveSeen] = field(default=Observed())
    today: Observed[Delivered] = field(default=Observed())
    runs: Observed[RunsSeen] = field(default=Observed())
    exposures: Observed[Mapping[str, RunExposure]] = field(default=Observed())
    drives: Observed[Sequence[DriveUsage]] = field(default=Observed())
    processes: Observed[Sequence[CheckResult]] = field(default=Observed())
    files: Observed[Sequence[CheckResult]] = field(default=Observed())
