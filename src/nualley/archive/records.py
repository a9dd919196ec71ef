"""What is known of a PV under all of its names."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import fields, replace

from nualley.archive.errors import PvNotArchivedError
from nualley.archive.models import LastValue, PvSummary
from nualley.archive.names import same_pv, split_protocol
from nualley.archive.pv_record import Ledger, PvRecord
from nualley.archive.registry import Registry
from nualley.core import nearest


def names_of(pv: str, others: Mapping[str, Sequence[str]], stored: Container[str]) -> Sequence[str]:
    """Return the names under which the history of a PV stands, by time.

    Parameters
    ----------
    pv : str
        Any of its names, also with a protocol before it; ``PV`` and ``PV.VAL`` are one.
    others : mapping of str to sequence of str
        All names of a PV that has several, by each of them.
    stored : container of str
        Names under which something is stored.

    Examples
    --------
    >>> names_of("pva://LAB:T.VAL", {}, {"LAB:T"}), names_of("LAB:T", {"LAB:T": ("LAB:OLD", "LAB:T")}, {"LAB:T"})
    (('LAB:T',), ('LAB:OLD', 'LAB:T'))
    """

    def is_known(name: str) -> bool:
        return name in others or name in stored

    name = pv if is_known(pv) else same_pv(split_protocol(pv)[1], is_known)
    return others.get(name, (name,))


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
    names = names_of(pv, others, registry.by_name)
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


def all_records(registry: Registry, others: Mapping[str, Sequence[str]]) -> list[list[PvRecord]]:
    """Return the records of every PV, each once, by its present name; a name that it had before is no PV.

    Parameters
    ----------
    registry : Registry
        All that is known.
    others : mapping of str to sequence of str
        All names of a PV that has several, by each of them.
    """
    found = {records[-1].name: records for records in (records_of(registry, name, others) for name in registry.by_name)}
    return [found[name] for name in sorted(found)]


def last_value(registry: Registry, records: Sequence[PvRecord], now_ns: int) -> LastValue:
    """Return the last value of a PV: until one came under its present name, that of the name before.

    Parameters
    ----------
    registry : Registry
        All that is known.
    records : sequence of PvRecord
        Of the PV's names, the present one last.
    now_ns : int
        The time now [ns since 1970 UTC].
    """
    present = registry.last_value(records[-1], now_ns)
    earlier = next((record for record in reversed(records) if record.last), None)
    if present.time_ns is not None or earlier is None:
        return present
    before = registry.last_value(earlier, now_ns)
    return replace(before, pv=present.pv, state=present.state, reason=present.reason)


def summarise(registry: Registry, records: Sequence[PvRecord], now_ns: int) -> PvSummary:
    """Return the account of a PV over all of its names; see `last_value`."""
    ledgers = [record.ledger for record in records]
    newest = newest_record(records)
    total = Ledger(**{field.name: sum(getattr(ledger, field.name) for ledger in ledgers) for field in fields(Ledger)})
    return PvSummary(last_value(registry, records, now_ns), newest.value_type, newest.protocol, newest.ioc, total)
