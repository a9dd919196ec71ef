"""Whether a PV that was added is found: for a moment, the running archive is watched until it is connected."""

import time
from collections.abc import Callable

from nualley.app.site import Site
from nualley.archive import ArchiveMissingError, PvNotArchivedError

SEARCH_S = 2.0
"""An IOC that is there answers within so long [s]."""

_LOOK_S = 0.05


def searched_at(site: Site, protocol: str) -> tuple[str, ...]:
    """Return where PVs of a protocol are searched; nowhere where they are pushed or computed.

    Parameters
    ----------
    site : Site
        The experiment.
    protocol : str
        Such as ``ca``.
    """
    epics, mqtt = site.configuration.epics, site.configuration.mqtt
    broadcast = ("the broadcast addresses of this machine",)
    if protocol == "ca":
        return (*map(str, epics.addr_list), *(broadcast if epics.auto_addr_list else ()))
    if protocol == "pva":
        return (*map(str, epics.pva_addr_list), *(broadcast if epics.pva_auto_addr_list else ()))
    return (f"{mqtt.host}:{mqtt.port}",) if protocol == "mqtt" else ()


def is_found(site: Site, pv: str, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Return whether a PV is connected, now or within `SEARCH_S`.

    Parameters
    ----------
    site : Site
        The experiment, whose archive runs.
    pv : str
        Its name.
    sleep : callable, optional
        Waits so many seconds between two looks.
    """
    for _ in range(round(SEARCH_S / _LOOK_S)):
        if _is_connected(site, pv):
            return True
        sleep(_LOOK_S)
    return _is_connected(site, pv)


def _is_connected(site: Site, pv: str) -> bool:
    try:
        (last,) = site.last_values([pv])
    except (ArchiveMissingError, PvNotArchivedError):  # its first commit comes in a moment
        return False
    return last.state.is_connected
