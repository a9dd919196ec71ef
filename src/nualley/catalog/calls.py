"""Every call of a catalog as JSON, so that it goes to another host and back with nothing lost.

What a call takes and gives is read from `nualley.catalog.ports`: a call that is added there goes over HTTP too.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from nualley.catalog import errors
from nualley.catalog.errors import CatalogError, CatalogUnreachable, FileConflict, ReplicaConflict
from nualley.catalog.models import FileAdded, Run
from nualley.catalog.ports import Catalog, Removals, RunLists, Transfers
from nualley.catalog.run_table import RunDetails, RunList
from nualley.core import NualleyError, UsageError, nearest, to_json

FORM: Literal[1] = 1
"""Number of the form that calls and answers have; both ends have the same."""

_DO = "are both ends of one version of nualley?"

PARTS: Mapping[str, tuple[type, ...]] = {
    "": (Catalog, RunDetails),
    "run_lists": (RunLists,),
    "transfers": (Transfers,),
    "removals": (Removals,),
}
"""What a catalog has calls in: itself, and its properties."""

_READING = frozenset(
    {
        *("run", "runs", "livetimes_s", "totals", "totals_by_run", "notes", "notes_by_run", "usage", "activities"),
        "count_short",
        *("find_file", "file", "files", "files_by_digest", "find_files", "files_at"),
        *("replicas", "n_held_by_drive", "replica_at", "placed_files", "drive_ids"),
        *("quarantined", "find_source", "sources"),
        *("run_lists.flags", "run_lists.revisions", "run_lists.selections"),
        *("transfers.transfer", "transfers.transfers", "transfers.files", "transfers.known_below"),
        *("transfers.stages_below", "transfers.replicas_of_run", "transfers.count"),
        *("removals.stages", "removals.newest_ns"),
    }
)
_CONFIG = ConfigDict(extra="forbid")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class ToldError:
    """An error on its way to another host.

    Parameters
    ----------
    kind : str
        Name of its class.
    what, where, do : str
        What it says.
    """

    kind: str
    what: str
    where: str = ""
    do: str = ""

    @classmethod
    def of(cls, error: NualleyError) -> "ToldError":
        """Return what is told of an error."""
        kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
        return cls(next(kinds, CatalogError.__name__), error.what, error.where, error.do)

    @classmethod
    def read(cls, body: bytes) -> "ToldError | None":
        """Return what a web's refusal tells, without a kind where it is the web's own; None where it is none."""
        try:
            said = json.loads(body)["error"]
            return cls(str(said.get("kind", "")), str(said["what"]), str(said["where"]), str(said["do"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def to_error(self) -> NualleyError:
        """Return the error; one of a class that only the other end knows is a CatalogError."""
        return _ERRORS.get(self.kind, CatalogError)(self.what, where=self.where, do=self.do)


_ERRORS: Mapping[str, type[NualleyError]] = {
    name: found
    for name, found in vars(errors).items()  # and those of core that they are made of
    if inspect.isclass(found) and issubclass(found, NualleyError)
}
# in the place of what is no value: a list that asks its catalog, and errors that are returned
_INSTEAD: Mapping[Any, Any] = {
    RunList: list[Run],
    list[FileAdded | FileConflict | ReplicaConflict]: list[FileAdded | ToldError],
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a catalog.

    Parameters
    ----------
    name : str
        Such as ``runs`` or ``transfers.begin``.
    is_reading : bool
        Whether it changes nothing.
    """

    name: str
    is_reading: bool
    _signature: inspect.Signature
    _order: type[BaseModel]
    _answer: type[BaseModel]

    @property
    def unknown(self) -> str:
        """What is said where no answer comes that can be read; empty where the call changes nothing."""
        return "" if self.is_reading else "; whether it was entered is not known"

    def write(self, words: tuple[Any, ...], named: Mapping[str, Any], drives: Mapping[str, Path]) -> bytes:
        """Return the call as JSON.

        Parameters
        ----------
        words, named : tuple, mapping
            What it is called with.
        drives : mapping of str to Path
            Where the caller's drives are, by name.

        Raises
        ------
        TypeError
            Where the call does not take them.
        UsageError
            Where something is no JSON, such as a setting of a run.
        """
        given = self._signature.bind(*words, **named).arguments
        order = {"form": FORM, "drives": to_json(drives), "given": to_json(given, self.name)}
        return json.dumps(order, allow_nan=False, separators=(",", ":")).encode()

    def read(self, body: bytes) -> tuple[dict[str, Any], dict[str, Path]]:
        """Return what it is called with, and where the caller's drives are.

        Raises
        ------
        UsageError
            Where the body is no such call, or of another form.
        """
        try:
            order: Any = self._order.model_validate_json(body)
        except ValidationError as error:
            raise UsageError(f"{self.name}: {_first(error)}", where="body", do=_DO) from None
        return {name: getattr(order.given, name) for name in order.given.model_fields_set}, order.drives

    def write_answer(self, value: Any) -> bytes:
        """Return what it gave as JSON."""
        if isinstance(value, list):
            value = [ToldError.of(each) if isinstance(each, NualleyError) else each for each in value]
        return self._answer(value=value).model_dump_json().encode()

    def read_answer(self, body: bytes, where: str = "") -> Any:
        """Return what it gave; ``where`` it was answered is told of what is none.

        Raises
        ------
        CatalogUnreachable
            Where the body is no such answer.
        """
        try:
            answer: Any = self._answer.model_validate_json(body)
        except ValidationError as error:
            raise CatalogUnreachable(
                f"the answer to {self.name} cannot be read: {_first(error)}{self.unknown}", where=where, do=_DO
            ) from None
        if not isinstance(answer.value, list):
            return answer.value
        return [each.to_error() if isinstance(each, ToldError) else each for each in answer.value]


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc'])) or 'all of it'}: {found['msg']}"


@cache
def call_named(name: str) -> Call:
    """Return a call.

    Parameters
    ----------
    name : str
        Such as ``runs`` or ``transfers.begin``.

    Raises
    ------
    UsageError
        Where a catalog has none of that name.
    """
    functions = _functions()
    if name not in functions:
        near = nearest(name, functions)
        # a newer version has calls that an older one does not know
        do = f"did you mean {near!r}, and {_DO}" if near else _DO
        raise UsageError(f"{name[:_LONGEST_NAME]!r} is no call of a catalog", where="address", do=do)
    function = functions[name]
    hints = {key: _INSTEAD.get(hint, hint) for key, hint in get_type_hints(function).items()}
    whole = inspect.signature(function)
    signature = whole.replace(parameters=list(whole.parameters.values())[1:])
    fields: dict[str, Any] = {
        key: (hints[key], ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in signature.parameters.items()
    }
    given = _model(f"{name} takes", fields)
    order = _model(name, {"form": (Literal[1], ...), "drives": (dict[str, Path], ...), "given": (given, ...)})
    answer = _model(f"{name} gives", {"value": (hints["return"], ...)})
    return Call(name, name in _READING, signature, order, answer)


def _model(name: str, fields: Mapping[str, Any]) -> type[BaseModel]:
    return create_model(name, __config__=_CONFIG, **fields)


def call_names() -> list[str]:
    """Return the names of all calls."""
    return sorted(_functions())


@cache
def _functions() -> Mapping[str, Callable[..., Any]]:
    return {
        f"{part}.{name}" if part else name: function
        for part, protocols in PARTS.items()
        for protocol in protocols
        for name, function in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_") and name not in ("close", "seen_from")
    }
