"""Rules against the plainest way to apply them: one after the other, folder by folder."""

import fnmatch
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nualley.storage import NOBODY, Owner, Ownership, OwnershipRule

NAMES = st.sampled_from(["a", "b", "ab", "run1", "run22", "x.y", "hpge", "tmp"])
PARTS = st.sampled_from(["a", "*", "a*", "?b", "**", "run{run}", "{detector}", "{owner}", "{stage:a|r*}", "x.y"])


def pattern_is_once(parts: Sequence[str]) -> bool:
    keys = [part for part in parts if "{" in part]
    return len(keys) == len(set(keys))


RULES = st.lists(
    st.builds(
        lambda parts, owner: OwnershipRule("/".join(parts), stage=None, owner=None if "{owner}" in parts else owner),
        st.lists(PARTS, min_size=1, max_size=4).filter(pattern_is_once),
        st.sampled_from(["ada", "bob"]),
    ),
    max_size=5,
)


def matches_part(part: str, name: str) -> bool:
    plain = {"run{run}": "run", "{detector}": "hpge", "{owner}": "*", "{stage:a|r*}": ""}
    if part == "run{run}":
        return name.startswith("run") and name[3:].isdecimal()
    if part == "{stage:a|r*}":
        return name == "a" or name.startswith("r")
    return fnmatch.fnmatchcase(name, plain.get(part, part))


def matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts:
        return True
    if parts[0] == "**":
        return any(matches(parts[1:], names[skipped:]) for skipped in range(len(names) + 1))
    return bool(names) and matches_part(parts[0], names[0]) and matches(parts[1:], names[1:])


@given(RULES, st.lists(NAMES, max_size=5))
def test_they_agree_with_the_plain_way(rules: list[OwnershipRule], names: list[str]) -> None:
    found = Ownership(rules, "data1", ["hpge"]).owner_of("/".join(names).encode())
    expected = next((rule for rule in rules if matches(rule.path.split("/"), names)), None)
    if expected is None:
        assert found == NOBODY
    else:
        assert found.owner == expected.owner or "{owner}" in expected.path
        assert (found.run is not None) == ("{run}" in expected.path)


@given(RULES, st.lists(NAMES, min_size=1, max_size=5))
def test_what_is_in_a_directory_is_owned_if_the_directory_is(rules: list[OwnershipRule], names: list[str]) -> None:
    ownership = Ownership(rules, "data1", ["hpge"])
    above: Owner = ownership.owner_of("/".join(names[:-1]).encode())
    if above != NOBODY:
        assert ownership.owner_of("/".join(names).encode()) != NOBODY
