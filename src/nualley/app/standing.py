"""How PVs stand: what the log tells of them, together with what is to be archived."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nualley.archive import LastValue, PvPolicy, PvState, PvSummary
from nualley.archive.adapters.changes_file import ChangesFile
from nualley.archive.changes import Plan
from nualley.config import Configuration

if TYPE_CHECKING:  # NumPy and pyarrow are heavy: who only asks what is declared does not load them
    from nualley.archive.reader import ArchiveReader


def declared_policies(configuration: Configuration) -> dict[str, PvPolicy]:
    """Return every PV that the experiment repository archives, with its policy, by name."""
    groups = configuration.pv_groups.values()
    return dict(sorted((pv, policy) for group in groups for pv, policy in group.pv.items()))


def planned(last: LastValue, plan: Plan) -> LastValue:
    """Return a last value with the state that it has by the plan: a PV that is paused is not missed.

    Parameters
    ----------
    last : LastValue
        As the log tells it.
    plan : Plan
        What is archived.
    """
    from nualley.archive.decide import planned_state  # NumPy is heavy

    is_archived = plan.policy(last.pv) is not None
    state = planned_state(last, is_archived=is_archived, is_paused=plan.is_paused(last.pv))
    return last if state is last.state else replace(last, state=state, reason="")


class Standing:
    """Last values of an experiment's PVs, and how they stand.

    Parameters
    ----------
    configuration : Configuration
        What the experiment repository archives.
    file : ChangesFile
        What was changed since; read anew when it was written.
    """

    def __init__(self, configuration: Configuration, file: ChangesFile) -> None:
        self._declared = declared_policies(configuration)
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._plan = Plan(self._declared)

    def last(self, reader: "ArchiveReader", pvs: Sequence[str] = ()) -> list[LastValue]:
        """Return last values.

        Parameters
        ----------
        reader : ArchiveReader
            The archive.
        pvs : sequence of str
            Names; none means all but those that are neither archived nor declared any more.

        Raises
        ------
        PvNotArchivedError
            Where the archive does not know one.
        """
        plan = self._read_plan()
        found = [planned(last, plan) for last in reader.last(pvs)]
        if pvs:
            return found
        return [last for last in found if last.state is not PvState.REMOVED or last.pv in self._declared]

    def summaries(self, reader: "ArchiveReader") -> list[PvSummary]:
        """Return the account of every PV over all of its names, and how it stands."""
        plan = self._read_plan()
        return [replace(found, now=planned(found.now, plan)) for found in reader.summaries()]

    def _read_plan(self) -> Plan:
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._plan, self._stamp = Plan(self._declared, self._file.read().changes), stamp
        return self._plan
