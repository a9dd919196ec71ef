"""What rules of ownership say of other files, and rules that are never reached."""

import pytest

from tests.unit.config.conftest import Broken


def add(repository: Broken, text: str) -> None:
    repository.append("drives.toml", f"\n{text}\n")


def test_a_rule_for_an_unknown_detector(repository: Broken) -> None:
    add(repository, '[[ownership]]\npath = "a"\ndetector = "hpeg"')
    mistake = repository.only()
    assert (mistake.key, mistake.found, mistake.nearest) == ("ownership[0].detector", '"hpeg"', "hpge")
    assert mistake.line == repository.line("drives.toml", "hpeg")


def test_a_pattern_for_an_unknown_detector(repository: Broken) -> None:
    add(repository, '[[ownership]]\npath = "{detector:hpge|hpeg|n*}/x"')
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("ownership[0].path", "hpge")
    assert mistake.expected == "detectors in {detector:...}: hpge"


def test_a_rule_for_an_unknown_drive(repository: Broken) -> None:
    add(repository, '[[ownership]]\npath = "a"\nstage = "raw"\ndrives = ["data1", "dta1"]')
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("ownership[0].drives[1]", "data1")


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        ('path = "a"', 'path = "a"', False),
        ('path = "**"', 'path = "a"', False),
        ('path = "a"', 'path = "a"\ndrives = ["data1"]', False),
        ('path = "a"\ndrives = ["data1"]', 'path = "a"', True),
        ('path = "a"', 'path = "b"', True),
    ],
)
def test_a_rule_that_is_never_reached(repository: Broken, first: str, second: str, is_reached: bool) -> None:
    for rule in (first, second):
        add(repository, f'[[ownership]]\nstage = "raw"\n{rule}')
    if is_reached:
        assert repository.check() == []
    else:
        mistake = repository.only()
        assert mistake.key == "ownership[1].path"
        assert "matches all that it would" in mistake.expected


def test_a_pattern_that_cannot_be_names_its_line_and_the_nearest_key(repository: Broken) -> None:
    add(repository, '[[ownership]]\npath = "{detectr}/x"')
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("ownership[0].path", "detector")
    assert mistake.line == repository.line("drives.toml", "detectr")


def test_a_rule_that_says_nothing(repository: Broken) -> None:
    add(repository, '[[ownership]]\npath = "a"')
    mistake = repository.only()
    assert mistake.key == "ownership[0]"
    assert "give detector, stage or owner" in mistake.expected
