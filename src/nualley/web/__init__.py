"""The status page: what an experiment does now, in a browser on its own machine."""

from nualley.web.application import create_app
from nualley.web.errors import HostNotLoopbackError, PortRefusedError, PortTakenError
from nualley.web.ports import Site
from nualley.web.server import serve_until

__all__ = [
    "HostNotLoopbackError",
    "PortRefusedError",
    "PortTakenError",
    "Site",
    "create_app",
    "serve_until",
]
