"""A miniature Neutrino Alley: a real IOC and DAQs that write real files; nothing but the command line imports it."""

from nualley.demo.errors import DemoError, DemoStoppedError
from nualley.demo.runner import DemoDetector, DemoWorld
from nualley.demo.scenarios import Scenario

__all__ = ["DemoDetector", "DemoError", "DemoStoppedError", "DemoWorld", "Scenario"]
