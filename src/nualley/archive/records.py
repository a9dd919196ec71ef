"""What is known of a PV under all of its names."""

from collections.abc import Mapping, Sequence

from nualley.archive.errors import PvNotArchivedError
from nualley.archive.models import PvRecord
from nualley.archive.registry import Registry
from nualley.core import nearest


def records_of(registry: Registry, pv: str, others: Mapping[str, Sequence[str]]) -> list[PvRecord]:
    """Return the records of a PV's names, the present one last; at least one.

    Parameters
    ----------
    registry : Registry
        All that is known.
    pv : str
        Any of its names.
    others : mapping of str to sequence of str
        All names of a PV that has several, by each of them.

    Raises
    ------
    PvNotArchivedError
        Where the archive does not know it; names the nearest one.
    """
    names = others.get(pv, (pv,))
    return [registry.by_name[name] for name in names if name in registry.by_name] or [_record(registry, pv)]


def newest_record(records: Sequence[PvRecord]) -> PvRecord:
    """Return the record of the present name; where nothing came under it yet, of the one before."""
    known = [record for record in records if record.value_type is not None]
    return (known or records)[-1]


def _record(registry: Registry, pv: str) -> PvRecord:
    try:
        return registry.by_name[pv]
    except KeyError:
        near = nearest(pv, registry.by_name)
        raise PvNotArchivedError(
            f"{pv!r} is not archived",
            where=pv,
            do=f"did you mean {near!r}?" if near else "nualley archive pvs lists all",
        ) from None
