"""The command line: parses, calls, shows."""

from nualley.cli.main import main

__all__ = ["main"]
