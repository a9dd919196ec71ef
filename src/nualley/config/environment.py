"""The environment over ``experiment.toml``: NUALLEY_STORE, NUALLEY_ARCHIVE__ROTATE_S and so on."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from nualley.config.documents import Document
from nualley.config.keys import valid_keys

PREFIX = "NUALLEY_"


def override(document: Document, environ: Mapping[str, str], model: type[BaseModel]) -> None:
    """Put what the environment says over what the file says.

    Parameters
    ----------
    document : Document
        ``experiment.toml``; changed in place.
    environ : mapping of str to str
        The environment; two underscores stand between table and key, case does not matter.
    model : type of BaseModel
        What the file says; variables with one part that is none of its keys are left to others.
    """
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        path = tuple(_keys(variable.removeprefix(PREFIX).split("__"), model))
        if len(path) > 1 or path[0] in valid_keys(model, ()):
            document.override(path, value, variable)


def _keys(words: list[str], model: type[BaseModel]) -> Iterator[str]:
    path: tuple[str, ...] = ()
    for word in words:
        by_lower = {key.lower(): key for key in valid_keys(model, path)}
        path = (*path, by_lower.get(word.lower(), word.lower()))
        yield path[-1]
