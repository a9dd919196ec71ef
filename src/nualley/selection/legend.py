"""Run lists as LEGEND writes them: YAML of ``valid: phy: p02: r000..r003``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nualley.selection.errors import ListUnreadable
from nualley.selection.models import ListedRun

_RANGE = re.compile(r"r(\d{1,18})(?:\.\.r(\d{1,18}))?", re.ASCII)
_PERIOD = re.compile(r"p\d+", re.ASCII)
_MOST_RUNS = 1_000_000


def read_legend(text: str) -> Mapping[str, Any]:
    """Return a run list in YAML as it was read.

    Parameters
    ----------
    text : str
        Tables in each other, and at their ends ranges: ``r000..r003``, ``r005`` or a list of such.

    Returns
    -------
    mapping
        In the order of the file.

    Raises
    ------
    ListUnreadable
        Where it is no YAML, or says something else, a key twice, or by reference.
    """
    import yaml  # noqa: PLC0415  # only this format needs it

    try:
        found = yaml.load(text, Loader=_loader(yaml))  # noqa: S506  # a SafeLoader that takes less
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ListUnreadable(
            f"the file is no YAML: {said}",
            where="legend-yaml",
            do="give a file such as valid: {phy: {p02: r000..r002}}",
        ) from None
    if not isinstance(found, dict):
        raise _wrong(type(found).__name__, "tables of runs", "the file")
    for _ in legend_runs(found, None):
        pass
    return found


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
        """Takes no references, no key twice, and texts as texts."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("references (&, *) are not taken")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # yaml's own
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = [key for key in keys if not isinstance(key, str) or keys.count(key) > 1]
            if twice:
                raise yaml.YAMLError(f"the key {twice[0]!r} is no text, or stands there twice")
            return super().construct_mapping(node, deep)

    return Loader


def legend_runs(document: Mapping[str, Any], detector: str | None) -> list[ListedRun]:
    """Return the runs of a list.

    Parameters
    ----------
    document : mapping
        As it was read.
    detector : str or None
        Whose runs they are; None: the innermost key says so, unless it is a period such as ``p02``.

    Returns
    -------
    list of ListedRun
        In the order of the file; the keys around a run are its period.

    Raises
    ------
    ListUnreadable
        Where a range is none, or a run stands there twice.
    """
    found: dict[tuple[str, int], ListedRun] = {}
    for path, text in _leaves(document, ()):
        inner = path[-1] if path else ""
        owner = detector or (None if _PERIOD.fullmatch(inner) or len(path) < 2 else inner)
        period = "/".join(path[1:] if path[:1] == ("valid",) else path)
        for number in _numbers(text, period):
            if (period, number) in found:
                raise _wrong(f"run {number} twice", "each run once", period)
            found[period, number] = ListedRun(detector=owner, number=number, period=period)
    return list(found.values())


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, path)
    elif isinstance(value, str):
        yield path, value
    else:
        raise _wrong(repr(value), "a range such as r000..r003", "/".join(path))


def _numbers(text: str, where: str) -> range:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise _wrong(repr(text), "a range such as r000..r003", where)
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < first + _MOST_RUNS:
        raise _wrong(repr(text), f"a range that does not end before it begins, of at most {_MOST_RUNS} runs", where)
    return range(first, last + 1)


def _wrong(found: str, expected: str, where: str) -> ListUnreadable:
    return ListUnreadable(
        f"the list says {found[:60]}, expected {expected}", where=where, do="mend the file, and import it again"
    )


def ranges(numbers: Sequence[int]) -> list[str]:
    """Return run numbers as ranges.

    Examples
    --------
    >>> ranges([5, 1, 2, 3])
    ['r001..r003', 'r005']
    """
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [f"r{first:03d}" if first == last else f"r{first:03d}..r{last:03d}" for first, last in found]


def write_legend(document: Mapping[str, Any]) -> str:
    """Return the text of a run list in YAML; comments are not kept."""
    import yaml  # noqa: PLC0415  # only this format needs it

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False))
