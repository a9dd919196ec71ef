"""Which texts are names of PVs: the shapes that archivers accept and refuse."""

import pytest

from nualley.archive import is_valid_pv_name, same_pv, split_protocol
from nualley.archive.names import without_protocol
from nualley.core import UsageError

ACCEPTED = [
    "DEMO:BEAM:POWER",
    "LN-AM{RadMon:1}Lvl:Raw-I",
    "P#6:000357",
    "a_b-c+d[1]<2>;3/4",
    "x",
    "1",
    "DEMO:X.VAL",
    "DEMO:X.HIHI",
    "DEMO:X.A1",
    "DEMO:X.DESC$",
    "DEMO:X.{'dbnd':{'abs':1.5}}",
    "DEMO:X.VAL{'dbnd':{'abs':0.1}}",
    "DEMO:X.{flv('H-GX')}",
    "DEMO:X.[3:5]",
    "DEMO:X.VAL[0:2:10]",
    "ca://DEMO:X",
    "pva://DEMO:X.VAL",
]

REFUSED = [
    "",
    " ",
    "a b",
    *(f"DEMO{mark}X" for mark in "\"!$%*\\|?&@()=,'`^~"),
    "DEMO:X.HI'",
    "DEMO:X.HI.BOO",
    "DEMO:X.HI.",
    "DEMO:X.",
    "DEMO:X.{",
    "DEMO:X.}",
    "DEMO:X.{}",
    "DEMO:X.5",
    "DEMO:X.$",
    "DEMO:X.VAL$$",
    ".VAL",
    "..",
    "../x",
    "a/../b",
    "a\n",
    "a\x00",
    "DEMO:\u00c4",
    "DEMO:\u0663",
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    assert is_valid_pv_name(name)


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_refused(name: str) -> None:
    assert not is_valid_pv_name(name)


@pytest.mark.parametrize(
    ("text", "protocol", "name"),
    [
        ("ca://A:B", "ca", "A:B"),
        ("pva://A.VAL", "pva", "A.VAL"),
        ("A", "", "A"),
        ("mqtt://A", "", "mqtt://A"),
        ("pva:/A", "", "pva:/A"),
        ("A:pva://B", "", "A:pva://B"),
        ("", "", ""),
    ],
)
def test_a_protocol_before_a_name(text: str, protocol: str, name: str) -> None:
    assert split_protocol(text) == (protocol, name)


def test_a_long_name_is_judged_at_once() -> None:
    assert not is_valid_pv_name("{'" * 5000 + ".{" + "'" * 5000)


def test_a_protocol_before_a_name_is_an_option() -> None:
    assert without_protocol("pva://A", {}) == ("A", {"protocol": "pva"})
    assert without_protocol("ca://A", {"protocol": "ca", "queue": 4}) == ("A", {"protocol": "ca", "queue": 4})
    assert without_protocol("A", {"protocol": "mqtt"}) == ("A", {"protocol": "mqtt"})
    with pytest.raises(UsageError) as caught:
        without_protocol("pva://A", {"protocol": "ca"})
    assert (caught.value.what, caught.value.do) == (
        "pva://A asks for pva, and protocol for ca",
        "leave one of them out",
    )


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("A.VAL", {"A"}, "A"),
        ("A", {"A.VAL"}, "A.VAL"),
        ("A.VAL", {"A", "A.VAL"}, "A.VAL"),
        ("A", {"A", "A.VAL"}, "A"),
        ("A.VAL", set(), "A.VAL"),
        ("A.HIGH", {"A"}, "A.HIGH"),
    ],
)
def test_a_pv_and_its_value_are_one(name: str, known: set[str], found: str) -> None:
    assert same_pv(name, known.__contains__) == found
