"""Every name that a domain shows exists and is documented."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import nualley

PACKAGES = sorted(module.name for module in pkgutil.iter_modules(nualley.__path__) if module.ispkg)
_PARAMETRIC = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
)


def face(name: str) -> ModuleType:
    return importlib.import_module(f"nualley.{name}")


def shown_names(name: str) -> list[str]:
    return list(getattr(face(name), "__all__", ()))


@pytest.mark.parametrize(
    "name",
    [
        "archive",
        "catalog",
        "config",
        "core",
        "daq",
        "demo",
        "experiment",
        "exposure",
        "ingest",
        "physics",
        "pv",
        "replicas",
        "selection",
        "storage",
    ],
)
def test_a_domain_has_a_face(name: str) -> None:
    assert shown_names(name)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_in_one_line_what_it_is(name: str) -> None:
    document = face(name).__doc__ or ""
    assert document.strip(), f"nualley.{name} has no caption"
    assert "\n" not in document.strip(), f"the caption of nualley.{name} is longer than a line"


@pytest.mark.parametrize("name", PACKAGES)
def test_all_names_are_sorted_unique_and_there(name: str) -> None:
    shown = shown_names(name)
    assert len(shown) == len(set(shown))
    assert [word for word in shown if not hasattr(face(name), word)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_shown_class_and_function_is_documented(name: str) -> None:
    module = face(name)
    bare = []
    for word in shown_names(name):
        found = getattr(module, word)
        if (inspect.isclass(found) or inspect.isfunction(found)) and not _own_document(found):
            bare.append(word)
    assert not bare, f"no docstring: {bare}"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_argument_of_a_shown_function_is_documented(name: str) -> None:
    module = face(name)
    missing = []
    for word in shown_names(name):
        found = getattr(module, word)
        document = inspect.getdoc(found) or ""
        if inspect.isfunction(found) and "Parameters\n" in document:  # one line is enough where it says all
            missing += [f"{word}({argument})" for argument in _arguments(found) if argument not in document]
    assert not missing, f"in no docstring: {missing}"


def _own_document(found: object) -> str:
    # a subclass inherits its base's text, which says nothing of it
    return (found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__) or ""


def _arguments(function: object) -> list[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]  # it is a function
    return [parameter.name for parameter in parameters if parameter.kind in _PARAMETRIC]
