"""Which keys a model knows at a place of its document."""

from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of a model by the key that a document uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def models_at(model: type[BaseModel], location: tuple[str | int, ...]) -> tuple[type[BaseModel], ...]:
    """Return the models of the table at a place.

    Parameters
    ----------
    model : type of BaseModel
        The model of the document.
    location : tuple of str and int
        Keys and indices; those of lists and free tables do not lead deeper into the model.

    Returns
    -------
    tuple of type
        More than one where the table may have several forms.
    """
    found: tuple[type[BaseModel], ...] = (model,)
    for part in location:
        inner = [field.annotation for table in found for key, field in fields(table).items() if key == part]
        found = tuple(table for annotation in inner for table in _models(annotation)) or found
    return found


def valid_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys that the table at a place may have."""
    return tuple(key for table in models_at(model, location) for key in fields(table))


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
