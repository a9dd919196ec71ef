"""Computed PVs: their inputs are archived, and none of them is computed from itself."""

from collections.abc import Iterator

from nualley.archive import is_valid_pv_name, split_protocol
from nualley.config.files import PVS, Repository, Use
from nualley.config.mistakes import Mistake
from nualley.core import nearest
from nualley.pv import Expression, ExpressionError, input_faults


def check_expressions(repository: Repository) -> Iterator[Mistake]:
    """Check what PVs are computed from.

    Parameters
    ----------
    repository : Repository
        All files that could be read.

    Yields
    ------
    Mistake
        Inputs that nothing archives, and circles, each told once.
    """
    groups = repository.of(PVS).values()
    archived = [use.name for use in repository.archived()]
    is_complete = all(not document.is_partial for document in groups)
    uses = {str(use.path[1]): use for use in repository.uses(PVS, ("pv", "*", "expression")) if _is_computed(use)}
    inputs_by_pv = {pv: found for pv, use in uses.items() if (found := _inputs(use))}
    told: set[str] = set()
    for pv in inputs_by_pv:
        faults = input_faults(pv, inputs_by_pv, archived.__contains__)
        for name in faults.missing if is_complete else ():
            if is_valid_pv_name(name):
                expected = f"PVs that a file in pvs/ archives: {name} is not among them"
                yield uses[pv].mistake(expected, nearest(name, archived))
        if faults.circle and pv not in told:
            told.update(faults.circle)
            yield uses[pv].mistake(f"PVs that are not computed from it: {' <- '.join(faults.circle)}")


def _is_computed(use: Use) -> bool:
    # a protocol before the name, then a PV's own entry, go before the defaults of its group
    if split_protocol(str(use.path[-2]))[0]:
        return False
    own, common = (*use.path[:-1], "protocol"), ("defaults", "protocol")
    protocols = [value for keys in (own, common) for _, value in use.document.find(keys)]
    return protocols[:1] == ["computed"]


def _inputs(use: Use) -> tuple[str, ...]:
    try:
        return Expression.parse(use.name).inputs
    except ExpressionError:
        return ()  # its own file tells
