"""CMS golden JSON: run number -> ranges of blocks."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from nualley.core import split_run_id
from nualley.selection.errors import ListUnreadable
from nualley.selection.models import Blocks, ListedRun

_LARGEST = 10**18 - 1


def read_golden(text: str) -> Mapping[str, Any]:
    """Return a golden JSON as it was read.

    Parameters
    ----------
    text : str
        Such as ``{"190645": [[10, 110]]}``.

    Returns
    -------
    mapping of str to list
        Run -> ranges, in the order of the file.

    Raises
    ------
    ListUnreadable
        Where it says something else, or a run twice.
    """
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
    except ListUnreadable:  # a key twice: it is told already
        raise
    except (ValueError, RecursionError) as error:
        raise ListUnreadable(
            f"the file is no JSON: {error}", where="cms-golden", do='give a file such as {"190645": [[10, 110]]}'
        ) from None
    if not isinstance(found, dict):
        raise _wrong(type(found).__name__, "an object of runs", "the file")
    for run, ranges in found.items():
        _owner(run)
        if not isinstance(ranges, list):
            raise _wrong(ranges, "a list of ranges", run)
        _check_ranges(run, ranges)
    return found


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _wrong(f"{key!r} twice", "each run once", key)
        found[key] = value
    return found


def _check_ranges(run: str, ranges: Sequence[Any]) -> None:
    for block in ranges:
        is_pair = isinstance(block, list) and len(block) == 2 and all(type(end) is int for end in block)
        if not is_pair or not 0 <= block[0] <= block[1] <= _LARGEST:
            raise _wrong(block, "first and last block, such as [10, 110]", run)
    ordered = sorted(ranges)
    for before, after in pairwise(ordered):
        if after[0] <= before[1]:
            raise _wrong(f"{before} and {after}", "ranges that do not overlap", run)


def _owner(run: str) -> tuple[str | None, int]:
    """Return whose run a key is, None where it is a bare number, and its number."""
    if run.isascii() and run.isdecimal() and len(run.lstrip("0")) <= 18:
        return None, int(run)
    try:
        return split_run_id(run)
    except ValueError:
        raise _wrong(repr(run), "the number of a run", run) from None


def _wrong(found: object, expected: str, where: str) -> ListUnreadable:
    return ListUnreadable(
        f"the list says {str(found)[:60]}, expected {expected}", where=where, do="mend the file, and import it again"
    )


def golden_runs(document: Mapping[str, Any], detector: str | None) -> list[ListedRun]:
    """Return the runs of a golden JSON; ``detector`` says whose bare numbers are."""
    found = []
    for run, ranges in document.items():
        owner, number = _owner(run)
        blocks: Blocks = tuple((first, last) for first, last in ranges)
        found.append(ListedRun(detector=owner or detector, number=number, blocks=blocks))
    return found


def write_golden(document: Mapping[str, Any]) -> str:
    """Return the text of a golden JSON, on one line."""
    return json.dumps(document) + "\n"
