"""Writes the pages of the reference that are made from the code: ``python -m tools.reference``."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclopts import App

from nualley.cli.main import make_app
from nualley.config import schemas

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
_MADE = "<!-- made by `python -m tools.reference`; a test fails where it no longer agrees with the code -->\n"
_COMMANDS = """# Commands

`nualley --version` prints the version, `nualley COMMAND --help` the help of a command. What a command answers under
`--json` is in [](json.md), what it ends with in [](exit-codes.md). A time is ISO 8601 with a zone
(`2026-11-23T04:00:00Z`), a date (the start of that UTC day), `now`, or a time ago such as `-2h`.

`--experiment`, `--json` and `--format` may also stand before the command.
"""
_SETTINGS = """# Settings

Every key of the files of an experiment repository. Keys of `experiment.toml` can be set in the environment too, with
two underscores between table and key: `NUALLEY_STORE`, `NUALLEY_ARCHIVE__ROTATE_S`; the environment wins.
`nualley check` finds every mistake at once, `nualley schema` prints the same as JSON Schema.

A *dated* value is a plain value, a table `{ value, from, to, source, note }`, or a list of such tables whose times do
not overlap; `from` is included, `to` is not. What nobody knows is written `"unknown"`.
"""

Schema = Mapping[str, Any]

# ---------------------------------------------------------------- commands


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command that does something, with the words that call it."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if command.default_command is None:
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def summary_and_example(command: App) -> tuple[str, str]:
    """Return what a command does, in its own words, and the line that shows how it is called."""
    text = (command.default_command.__doc__ or "").split("Parameters\n")[0]
    body, _, example = text.partition("Example:")
    return " ".join(body.split()), example.strip()


def options(command: App) -> list[dict[str, str]]:
    """Return the arguments and options of a command, in the order of its help."""
    found = []
    for argument in command.assemble_argument_collection(parse_docstring=True):
        if not argument.show or argument.names == ("*",):
            continue
        choices = argument.get_choices() or ()
        default = argument.field_info.default
        is_plain = isinstance(default, str | int | float | bool) and not isinstance(default, type)
        environment = " ".join(f"`{name}`" for name in argument.parameter.env_var or ())
        found.append(
            {
                "name": ", ".join(f"`{name}`" for name in argument.names),
                "help": " ".join((argument.parameter.help or "").split()),
                "choices": ", ".join(f"`{choice}`" for choice in choices),
                "default": f"`{default}`" if is_plain and default is not False else "",
                "required": "yes" if argument.required else "",
                "environment": environment,
            }
        )
    return found


def cli_page() -> str:
    """Return the page of all commands."""
    lines = [_MADE, _COMMANDS]
    for words, command in commands(make_app()):
        summary, example = summary_and_example(command)
        lines += [f"## nualley {' '.join(words)}\n", f"{summary}\n", f"```text\n{example}\n```\n"]
        lines += _option_table(options(command))
    return "\n".join(lines).rstrip() + "\n"


def _option_table(found: list[dict[str, str]]) -> list[str]:
    if not found:
        return []
    lines = ["| option | what it says | needed | default |", "|---|---|---|---|"]
    for option in found:
        said = option["help"]
        said += f" One of {option['choices']}." if option["choices"] else ""
        said += f" Environment: {option['environment']}." if option["environment"] else ""
        lines.append(f"| {option['name']} | {_cell(said)} | {option['required']} | {option['default']} |")
    return [*lines, ""]


# ---------------------------------------------------------------- settings


def settings_page() -> str:
    """Return the page of every key of every TOML file."""
    lines = [_MADE, _SETTINGS]
    for file, schema in schemas().items():
        lines.append(f"## {file}\n")
        if "description" in schema:
            lines.append(f"{_flat(schema['description'])}\n")
        lines += _table(schema, schema.get("$defs", {}), "")
    return "\n".join(lines).rstrip() + "\n"


def _table(schema: Schema, definitions: Mapping[str, Schema], prefix: str) -> list[str]:
    """Return the keys of a table, then those of the tables in it."""
    lines = ["| key | type | default | what it says |", "|---|---|---|---|"]
    below: list[str] = []
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        shape, inner = _inner_table(field, definitions)
        if inner is None:
            default = "*needed*" if key in required else _default(field)
            type_ = _cell(_type(field, definitions))
            lines.append(f"| `{key}` | {type_} | {default} | {_cell(_flat(field.get('description', '')))} |")
            continue
        name = f"{prefix}{key}"
        heading = {"table": f"[{name}]", "tables": f"[{name}.<name>]", "list": f"[[{name}]]"}[shape]
        text = _cell(_flat(field.get("description", "") or inner.get("description", "")))
        below += [f"### `{heading}`\n", f"{text}{' Needed.' if key in required else ''}\n"]
        below += _table(inner, definitions, f"{name}." if shape != "tables" else f"{name}.<name>.")
    return ([*lines, ""] if len(lines) > 2 else []) + below


def _inner_table(field: Schema, definitions: Mapping[str, Schema]) -> tuple[str, Schema | None]:
    """Say whether a field is a table of its own, a table of tables or a list of tables, and which."""
    for option in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        for shape, found in (
            ("table", option),
            ("tables", option.get("additionalProperties", {})),
            ("list", option.get("items", {})),
        ):
            inner = _resolved(found, definitions) if isinstance(found, dict) and "$ref" in found else {}
            if inner.get("type") == "object" and "properties" in inner and not _is_dated(inner):
                return shape, inner
    return "", None


def _is_dated(schema: Schema) -> bool:
    return {"from", "to"} <= set(schema.get("properties", ()))


def _type(field: Schema, definitions: Mapping[str, Schema]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rsplit("/", 1)[1]], definitions)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "anyOf" in field or "oneOf" in field:
        return _union(field.get("anyOf") or field["oneOf"], definitions)
    return _simple_type(field, definitions)


def _union(alternatives: list[Schema], definitions: Mapping[str, Schema]) -> str:
    if any(_is_dated(_resolved(option, definitions)) for option in alternatives):
        plain = [option for option in alternatives if not _has_table(option, definitions)]
        names = dict.fromkeys(_type(option, definitions) for option in plain)
        return " or ".join(name for name in names if name not in ("null", "`unknown`")) + ", dated"
    names = dict.fromkeys(_type(option, definitions) for option in alternatives)
    return " or ".join(name for name in names if name != "null")


def _resolved(option: Schema, definitions: Mapping[str, Schema]) -> Schema:
    return definitions[option["$ref"].rsplit("/", 1)[1]] if "$ref" in option else option


def _has_table(option: Schema, definitions: Mapping[str, Schema]) -> bool:
    found = _resolved(option, definitions)
    return found.get("type") in ("object", "array")


def _simple_type(field: Schema, definitions: Mapping[str, Schema]) -> str:
    kind = field.get("type", "any")
    examples = ", ".join(f"`{example}`" for example in field.get("examples", ()))
    if examples:  # a number with its unit: written as text, whatever it becomes inside
        return f"text such as {examples}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "table", "null": "null"}
    name = words.get(kind, kind)
    if kind == "array":
        item = _resolved(field.get("items", {}), definitions)
        name = "list of dated tables" if _is_dated(item) else f"list of {_type(item, definitions)}"
    limits = [
        f"{sign} {field[limit]}"
        for limit, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if limit in field
    ]
    return ", ".join([name, *limits])


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "", [], {}):
        return ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    # what would be read as the end of a cell or as a tag of HTML
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


# ---------------------------------------------------------------- all of it

PAGES = {"cli.md": cli_page, "settings.md": settings_page}


def main() -> int:
    """Write every page anew."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
