"""Every key of every TOML file says what it is for."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from nualley.config import schemas

SCHEMAS = schemas()
FILES = {
    "experiment.toml",
    "beam.toml",
    "drives.toml",
    "people.toml",
    "detectors/*.toml",
    "pvs/*.toml",
    "flags.toml",
    "selections/*.toml",
}


def fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every key of a file, with its table's name before it."""
    for title, table in ((schema.get("title", ""), schema), *schema.get("$defs", {}).items()):
        for key, field in table.get("properties", {}).items():
            # what a table of its own says once is not repeated where it is named
            named = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
            yield f"{title}.{key}", {**named, **field}


def test_every_kind_of_file_has_a_schema() -> None:
    assert set(SCHEMAS) == FILES


@pytest.mark.parametrize("file", SCHEMAS)
def test_every_key_is_described(file: str) -> None:
    # the inside of a dated value is described once, by Dated
    bare = [key for key, field in fields(SCHEMAS[file]) if not field.get("description")]
    assert not bare


@pytest.mark.parametrize("file", SCHEMAS)
def test_every_description_is_a_sentence(file: str) -> None:
    odd = [
        key for key, field in fields(SCHEMAS[file]) if not str(field.get("description", ".")).rstrip("'").endswith(".")
    ]
    assert not odd


@pytest.mark.parametrize("file", SCHEMAS)
def test_no_table_takes_an_unknown_key(file: str) -> None:
    tables = [SCHEMAS[file], *SCHEMAS[file].get("$defs", {}).values()]
    open_tables = [
        table.get("title")
        for table in tables
        if table.get("type") == "object" and table.get("properties") and table.get("additionalProperties") is not False
    ]
    assert not open_tables
