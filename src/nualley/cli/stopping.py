"""What a command answers that Ctrl-C ended; imports next to nothing: when it is needed, nothing may be loaded yet."""

from collections.abc import Sequence

STOPPED = 130
"""The exit code of a command that Ctrl-C ended; `nualley.core.ExitCode.STOPPED`, which is not loaded yet."""

STOPPED_JSON = (
    '{"error": {"what": "stopped by the user", "where": "Ctrl-C (SIGINT)", '
    '"do": "give the same command again: what was finished stays", "code": 130}}'
)
"""What a stopped command answers under ``--json``; a constant: a signal's handler can import nothing."""


def wants_json(words: Sequence[str]) -> bool:
    """Say whether a command line asks for JSON, before it is parsed."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(word in ("--json", "--format=json") or (word, after) == ("--format", "json") for word, after in pairs)
