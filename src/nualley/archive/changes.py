"""Run-time changes: what is archived beside what the experiment repository says, under which names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nualley.archive.condition import Condition
from nualley.archive.errors import ChangeRefusedError
from nualley.archive.names import NAME_FORM, is_valid_pv_name, same_pv
from nualley.archive.settings import PvDefaults, PvPolicy
from nualley.core import format_time, nearest

LONGEST_TEXT = 1000
"""Characters that ``who`` and ``note`` of a change have at most."""

FIRST_NS = -(2**63)
"""Before every sample: where the first name of a PV begins to be valid [ns since 1970 UTC]."""

LAST_NS = 2**63 - 1
"""After every sample: where the present name of a PV stops being valid [ns since 1970 UTC]."""


class Verb(StrEnum):
    """What a change does."""

    ADD = "add"
    PAUSE = "pause"
    RESUME = "resume"
    RENAME = "rename"
    ALIAS = "alias"
    REMOVE = "remove"
    # not a person's: the experiment repository says the same by now, and what it says later counts again
    SETTLE = "settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what is archived, made while the archive exists.

    Parameters
    ----------
    verb : Verb
        What it does.
    pv : str
        To which PV; of a rename the old name.
    time_ns : int
        When it was made [ns since 1970 UTC].
    who : str
        Who made it.
    note : str
        Why; may be empty.
    name : str
        The name that is new: of a rename or an alias, empty otherwise.
    policy : PvPolicy or None
        How the PV is archived from now on: of an add or a rename.
    """

    verb: Verb
    pv: str
    time_ns: int
    who: str
    note: str = ""
    name: str = ""
    policy: PvPolicy | None = None

    def __str__(self) -> str:
        """Return who did what, when and why, on one line."""
        because = f": {self.note}" if self.note else ""
        return f"{self.verb} by {self.who} at {format_time(self.time_ns, digits=0)}{because}"


@dataclass(frozen=True, slots=True)
class NameStretch:
    """A stretch of time in which a PV had a name.

    Parameters
    ----------
    name : str
        The name.
    start_ns, stop_ns : int
        Half-open [ns since 1970 UTC]; `FIRST_NS` and `LAST_NS` where it has no begin or no end.
    """

    name: str
    start_ns: int
    stop_ns: int


class Aliases:
    """Under which names the history of a PV is found.

    Parameters
    ----------
    changes : iterable of Change
        In their order; those that say nothing of names are passed over.

    Notes
    -----
    The names of one PV stand one behind the other in time, so no chain of renames has a circle: a PV that is given an
    earlier name back has that name in two stretches.

    Examples
    --------
    >>> changes = [Change(verb=Verb.RENAME, pv="OLD", name="NEW", time_ns=7, who="zoe")]
    >>> [(part.name, part.start_ns == FIRST_NS, part.stop_ns) for part in Aliases(changes).resolve("NEW")][0]
    ('OLD', True, 7)
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._names: dict[str, list[tuple[str, int]]] = {}
        self._pv_by_alias: dict[str, str] = {}
        for change in changes:
            self.apply(change)

    @property
    def pv_by_alias(self) -> Mapping[str, str]:
        """The PV that each alias stands for."""
        return self._pv_by_alias

    def apply(self, change: Change) -> None:
        """Take in one more change."""
        if change.verb is Verb.ALIAS:
            self._pv_by_alias[change.name] = change.pv
        elif change.verb is Verb.REMOVE:
            self._pv_by_alias.pop(change.pv, None)
        elif change.verb is Verb.RENAME:
            self._append(self._names.setdefault(change.pv, [(change.pv, FIRST_NS)]), change.name, change.time_ns)
        elif change.verb is Verb.ADD and change.pv in self._names and self.current(change.pv) != change.pv:
            self._append(self._names[change.pv], change.pv, change.time_ns)

    def _append(self, names: list[tuple[str, int]], name: str, time_ns: int) -> None:
        # a clock that went back must not turn the order of the names round
        names.append((name, max(time_ns, names[-1][1])))
        self._names[name] = names

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names of each PV that has several, the present one last, given any of them or an alias.

        A name that was given back stands once, where it is newest.
        """
        known = {*self._names, *self._pv_by_alias}
        newest_first = {name: dict.fromkeys(part.name for part in reversed(self.resolve(name))) for name in known}
        return {name: tuple(reversed(found)) for name, found in newest_first.items()}

    def knows(self, name: str) -> bool:
        """Say whether a name is an alias, or one of several that a PV has had."""
        return name in self._pv_by_alias or name in self._names

    def target(self, name: str) -> str:
        """Return the PV that an alias stands for; any other name itself."""
        return self._pv_by_alias.get(name, name)

    def current(self, name: str) -> str:
        """Return the present name of a PV, given an earlier name or an alias."""
        target = self.target(name)
        return self._names[target][-1][0] if target in self._names else target

    def resolve(self, name: str) -> tuple[NameStretch, ...]:
        """Return where the history of a PV stands, in the order of time.

        Parameters
        ----------
        name : str
            Its present name, an earlier one, or an alias.

        Returns
        -------
        tuple of NameStretch
            Without hole or overlap from `FIRST_NS` to `LAST_NS`; the name itself where it was never renamed.
        """
        target = self.target(name)
        names = self._names.get(target, [(target, FIRST_NS)])
        stops_ns = [start_ns for _, start_ns in names[1:]] + [LAST_NS]
        return tuple(
            NameStretch(part, start_ns, stop_ns)
            for (part, start_ns), stop_ns in zip(names, stops_ns, strict=True)
            if start_ns < stop_ns
        )


@dataclass(frozen=True, slots=True)
class Pending:
    """A PV for which the experiment repository says something else than what is so.

    Parameters
    ----------
    pv : str
        The PV.
    what : str
        How it differs, in words.
    change : Change
        The last change that made it so.
    can_be_written : bool
        Whether a new file of the repository can say it: no other file declares the PV.
    """

    pv: str
    what: str
    change: Change
    can_be_written: bool = False


def _place(change: Change) -> str:
    return f"archive {change.verb} {change.pv}"


@dataclass(slots=True)
class _Override:
    """What the changes say of one PV; where ``policy`` is None, the experiment repository's counts."""

    change: Change
    policy: PvPolicy | None = None
    is_removed: bool = False
    is_paused: bool = False


@dataclass(slots=True)
class Plan:
    """What is archived: what the experiment repository declares, and on top of it the run-time changes.

    Parameters
    ----------
    declared : mapping of str to PvPolicy
        Every PV that the experiment repository archives.
    changes : iterable of Change
        In their order. One that has lost its object since (its PV is no longer declared) has no effect.
    """

    declared: Mapping[str, PvPolicy]
    changes: Iterable[Change] = ()
    written: Mapping[str, str] = field(default_factory=dict, init=False)
    aliases: Aliases = field(default_factory=Aliases, init=False)
    _overrides: dict[str, _Override] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        changes, self.changes = self.changes, ()
        for change in changes:
            self.apply(change)
        # what runs under the other of PV and PV.VAL is declared by it
        running = {pv for pv, override in self._overrides.items() if override.policy is not None}
        names = {pv: pv if pv in self._overrides else same_pv(pv, running.__contains__) for pv in self.declared}
        self.written = {name: pv for pv, name in names.items()}
        self.declared = {name: self.declared[pv] for name, pv in self.written.items()}

    # -------------------------------------------------------------- what is so
    def known_as(self, name: str, is_stored: Callable[[str], bool] = lambda _: False) -> str:
        """Return the name of the PV that a name means: ``PV.VAL`` is ``PV``, and the other way round.

        Parameters
        ----------
        name : str
            A name without a protocol.
        is_stored : callable, optional
            Says whether the archive holds anything under a name.

        Returns
        -------
        str
            The one of the two that is an alias, is archived, or was; the name itself where none is, or it is, too.
        """
        if name in self.aliases.pv_by_alias:
            return name
        archived = same_pv(name, lambda pv: self.policy(pv) is not None)
        return same_pv(archived, lambda pv: self.policy(pv) is not None or self.aliases.knows(pv) or is_stored(pv))

    def policy(self, pv: str) -> PvPolicy | None:
        """Return how a PV is archived, also while it is paused; None where it is not."""
        override = self._overrides.get(pv)
        if override is None:
            return self.declared.get(pv)
        return None if override.is_removed else override.policy or self.declared.get(pv)

    def with_options(self, pv: str, options: PvDefaults) -> PvPolicy:
        """Return how a PV is archived with some options given: those alone change what it is now, or is declared as.

        Raises
        ------
        ValidationError
            Where they do not go together.
        """
        return (self.policy(pv) or self.declared.get(pv) or PvPolicy()).with_options(options)

    def is_paused(self, pv: str) -> bool:
        """Return whether a PV is archived but paused."""
        override = self._overrides.get(pv)
        return override is not None and override.is_paused and self.policy(pv) is not None

    def archived(self) -> dict[str, PvPolicy]:
        """Return every PV that is archived, paused ones too, with its policy, by name."""
        names = sorted({*self.declared, *self._overrides})
        return {pv: policy for pv in names if (policy := self.policy(pv)) is not None}

    def pending(self) -> list[Pending]:
        """Return the PVs for which the experiment repository says something else, by name."""
        found = []
        for pv, override in sorted(self._overrides.items()):
            what = self._difference(pv)
            if what:
                found.append(Pending(pv, what, override.change, pv not in self.declared))
        return found

    def settled(self) -> list[str]:
        """Return the PVs of which changes tell what the experiment repository says by now as well, by name."""
        # under another name that is declared its history would begin anew
        return sorted(pv for pv in self._overrides if not self._difference(pv) and self.written.get(pv, pv) == pv)

    def _difference(self, pv: str) -> str:
        declared, policy = self.declared.get(pv), self.policy(pv)
        found = ""
        if policy is None:
            found = "declared, but no longer archived" if declared is not None else ""
        elif declared is None:
            found = "archived, but not declared"
        elif policy != declared:
            found = "archived otherwise than declared"
        if self.is_paused(pv):
            found = f"{found}, and paused" if found else "paused"
        return found

    # -------------------------------------------------------------- what becomes so
    def apply(self, change: Change) -> None:
        """Take in a change that was accepted."""
        self.aliases.apply(change)
        now = self._overrides.get(change.pv) or _Override(change)
        if change.verb is Verb.ADD:
            self._overrides[change.pv] = _Override(change, change.policy)
        elif change.verb is Verb.REMOVE:
            self._overrides[change.pv] = _Override(change, is_removed=True)
        elif change.verb is Verb.RENAME:
            self._overrides[change.name] = _Override(change, change.policy, is_paused=now.is_paused)
            self._overrides[change.pv] = _Override(change, is_removed=True)
        elif change.verb in {Verb.PAUSE, Verb.RESUME}:
            now.change, now.is_paused = change, change.verb is Verb.PAUSE
            self._overrides[change.pv] = now
        elif change.verb is Verb.SETTLE:
            self._overrides.pop(change.pv, None)

    def checked(self, change: Change, is_stored: Callable[[str], bool]) -> Change:
        """Return a change as it is to be kept.

        Parameters
        ----------
        change : Change
            As a person asked for it.
        is_stored : callable
            Says whether the archive holds anything under a name.

        Returns
        -------
        Change
            The same, with the policy that a rename hands on.

        Raises
        ------
        ChangeRefusedError
            Where it makes no sense, with what would.
        """
        for name in (change.pv, change.name):
            if name and not is_valid_pv_name(name):
                raise ChangeRefusedError(
                    f"{name!r} cannot be the name of a PV", where=_place(change), do=f"use {NAME_FORM}"
                )
        if change.verb is Verb.ADD:
            self._check_add(change)
        elif change.verb is Verb.ALIAS:
            self._check_alias(change, is_stored)
        elif not (change.verb is Verb.REMOVE and change.pv in self.aliases.pv_by_alias):
            self._check_archived(change)
        if change.verb is Verb.RENAME:
            self._check_new_name(change, is_stored)
            return replace(change, policy=self.policy(change.pv))
        return change

    def _check_add(self, change: Change) -> None:
        pv, target, current = change.pv, self.aliases.target(change.pv), self.aliases.current(change.pv)
        if target != pv:
            raise ChangeRefusedError(
                f"{pv} is an alias of {target}",
                where=_place(change),
                do=f"take the alias away first: nualley archive remove {pv}",
            )
        if current != pv and self.policy(current) is not None:
            raise ChangeRefusedError(
                f"{pv} is an earlier name of {current}, which is archived",
                where=_place(change),
                do=f"give it that name back: nualley archive rename {current} {pv}",
            )
        watched = Condition.parse(change.policy.only_while).pv if change.policy and change.policy.only_while else ""
        if watched and (watched == pv or self.policy(watched) is None):
            raise ChangeRefusedError(
                f"{pv} is to be archived only while {watched} has some value, "
                + ("and is that PV itself" if watched == pv else "which is not archived"),
                where=_place(change),
                do="name another archived PV, or leave the condition out",
            )
        if self.policy(pv) == change.policy:
            is_paused = self.is_paused(pv)
            how = f"{change.policy} (paused)" if is_paused else str(change.policy)
            do = (
                f"nualley archive resume {pv}"
                if is_paused
                else f"name what shall change: {_place(change)} --events ..."
            )
            raise ChangeRefusedError(f"{pv} is archived already: {how}", where=_place(change), do=do)

    def _check_archived(self, change: Change) -> None:
        pv, current = change.pv, self.aliases.current(change.pv)
        if self.policy(pv) is None:
            near = current if current != pv else nearest(pv, self.archived())
            do = f"did you mean {near}?" if near else "nualley archive pvs lists what is archived"
            what = f"{pv} is another name of {current}" if current != pv else f"{pv} is not archived"
            raise ChangeRefusedError(what, where=_place(change), do=do)
        if change.verb is Verb.PAUSE and self.is_paused(pv):
            raise ChangeRefusedError(f"{pv} is paused already", where=_place(change), do=f"nualley archive resume {pv}")
        if change.verb is Verb.RESUME and not self.is_paused(pv):
            raise ChangeRefusedError(f"{pv} is not paused", where=_place(change), do=f"nualley archive last {pv}")

    def _check_alias(self, change: Change, is_stored: Callable[[str], bool]) -> None:
        pv = change.pv
        if pv in self.aliases.pv_by_alias:
            target = self.aliases.target(pv)
            raise ChangeRefusedError(
                f"{pv} is itself an alias, of {target}", where=_place(change), do=f"name {target} instead"
            )
        if self.policy(pv) is None and not is_stored(pv):
            near = nearest(pv, self.archived())
            do = f"did you mean {near}?" if near else f"nualley archive add {pv}"
            raise ChangeRefusedError(f"{pv} is not archived, and never was", where=_place(change), do=do)
        self._check_new_name(change, is_stored)

    def _check_new_name(self, change: Change, is_stored: Callable[[str], bool]) -> None:
        pv, name = change.pv, change.name
        is_own = name == pv
        # an earlier name of the same PV may be given back to it
        is_earlier = change.verb is Verb.RENAME and any(part.name == name for part in self.aliases.resolve(pv))
        if is_own or name in self.aliases.pv_by_alias:
            what = (
                f"{pv} cannot be another name of itself"
                if is_own
                else f"{name} is an alias of {self.aliases.target(name)}"
            )
            raise ChangeRefusedError(what, where=_place(change), do="choose a name that nothing has yet")
        if self.policy(name) is not None or (
            not is_earlier and (is_stored(name) or self.aliases.current(name) != name)
        ):
            raise ChangeRefusedError(
                f"{name} is the name of another PV, with a history of its own",
                where=_place(change),
                do="choose a name that nothing has yet",
            )
