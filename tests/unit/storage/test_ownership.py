"""Patterns and rules: what they match, in which order, and what is refused."""

import pytest

from nualley.core import UsageError
from nualley.storage import NOBODY, Owner, Ownership, OwnershipRule, OwnershipSettings, StorageSettings
from nualley.storage.patterns import check_pattern

DETECTORS = ("cenns-10", "cenns-1", "hpge")


def owner_of(path: str, *rules: OwnershipRule, drive: str = "data1") -> Owner:
    return Ownership(rules, drive, DETECTORS).owner_of(path.encode())


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a", ["a", "a/b/c"], ["", "ab", "b/a"]),
        ("a/b", ["a/b", "a/b/c"], ["a", "a/bc"]),
        ("a*", ["a", "abc/d"], ["ba"]),
        ("*", ["a", "a/b"], [""]),
        ("**/*", ["a", "a/b"], [""]),
        ("{stage:*}", ["a"], [""]),
        ("a?c", ["abc"], ["ac", "a/c", "abbc"]),
        ("*/b", ["a/b"], ["b", "a/a/b"]),
        ("**", ["", "a", "a/b"], []),
        ("**/tmp", ["tmp", "a/tmp", "a/b/tmp/c"], ["tmpx", "a/xtmp"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "a/b"]),
        ("a/**", ["a", "a/b"], ["b"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("[ab]", ["[ab]"], ["a", "b"]),
        ("run{run}", ["run7", "run000123"], ["run", "runx", "run7x"]),
        ("{detector}", ["cenns-10", "cenns-1", "hpge/x"], ["cenns-100", "nai"]),
        ("{stage:hit|sim*}", ["hit", "sim", "simulation"], ["raw", "hits"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    rule = OwnershipRule(pattern, owner="us")
    assert [path for path in matching if owner_of(path, rule).owner != "us"] == []
    assert [path for path in others if owner_of(path, rule) != NOBODY] == []


def test_words_are_taken_from_the_path() -> None:
    rule = OwnershipRule("{detector}/{stage}/**/run{run}/by-{owner}")
    assert owner_of("hpge/hit/2026/11/run0042/by-ada/more", rule) == Owner("hpge", "hit", 42, "ada")


def test_the_first_rule_that_matches_wins() -> None:
    rules = OwnershipRule("**/tmp", stage="scratch"), OwnershipRule("hpge", detector="hpge")
    assert owner_of("hpge/x/tmp/y", *rules) == Owner(stage="scratch")
    assert owner_of("hpge/x", *rules) == Owner(detector="hpge")
    assert owner_of("hpge/x/tmp/y", *reversed(rules)) == Owner(detector="hpge")


def test_a_rule_may_be_for_some_drives() -> None:
    rule = OwnershipRule("a", owner="ada", drives=("data2",))
    assert owner_of("a", rule) == NOBODY
    assert owner_of("a", rule, drive="data2").owner == "ada"


def test_without_rules_all_is_nobodys() -> None:
    assert owner_of("a") == NOBODY


def test_names_that_are_not_utf_8_and_hold_line_breaks() -> None:
    ownership = Ownership([OwnershipRule("users/{owner}")], "data1", ())
    assert ownership.owner_of(b"users/a\xff/x").owner == "a\\xff"
    assert ownership.owner_of(b"users/a\nb").owner == "a\nb"


def test_a_number_that_no_run_can_have_is_no_run() -> None:
    assert owner_of(f"run{'9' * 30}", OwnershipRule("run{run}", stage="raw")) == Owner(stage="raw")


def test_without_detectors_none_is_taken() -> None:
    assert Ownership([OwnershipRule("{detector}")], "data1", ()).owner_of(b"hpge") == NOBODY


def test_the_digest_tells_rules_apart() -> None:
    one = Ownership([OwnershipRule("a", owner="x")], "data1", ())
    assert one.digest == Ownership([OwnershipRule("a", owner="x")], "data1", ()).digest
    assert one.digest != Ownership([OwnershipRule("a", owner="y")], "data1", ()).digest
    assert one.digest != Ownership([OwnershipRule("a", owner="x")], "data1", ("hpge",)).digest


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("/a", "empty, '.' or '..' part"),
        ("a//b", "empty, '.' or '..' part"),
        ("a/../b", "empty, '.' or '..' part"),
        ("", "empty, '.' or '..' part"),
        ("a**", "has ** inside of a name"),
        ("{detectr}", "{detectr} is not a key of a path"),
        ("{", "has a lone '{'"),
        ("a}", "has a lone '}'"),
        ("{run}/{run}", "takes {run} twice"),
        ("{run:1|2}", "{run:1|2} has words that cannot be"),
        ("{stage:hit|}", "{stage:hit|} has words that cannot be"),
    ],
)
def test_patterns_that_are_refused(pattern: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_pattern(pattern)
    assert what in caught.value.what
    assert caught.value.do


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        check_pattern("{detectr}")
    assert "did you mean {detector}?" in caught.value.do


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"path": "{stage}", "stage": "raw"}, "stage is said twice"),
        ({"path": "a"}, "nothing is said of the directory"),
        ({"path": "run{run}"}, "nothing is said of the directory"),
        ({"path": "a", "stage": "Raw data"}, "'Raw data' is not a name for a stage"),
    ],
)
def test_rules_that_are_refused(rule: dict[str, str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        OwnershipSettings.model_validate(rule)


def test_what_ingest_writes_needs_no_rule() -> None:
    rules = StorageSettings().to_rules()
    assert owner_of("hpge/raw/42", *rules) == Owner("hpge", "raw", 42)
    rules = StorageSettings(replica_path="{drive}/all/{run}/{detector}/{name}").to_rules()
    assert owner_of("all/42/hpge", *rules) == Owner("hpge", "raw", 42)
