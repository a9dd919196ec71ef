"""What pydantic found, as mistakes with file, line, key, the value found and what is expected."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nualley.config.documents import Document, Words, items
from nualley.config.keys import fields, models_at, valid_keys
from nualley.config.mistakes import NOTHING, KeyPath, Mistake
from nualley.core import NualleyError, escape_name, nearest

_NEAR = re.compile(r"did you mean '?\{?([^'?}]+)\}?'?\? ")
_WORD = re.compile(r"'([^']*)'")

_EXPECTED = {
    "string_type": "text in quotes",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "list_type": "a list: [...]",
    "tuple_type": "a list: [...]",
    "path_type": "a path in quotes",
    "date_type": "a date, such as 2021-06-01",
    "date_parsing": "a date, such as 2021-06-01",
    "date_from_datetime_parsing": "a date, such as 2021-06-01",
}


def validate(
    document: Document, model: type[BaseModel], given: Mapping[str, str]
) -> tuple[BaseModel | None, list[Mistake]]:
    """Turn a document into its model.

    Parameters
    ----------
    document : Document
        What was read.
    model : type of BaseModel
        What it should say.
    given : mapping of str to str
        Keys that do not stand in the file (the id of a detector is its file's name).

    Returns
    -------
    tuple of BaseModel or None and list of Mistake
        The value, or all that is wrong with it.
    """
    misplaced = [_unknown(document, (key,), model, given) for key in given if key in document.values]
    try:
        return model.model_validate({**document.values, **given}), misplaced
    except ValidationError as error:
        return None, [*misplaced, *_mistakes(document, model, given, error.errors(include_url=False))]


def _mistakes(
    document: Document, model: type[BaseModel], given: Mapping[str, str], errors: list[ErrorDetails]
) -> Iterator[Mistake]:
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    meant = {(*loc[:-1], nearest(str(loc[-1]), _keys(model, loc[:-1], given))) for loc in unknown}
    for error in errors:
        loc = error["loc"]
        if error["type"] == "extra_forbidden":
            yield _unknown(document, loc, model, given)
        elif document.is_partial and (error["type"] == "missing" or isinstance(error["input"], Mapping)):
            continue  # what seems to be missing may stand where the text could not be read
        elif error["type"] == "missing":
            if loc not in meant:  # a misspelled key is not missing
                yield _missing(document, loc, model)
        elif loc and loc[0] in given:
            yield _wrong_name(document, error)
        else:
            yield _wrong(document, error)


def _keys(model: type[BaseModel], table: KeyPath, given: Mapping[str, str]) -> list[str]:
    return [key for key in valid_keys(model, table) if table or key not in given]


def _place(document: Document, loc: KeyPath) -> KeyPath:
    """Leave out what pydantic's location has and the file has not: tags, and the short forms of dated values."""
    place: KeyPath = ()
    value: object = document.values
    for part in loc:
        inner = dict(items(value))
        if part in inner:
            place, value = (*place, part), inner[part]
    return place


def _unknown(document: Document, loc: KeyPath, model: type[BaseModel], given: Mapping[str, str]) -> Mistake:
    keys = _keys(model, loc[:-1], given)
    found = Words(f"the key {str(loc[-1])!r}")
    return document.mistake(
        _place(document, loc), found=found, expected=f"one of {', '.join(keys)}", nearest=nearest(str(loc[-1]), keys)
    )


def _missing(document: Document, loc: KeyPath, model: type[BaseModel]) -> Mistake:
    known = {key: field for table in models_at(model, loc[:-1]) for key, field in fields(table).items()}
    description = known[str(loc[-1])].description if str(loc[-1]) in known else None
    place = (*_place(document, loc[:-1]), loc[-1])
    return document.mistake(place, found=Words(NOTHING), expected=description or "a value")


def _wrong_name(document: Document, error: ErrorDetails) -> Mistake:
    expected, near = _explain(error)
    return Mistake(document.file, None, "", f"the file name '{escape_name(error['input'])}'", expected, near)


def _wrong(document: Document, error: ErrorDetails) -> Mistake:
    expected, near = _explain(error)
    is_key = error["loc"][-1:] == ("[key]",)
    # a key that is not there is wrong where others need it
    is_absent = error["input"] == "" and len(_place(document, error["loc"])) < len(error["loc"])
    given = Words(NOTHING) if is_absent else error["input"]
    found = Words(f"the key {error['input']!r}") if is_key else given
    return document.mistake(_place(document, error["loc"]), found=found, expected=expected, nearest=near)


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """Return what is expected, and the nearest valid word."""
    return _EXPLAIN.get(error["type"], _explain_plainly)(error)


def _explain_plainly(error: ErrorDetails) -> tuple[str, str]:
    expected = _EXPECTED.get(error["type"], error["msg"].removeprefix("Input should be ").removeprefix("Value error, "))
    return expected, ""


def _explain_choice(error: ErrorDetails) -> tuple[str, str]:
    expected = str(_context(error)["expected"])
    words = _WORD.findall(expected)
    return f"one of {', '.join(words)}" if words else expected, nearest(str(error["input"]), words)


def _explain_validity(error: ErrorDetails) -> tuple[str, str]:
    return str(_context(error)["expected"]), ""


def _explain_ours(error: ErrorDetails) -> tuple[str, str]:
    raised = _context(error)["error"]
    if not isinstance(raised, NualleyError):
        return _explain_plainly(error)
    near = _NEAR.search(raised.do)
    advice = _NEAR.sub("", raised.do)
    return f"{advice} ({raised.what})" if advice else raised.what, near[1] if near else ""


def _context(error: ErrorDetails) -> Mapping[str, Any]:
    return error.get("ctx", {})


_EXPLAIN: Mapping[str, Callable[[ErrorDetails], tuple[str, str]]] = {
    "enum": _explain_choice,
    "literal_error": _explain_choice,
    "validity": _explain_validity,
    "value_error": _explain_ours,
}
