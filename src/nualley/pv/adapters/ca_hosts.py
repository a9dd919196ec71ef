"""Numeric addresses of IOCs: libca gives the number first and, once it has asked DNS, the name."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

from nualley.core import end_tasks


class Hosts:
    """Addresses of IOCs by what libca calls them; a name is looked up in a thread, for DNS may take its time.

    Parameters
    ----------
    on_found : callable
        Called in the event loop whenever a lookup has ended.
    """

    def __init__(self, on_found: Callable[[], None]) -> None:
        self._on_found = on_found
        self._address_by_name: dict[str, str] = {}
        self._lookups: dict[str, asyncio.Task[None]] = {}

    def address(self, name: str) -> str | None:
        """Return the address of an IOC, or begin to look it up.

        Parameters
        ----------
        name : str
            ``HOST:PORT`` as libca gives it.

        Returns
        -------
        str or None
            With a numeric host; with the host's name where DNS gives it in one direction only; None while it is asked.
        """
        host = name.rpartition(":")[0]
        if name not in self._address_by_name and _is_numeric(host):
            self._address_by_name[name] = name
        if name not in self._address_by_name and name not in self._lookups:
            self._lookups[name] = asyncio.get_running_loop().create_task(self._look_up(name))
        return self._address_by_name.get(name)

    async def stop(self) -> None:
        """Wait for no answer any more."""
        await end_tasks(self._lookups.values())
        self._lookups.clear()

    async def _look_up(self, name: str) -> None:
        host, _, port = name.rpartition(":")
        try:
            found = await asyncio.to_thread(socket.gethostbyname, host)
        except (OSError, UnicodeError):  # a name that DNS gives in one direction only is still a name
            found = host
        self._address_by_name[name] = f"{found}:{port}"
        del self._lookups[name]
        self._on_found()


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
