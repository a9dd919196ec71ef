"""By what and where replicas are copied, read and taken away, for the record."""

import socket

from nualley import __version__
from nualley.app.provenance import configuration_digest
from nualley.app.site import Site
from nualley.catalog import Origin


def origin_of(site: Site) -> Origin:
    """Return this code, the experiment repository as it is now, and this machine."""
    return Origin(f"nualley {__version__}", configuration_digest(site), socket.gethostname())
