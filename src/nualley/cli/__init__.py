"""The command line: parses, calls, shows."""

from nualley.cli.start import main

__all__ = ["main"]
