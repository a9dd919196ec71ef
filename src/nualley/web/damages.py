"""Damaged files of the archive that answers had to do without: said once in the log, and with each answer."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

import structlog

HEADER = "Nualley-Damaged"
"""An answer that can say it in no other way names the damaged files here, with commas between."""

_log = structlog.get_logger()


class DamageLog:
    """Says of each damaged file once that an answer met it, and again where it was whole meanwhile."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, damages: Iterable[str]) -> None:
        """Log what was not known before.

        Parameters
        ----------
        damages : iterable of str
            What a reader of the archive found damaged, as it stands now.
        """
        now = set(damages)
        for damage in sorted(now - self._told):
            _log.error("a sealed file is damaged, answers do without it", what=damage, do="nualley archive verify")
        self._told = now


def damage_headers(paths: Iterable[str]) -> Mapping[str, str]:
    """Return the header that names damaged files; none where there are none."""
    names = ", ".join(quote(path) for path in paths)
    return {HEADER: names} if names else {}
