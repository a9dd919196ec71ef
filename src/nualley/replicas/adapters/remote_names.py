"""Names on remotes: there a file is called as the catalog writes it, escaped, so that every remote can hold it."""

from collections.abc import Iterable
from pathlib import Path

from nualley.core import escape_name
from nualley.replicas.carrying import PART_SUFFIX
from nualley.replicas.models import Listing, Refused, Seen
from nualley.replicas.places import is_escaped
from nualley.storage import SourceVanished


def listing(root: str, found: Iterable[Seen | Refused]) -> Listing:
    """Return what a look found, by path; what is called otherwise than the catalog writes, and parts, are left out.

    Parameters
    ----------
    root : str
        The directory that paths begin at.
    found : iterable of Seen or Refused
        Every file, in any order.
    """
    files: list[Seen] = []
    skipped: list[Refused] = []
    for each in found:
        name = each.path.rpartition("/")[2]
        if isinstance(each, Refused):
            skipped.append(each)
        elif not is_escaped(each.path):
            skipped.append(Refused(escape_name(each.path), "a name that no file of a catalog has"))
        elif name.startswith(".") and name.endswith(PART_SUFFIX):
            skipped.append(Refused(each.path, "nualley's own"))
        else:
            files.append(each)
    return Listing(Path("/", root), tuple(sorted(files, key=lambda seen: seen.path)), skipped=tuple(skipped))


def vanished(remote: str, path: str) -> SourceVanished:
    """Return the error of a file that is not at a remote.

    Parameters
    ----------
    remote, path : str
        Where it should be.
    """
    address = f"{remote}:/{path}"
    return SourceVanished(f"{address} is not there", where=address, do="look whether it was moved, then name it anew")
