"""Every command is documented, shows an example, and speaks JSON where it shows data."""

import re
from pathlib import Path

import pytest

from nualley.cli.main import main, make_app
from nualley.core import ExitCode
from tools.reference import PAGES, commands, options, summary_and_example

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
COMMANDS = {" ".join(words): command for words, command in commands(make_app())}
WITHOUT_DATA = {"init", "up"}
"""Commands that show nothing but what they do."""

PROMISED = {
    "init", "check", "schema", "doctor", "up", "service", "demo", "runs ingest", "runs list", "runs show",
    "runs settings", "runs diff", "runs note",
    "runs flag", "runs flags", "runs validate", "archive pvs", "archive last", "archive get", "beam exposure",
    "beam ledger", "beam trace", "beam plot", "beam rows", "drives list", "catalog backup", "catalog restore",
    "selection define", "selection list", "selection show", "selection diff", "selection freeze", "selection import",
    "selection export", "transfer copy", "transfer list", "transfer resume", "transfer verify",
}  # fmt: skip


def test_the_promised_commands_are_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_agrees_with_the_code(page: str) -> None:
    assert (REFERENCE / page).read_text() == PAGES[page](), "do: .venv/bin/python -m tools.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    page = (REFERENCE / "cli.md").read_text()
    section = page.partition(f"## nualley {name}\n")[2].partition("\n## ")[0]
    assert section, f"nualley {name} is not in docs/reference/cli.md"
    assert [option["name"] for option in options(COMMANDS[name]) if option["name"] not in section] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    summary, example = summary_and_example(COMMANDS[name])
    assert summary.endswith(".")
    assert example.startswith(f"nualley {name}"), f"no example in the docstring of nualley {name}"
    assert main([*name.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: {example}" in shown, "the help does not show the example"


@pytest.mark.parametrize("group", sorted({name.split()[0] for name in COMMANDS if " " in name}))
@pytest.mark.parametrize("words", [[], ["--help"]], ids=["bare", "help"])
def test_the_help_of_a_group_says_what_each_verb_does(
    group: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([group, *words]) == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for name, command in COMMANDS.items():
        if name.startswith(f"{group} "):
            first_sentence = summary_and_example(command)[0].partition(". ")[0]
            assert f"{name.split()[1]} {first_sentence}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    bare = [option["name"] for option in options(COMMANDS[name]) if not option["help"]]
    assert not bare, f"nualley {name}: no help text for {', '.join(bare)}"


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_DATA))
def test_every_command_that_shows_data_has_json(name: str) -> None:
    names = " ".join(option["name"] for option in options(COMMANDS[name]))
    assert "`--json`" in names
    assert "`--format`" in names


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_call_that_parses(name: str) -> None:
    _, example = summary_and_example(COMMANDS[name])
    words = re.sub(r"\s>.*", "", example).split('"')  # the shell's part is not ours; quoted text is one word
    parts = [part for index, text in enumerate(words) for part in ([text] if index % 2 else text.split())]
    command, bound, _ = make_app().parse_args(parts[1:], exit_on_error=False, print_error=False)
    assert command is COMMANDS[name].default_command
    assert bound is not None


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.name)
def test_every_exit_code_is_in_the_reference(code: ExitCode) -> None:
    page = (REFERENCE / "exit-codes.md").read_text()
    assert re.search(rf"^\| {int(code)} \| `{code.name}` \|", page, re.MULTILINE)
