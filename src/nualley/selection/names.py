"""The names that an expression uses of the rest of an experiment, and which of them nobody described."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nualley.archive import same_pv, split_protocol
from nualley.catalog import RunType
from nualley.core import UsageError, nearest
from nualley.selection.expression import Node, operands, texts, words

NameKind: TypeAlias = Literal["detector", "type", "flag", "pv"]

_WHAT: dict[NameKind, str] = {"detector": "detector", "type": "type of runs", "flag": "flag", "pv": "PV"}
_EXPECTED: dict[NameKind, str] = {
    "detector": "a detector",
    "type": f"a type of runs: {', '.join(RunType)}",
    "flag": "a flag that flags.toml describes",
    "pv": "a PV that a file in pvs/ archives",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedNames:
    """What the experiment repository describes; None where that cannot be told.

    Parameters
    ----------
    detectors : collection of str
        Ids of detectors.
    flags, pvs : collection of str or None
        Words of flags, and archived PVs.
    """

    detectors: Collection[str]
    flags: Collection[str] | None
    pvs: Collection[str] | None

    def known(self, kind: NameKind) -> Collection[str] | None:
        """Return the names of one kind."""
        of_kind = {
            "detector": self.detectors,
            "type": [str(each) for each in RunType],
            "flag": self.flags,
            "pv": self.pvs,
        }
        return of_kind[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownName:
    """A name that nobody described.

    Parameters
    ----------
    kind : {"detector", "type", "flag", "pv"}
        What it should be the name of.
    name : str
        The name.
    known : sequence of str
        What it could have been.
    """

    kind: NameKind
    name: str
    known: Sequence[str] = field(repr=False)

    @property
    def expected(self) -> str:
        """What should stand there."""
        return _EXPECTED[self.kind]

    @property
    def nearest(self) -> str:
        """The described name that comes nearest; empty where none comes near."""
        return nearest(self.name, self.known)


def unknown_names(node: Node, described: DescribedNames) -> list[UnknownName]:
    """Return the names of an expression that nobody described: one rule for text, commands and checks.

    Parameters
    ----------
    node : Node
        The expression.
    described : DescribedNames
        What the experiment repository describes.

    Returns
    -------
    list of UnknownName
        Detectors, types, flags and PVs, each as they come.
    """
    used: dict[NameKind, list[str]] = {
        "detector": texts(node, "detector"),
        "type": texts(node, "type"),
        "flag": words(node, "flag"),
        "pv": operands(node, "pv"),
    }
    found = []
    for kind, names in used.items():
        known = described.known(kind)
        if known is not None:
            found += [
                UnknownName(kind=kind, name=name, known=tuple(known))
                for name in names
                if name not in known and (kind != "pv" or not _is_same_pv(name, known))
            ]
    return found


def _is_same_pv(name: str, known: Collection[str]) -> bool:
    # as the archive reads it: with a protocol before it, and with or without .VAL
    return same_pv(split_protocol(name)[1], known.__contains__) in known


def refuse_unknown(found: Sequence[UnknownName]) -> None:
    """Refuse names that nobody knows, all at once; UsageError names the nearest ones."""
    if found:
        raise UsageError(
            "; ".join(f"{each.name!r} is no {_WHAT[each.kind]} of this experiment" for each in found),
            where="EXPRESSION",
            do="; ".join(map(_remedy, found)),
        )


def _remedy(found: UnknownName) -> str:
    if found.nearest:
        return f"did you mean {found.nearest!r}?"
    if found.kind == "flag":
        return f"describe it: [flag.{found.name}] in flags.toml"
    return f"name {found.expected}" + ("" if found.kind != "detector" else f": {', '.join(found.known)}")
