"""The archive as an Archiver Appliance shows it: data, names and what is known of a PV."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nualley.app.appliance_names import matching
from nualley.app.archive_changes import Changed, change_archive
from nualley.app.archive_plan import read_plan
from nualley.app.exports import history_source
from nualley.app.site import Site
from nualley.archive import ArchiveMissingError, PvNotArchivedError, Verb, is_valid_pv_name, same_pv, split_protocol
from nualley.archive.appliance.answers import FORMS, History, headers
from nualley.archive.changes import Plan
from nualley.archive.names import NAME_FORM
from nualley.archive.operators.calls import Operator, parse_call, parse_operator
from nualley.archive.operators.quick import work
from nualley.archive.operators.stretch import COLUMNS, Stretch, samples_of
from nualley.archive.reader import ArchiveReader
from nualley.core import UsageError

LONGEST_NAME = 200
"""A PV's name has so many characters at most."""

LONGEST_CALL = 400
"""A name with an operator has so many characters at most."""

MOST_PVS = 1000
"""A question is about so many PVs at most."""


__all__ = ["Appliance", "DataQuestion", "Stretch", "checked_name"]


@dataclass(frozen=True, slots=True)
class DataQuestion:
    """What data are asked for.

    Parameters
    ----------
    pvs : tuple of str
        Names, each perhaps with an operator: ``mean_600(PV)``.
    stretches : tuple of Stretch
        One or more, by time and without overlap.
    operator : str
        For the PVs that come without one; empty for none.
    """

    pvs: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    operator: str = ""


def checked_name(pv: str) -> str:
    """Return a PV's name without the protocol before it.

    Raises
    ------
    UsageError
        Where it cannot be one.
    """
    _, name = split_protocol(pv)
    if len(name) > LONGEST_NAME or not is_valid_pv_name(name):
        raise UsageError(f"{pv[:40]!r} cannot be the name of a PV", where="pv", do=f"use {NAME_FORM}")
    return name


def check_form(form: str, forms: Iterable[str], call: str) -> None:
    """Check that an answer can be had in a form.

    Parameters
    ----------
    form : str
        The ending of the address.
    forms : iterable of str
        Those that there are.
    call : str
        Which call has them.

    Raises
    ------
    UsageError
        Where it is none of them.
    """
    if form not in forms:
        raise UsageError(f"{form[:20]!r} is no form of answers of {call}", where=call, do=f"one of {', '.join(forms)}")


class Appliance:
    """Answers an Archiver Appliance's questions about a site's archive.

    Parameters
    ----------
    site : Site
        The experiment. The archive is opened when somebody asks, by a reader that nobody else uses: one thread at a
        time may ask.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    @cached_property
    def reader(self) -> ArchiveReader:
        """The archive.

        Raises
        ------
        ArchiveMissingError
            While nothing was archived.
        """
        return self.site.open_archive()

    def plan(self) -> Plan:
        """Return what is archived now."""
        return read_plan(self.site).plan

    def change(self, verb: Verb, pv: str, **others: Any) -> Changed:
        """Change what is archived; see `nualley.app.archive_changes.change_archive`."""
        return change_archive(self.site, verb, pv, **others)

    # -------------------------------------------------------------- names
    def names(self) -> list[str]:
        """Return every name under which there is, or will be, a history; by name."""
        plan = self.plan()
        return sorted({*plan.archived(), *self._stored(), *plan.aliases.pv_by_alias})

    def _stored(self) -> Mapping[str, object]:
        """Return what is stored, by name."""
        try:
            return self.reader.registry().by_name
        except ArchiveMissingError:
            return {}

    def known_names(self, pvs: Iterable[str]) -> dict[str, str]:
        """Return the name by which each PV that is asked for is known here; a name that nobody knows is itself.

        Parameters
        ----------
        pvs : iterable of str
            Names as they are asked for, perhaps with a protocol before them: ``PV.VAL`` is ``PV`` where one of them
            alone is archived.
        """
        found = {pv: split_protocol(pv)[1] for pv in pvs}
        stored = self._stored()
        if any(name not in stored for name in found.values()):  # of all names a set is made for them alone
            known = set(self.names())
            found = {pv: same_pv(name, known.__contains__) for pv, name in found.items()}
        return found

    def matching(self, pattern: str, *, is_glob: bool, most: int | None = None) -> list[str]:
        """Return the names that a pattern matches; see `nualley.app.appliance_names.matching`."""
        return matching(self.names(), pattern, is_glob=is_glob, most=most)

    # -------------------------------------------------------------- data
    def data(self, question: DataQuestion, form: str) -> Iterator[bytes]:
        """Return samples in a form of the appliance, part by part.

        Parameters
        ----------
        question : DataQuestion
            What is asked for.
        form : str
            One of `nualley.archive.appliance.answers.FORMS`.

        Raises
        ------
        UsageError
            Where the question makes no sense; before the first part, or with it.
        PvNotArchivedError
            Where there is no such PV; before the first part.
        """
        check_form(form, FORMS, "getData")
        if form == "csv" and len(question.pvs) > 1:
            raise UsageError(f"{len(question.pvs)} PVs as csv", where="pv", do="ask for one at a time, or for json")
        return FORMS[form].parts(self._histories(question))

    def _histories(self, question: DataQuestion) -> list[History]:
        if not 1 <= len(question.pvs) <= MOST_PVS:
            raise UsageError(f"{len(question.pvs)} PVs", where="pv", do=f"ask for 1 to {MOST_PVS}")
        default = parse_operator(question.operator) if question.operator else None
        asked = [(operator or default, pv) for operator, pv in _calls(question)]
        known = self.known_names([pv for _, pv in asked])
        return [self._history(pv, known[pv], operator, question.stretches) for operator, pv in asked]

    def _history(self, asked: str, pv: str, operator: Operator | None, stretches: Sequence[Stretch]) -> History:
        start_ns = stretches[0].start_ns
        try:
            metadata = self.reader.record(pv).metadata
        except (PvNotArchivedError, ArchiveMissingError):
            # what is to be archived and was never heard has no samples yet; who is not archived is refused
            if self.plan().policy(pv) is None:
                raise
            return History(asked, {}, (), start_ns)
        return History(asked, headers(metadata), self._tables(pv, operator, stretches), start_ns)

    def _tables(self, pv: str, operator: Operator | None, stretches: Sequence[Stretch]) -> Iterator[pa.Table]:
        last_ns: int | None = None
        for stretch in stretches:
            source = history_source(self.reader, pv, stretch)
            pieces = source.pieces(stretch.start_ns, stretch.stop_ns)
            tables = samples_of(pieces) if operator is None else work(operator, source, stretch)
            for table in tables:
                # a stretch begins with the sample before it, which may have been told already
                told = table if last_ns is None else table.filter(pc.greater(table["time_ns"], last_ns))
                if len(told):
                    yield told
                    last_ns = told["time_ns"][-1].as_py()

    def damages(self) -> Sequence[str]:
        """Return what answers found damaged or missing among the sealed files so far."""
        return self.reader.damages() if "reader" in self.__dict__ else ()

    def damaged(self, question: DataQuestion) -> list[str]:
        """Return the damaged files that an answer has had to do without so far."""
        return self.damaged_files([pv for _, pv in _calls(question)], question.stretches)

    def damaged_files(self, pvs: Sequence[str], stretches: Sequence[Stretch]) -> list[str]:
        """Return the damaged files that answers about some PVs and stretches have had to do without so far."""
        if not self.damages():
            return []
        names = dict.fromkeys(self.known_names(pvs).values())
        found = (self.reader.rot.files(pv, part.start_ns, part.stop_ns) for pv in names for part in stretches)
        return list(dict.fromkeys(chain.from_iterable(found)))

    def at(self, pvs: Sequence[str], time_ns: int, longest_ns: int | None = None) -> dict[str, dict[str, object]]:
        """Return what PVs were at a moment, of those that were archived by then.

        Parameters
        ----------
        pvs : sequence of str
            Names; those that are not archived are left out.
        time_ns : int
            The moment [ns since 1970 UTC].
        longest_ns : int, optional
            How old a sample may be then [ns].
        """
        found: dict[str, dict[str, object]] = {}
        known = set(self.names())
        for pv, name in self.known_names(pvs).items():
            if name not in known:
                continue
            try:
                value = self._last(name, time_ns)
            except ArchiveMissingError:
                continue
            if value is not None and (longest_ns is None or time_ns - value["time_ns"] <= longest_ns):
                seconds, nanos = divmod(value["time_ns"], 10**9)
                marks = {"severity": value["severity"], "status": value["status"]}
                found[pv] = {"secs": seconds, "nanos": nanos, "val": value["value"], **marks}
        return found

    def _last(self, pv: str, time_ns: int) -> dict[str, Any] | None:
        if pv not in self.reader.registry().by_name and pv not in self.plan().aliases.pv_by_alias:
            return None
        (*_, samples) = samples_of([self.reader.read(pv, time_ns, time_ns + 1)])
        if not len(samples) or self.reader.rot.stretches(pv, time_ns, time_ns + 1):
            return None  # the one that held then lies in a damaged file
        row: dict[str, Any] = samples.slice(len(samples) - 1).select(COLUMNS).to_pylist()[0]
        return row


def _calls(question: DataQuestion) -> list[tuple[Operator | None, str]]:
    """Return operator and name of each PV that is asked for."""
    calls = [parse_call(text[: LONGEST_CALL + 1]) for text in question.pvs]
    return [(operator, checked_name(pv)) for operator, pv in calls]
