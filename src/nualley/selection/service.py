"""The use cases: define, resolve, compare, freeze, import and export selections."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from nualley.catalog import Activity, SelectionFrozen, SelectionRevision, Vocabulary, check_not_frozen
from nualley.core import Clock, IntervalSet, nearest
from nualley.exposure import Amounts, PvHistory
from nualley.physics import FOREVER
from nualley.selection.canonical import digest
from nualley.selection.differences import key_of, only_in
from nualley.selection.documents import Origin, Stamp, make_document
from nualley.selection.errors import ListUnreadable, NotExpressible, SelectionInText, SelectionNotFound
from nualley.selection.explaining import explainer
from nualley.selection.formats import ListFormat
from nualley.selection.frozen import read_frozen
from nualley.selection.lists import listed_runs, make_list, read_list, write_list
from nualley.selection.models import Definition, Difference, ListedRun, Piece, Resolution
from nualley.selection.names import DescribedNames, UnknownName, refuse_unknown, unknown_names
from nualley.selection.parser import parse_expression
from nualley.selection.ports import Beam, Record
from nualley.selection.resolving import Resolver
from nualley.selection.settings import SelectionFile


class Selections:
    """Selections of one experiment.

    Parameters
    ----------
    record : Record
        The catalog.
    archive : callable
        Gives the archived PVs; called only where something is resolved.
    beam : callable
        Gives the exposures; likewise.
    files : mapping of str to SelectionFile
        Selections that are defined by text, by name.
    vocabulary : Vocabulary
        The words of flags.
    described : DescribedNames
        What expressions may name.
    origin : Origin
        Who speaks: goes into what is frozen.
    clock : Clock
        Dates what is frozen.
    """

    def __init__(
        self,
        record: Record,
        *,
        archive: Callable[[], PvHistory],
        beam: Callable[[], Beam],
        files: Mapping[str, SelectionFile],
        vocabulary: Vocabulary,
        described: DescribedNames,
        origin: Origin,
        clock: Clock,
    ) -> None:
        self._record = record
        self._archive = archive
        self._beam = beam
        self._files = files
        self._vocabulary = vocabulary
        self._described = described
        self._origin = origin
        self._clock = clock

    # -------------------------------------------------------------- definitions
    def define(self, name: str, expression: str, *, author: str) -> Definition:
        """Define a selection, or define it anew.

        Parameters
        ----------
        name : str
            Its name.
        expression : str
            What it selects.
        author : str
            Who says so.

        Returns
        -------
        Definition
            As it is now; the same expression as before makes no new revision.

        Raises
        ------
        ExpressionError
            Where the expression cannot be understood.
        UsageError
            Where it names a flag that nobody described, or a detector, a type of runs or a PV that is neither described
            nor on record.
        SelectionFrozen
            Where the selection is frozen.
        SelectionInText
            Where a file of the experiment repository defines it.
        """
        check_not_frozen(self._found(name))
        node = parse_expression(expression)
        refuse_unknown([name for name in unknown_names(node, self._described) if not self._is_recorded(name)])
        self._refuse_text(name)
        self._record.run_lists.define(SelectionRevision(name=name, expression=expression, author=author))
        return self.definition(name)

    def _is_recorded(self, found: UnknownName) -> bool:
        """Return whether the record has it all the same: of a detector, a type or a PV of the past."""
        if found.kind == "pv":
            return self._archive().alive_until_ns(found.name) > FOREVER.start_ns
        return any(
            found.name == {"detector": run.detector, "type": run.run_type}.get(found.kind)
            for run in self._record.runs()
        )

    def import_list(
        self, name: str, text: str, format_: ListFormat, *, file: str, detector: str | None, author: str
    ) -> Definition:
        """Define a selection by a list that was read from a file.

        Parameters
        ----------
        name : str
            Its name.
        text : str
            What the file holds.
        format_ : str
            Its format.
        file : str
            Its name.
        detector : str or None
            Whose runs bare numbers are.
        author : str
            Who says so.

        Returns
        -------
        Definition
            As it is now; the same list as before makes no new revision.

        Raises
        ------
        ListUnreadable
            Where the file does not say what its format promises.
        SelectionFrozen, SelectionInText
            As `define`.
        """
        check_not_frozen(self._found(name))
        try:
            document = read_list(text, format_)
            _check_once(listed_runs(document, format_, detector))
        except ListUnreadable as error:
            error.where = f"{file} ({error.where})"
            raise
        self._refuse_text(name)
        origin = {"format": format_, "file": file, "sha256": digest(text), "detector": detector, "list": document}
        self._record.run_lists.define(SelectionRevision(name=name, imported=origin, author=author))
        return self.definition(name)

    def _refuse_text(self, name: str) -> None:
        if name in self._files:
            raise SelectionInText(
                f"selection {name} is defined by text, and changed there",
                where=f"selections/{name}.toml",
                do="edit the file, or choose another name",
            )

    def _found(self, name: str) -> SelectionRevision | None:
        """Return the frozen revision of a selection, None where it is a draft or not there."""
        last = self._record.run_lists.revisions(name)[-1:]
        return last[0] if last and last[0].is_frozen else None

    def definition(self, name: str) -> Definition:
        """Return how a selection is defined; SelectionNotFound names the nearest one."""
        last = next(iter(self._record.run_lists.revisions(name)[-1:]), None)
        if last is None and name not in self._files:
            known = [found.name for found in self.definitions()]
            near = nearest(name, known)
            raise SelectionNotFound(
                f"there is no selection {name} among {len(known)}",
                where="NAME",
                do=f"did you mean {near}?" if near else "nualley selection list shows them",
            )
        return self._definition(name, last)

    def definitions(self) -> list[Definition]:
        """Return how every selection is defined, by name."""
        last = {revision.name: revision for revision in self._record.run_lists.selections()}
        return [self._definition(name, last.get(name)) for name in sorted({*last, *self._files})]

    def revisions(self, name: str) -> list[SelectionRevision]:
        """Return what the catalog has of a selection, oldest first."""
        return self._record.run_lists.revisions(name)

    def _definition(self, name: str, last: SelectionRevision | None) -> Definition:
        text = self._files.get(name)
        if last is None or (text is not None and not last.is_frozen):
            return Definition(
                name=name,
                state="draft",
                source=f"selections/{name}.toml",
                revision=last.number if last else 0,
                expression=text.expression if text else None,
            )
        differs = text is not None and text.expression != last.expression
        return Definition(
            name=name,
            state="frozen" if last.is_frozen else "draft",
            source="catalog",
            revision=last.number,
            expression=last.expression,
            imported=last.imported,
            author=last.author,
            time_ns=last.time_ns,
            sha256=last.sha256,
            content=last.content,
            remark=f"selections/{name}.toml says something else by now" if differs else "",
        )

    # -------------------------------------------------------------- what they select
    def resolution(self, name: str) -> Resolution:
        """Return what a selection is: a draft as of now, a frozen one as it was."""
        found = self.definition(name)
        return self._resolution(found, self._resolver())

    def today(self, name: str) -> Difference | None:
        """Return in what a frozen selection differs from what it would be now; None for a draft."""
        found = self.definition(name)
        if found.content is None:
            return None
        now = replace(found, state="draft", content=None, sha256=None)
        return self._difference(found, now, (f"{name} (frozen)", f"{name} (today)"))

    def diff(self, left: str, right: str) -> Difference:
        """Return in what two selections differ, why, and what that is of the beam."""
        return self._difference(self.definition(left), self.definition(right), (left, right))

    def _resolver(self) -> Resolver:
        return Resolver(self._record, self._archive(), self._beam(), self._vocabulary)

    def _resolution(self, found: Definition, resolver: Resolver) -> Resolution:
        if found.content is not None:
            return read_frozen(found.content).to_resolution()
        if found.imported is not None:
            return resolver.resolve_list(_listed(found.imported))
        return resolver.resolve(parse_expression(found.expression or ""))

    def _difference(self, left: Definition, right: Definition, names: tuple[str, str]) -> Difference:
        resolver = self._resolver()
        mine, theirs = (self._resolution(each, resolver) for each in (left, right))
        return Difference(
            left=names[0],
            right=names[1],
            only_left=self._measured(only_in(mine.runs, theirs.runs, explainer(resolver, right, theirs)), resolver),
            only_right=self._measured(only_in(theirs.runs, mine.runs, explainer(resolver, left, mine)), resolver),
            left_sums=mine.detectors,
            right_sums=theirs.detectors,
        )

    def _measured(self, pieces: Sequence[Piece], resolver: Resolver) -> list[Piece]:
        is_counted = [bool(piece.intervals) and piece.run.run_id in resolver.known for piece in pieces]
        asked = [
            (piece.run.detector or "", piece.intervals or IntervalSet())
            for piece, counts in zip(pieces, is_counted, strict=True)
            if counts
        ]
        amounts = iter(resolver.amounts(asked))
        return [
            replace(piece, amounts=next(amounts) if counts else Amounts())
            for piece, counts in zip(pieces, is_counted, strict=True)
        ]

    # -------------------------------------------------------------- frozen
    def freeze(self, name: str, *, author: str) -> tuple[Definition, Resolution]:
        """Make a selection what it is now, for good.

        Parameters
        ----------
        name : str
            The selection.
        author : str
            Who freezes it.

        Returns
        -------
        definition : Definition
            With content and digest.
        resolution : Resolution
            What was frozen; its warnings say what is doubtful.

        Raises
        ------
        SelectionFrozen
            Where it is frozen already.
        SelectionChanged
            Where somebody defined it anew meanwhile.
        """
        found = self.definition(name)
        if found.sha256 is not None:
            raise SelectionFrozen(
                f"selection {name} is frozen already (sha256 {found.sha256})",
                where=name,
                do=f"cite it, or define a new one; nualley selection show {name} says what would differ today",
            )
        start_ns = self._clock.now_ns()
        resolution = self._resolution(found, self._resolver())
        stamp = Stamp(self._origin, author, start_ns)
        content = make_document(found, resolution, stamp, self._record.files).to_json()
        sha256 = digest(content)
        activity = Activity(
            kind="freeze-selection",
            inputs=tuple(run.listed.run_id for run in resolution.runs if run.is_known and run.listed.run_id),
            outputs=(f"selection {name} sha256:{sha256}",),
            code=self._origin.code,
            host=self._origin.host,
            start_ns=start_ns,
            stop_ns=self._clock.now_ns(),
        )
        revision = SelectionRevision(
            name=name,
            number=found.revision,
            expression=found.expression,
            imported=found.imported,
            author=author,
            time_ns=start_ns,
            content=content,
            sha256=sha256,
        )
        self._record.run_lists.freeze(revision, activity=activity)
        return self.definition(name), resolution

    # -------------------------------------------------------------- export
    def export(self, name: str, format_: ListFormat, *, detector: str | None = None) -> str:
        """Return a selection in the format of others; a list in its own format is as it was read.

        Parameters
        ----------
        name : str
            The selection.
        format_ : str
            The format.
        detector : str, optional
            Only its runs.

        Returns
        -------
        str
            The text of the file.

        Raises
        ------
        NotExpressible
            Where the format cannot say it.
        """
        found = self.definition(name)
        if found.imported is not None and found.imported["format"] == format_ and detector is None:
            return write_list(cast("Mapping[str, Any]", found.imported["list"]), format_)
        resolver = self._resolver()
        runs = self._resolution(found, resolver).runs
        types = {run_id: known.run.run_type for run_id, known in resolver.known.items()}
        chosen = [run for run in runs if detector in (None, run.listed.detector)]
        return write_list(make_list(chosen, format_, types, name), format_)

    def export_json(self, name: str) -> str:
        """Return the canonical JSON of a frozen selection, the text that its digest is made of."""
        found = self.definition(name)
        if found.content is None:
            raise NotExpressible(
                f"selection {name} is a draft: it has no document yet",
                where=name,
                do=f"nualley selection freeze {name}, or --format csv",
            )
        return found.content


def _listed(imported: Mapping[str, Any]) -> list[ListedRun]:
    return listed_runs(imported["list"], imported["format"], imported["detector"])


def _check_once(listed: Sequence[ListedRun]) -> None:
    seen: set[tuple[str, int, str]] = set()
    for run in listed:
        if key_of(run) in seen:
            raise ListUnreadable(
                f"the list names run {run.run_id or run.number} twice", where=run.period or "the file", do="mend it"
            )
        seen.add(key_of(run))
