"""WaveDumpConfig.txt in any state."""

import pytest

from nualley.daq.wavedump_config import find_integer, parse_config

TEXT = """\
@OFF
Digitizer 751
@ON
# a comment
EXTERNAL_TRIGGER DISABLED\t
[COMMON]
OPEN PCI 0 0 0
RECORD_LENGTH 6000  # samples
WRITE_REGISTER 810C 1100003 FFFFFFF
WRITE_REGISTER\t1080  45   FF

[0]
ENABLE_INPUT YES
[1]
"""


def test_sections_become_mappings_and_comments_go() -> None:
    assert parse_config(TEXT.encode()) == {
        "COMMON": {
            "EXTERNAL_TRIGGER": "DISABLED",
            "OPEN": "PCI 0 0 0",
            "RECORD_LENGTH": "6000",
            "WRITE_REGISTER": ["810C 1100003 FFFFFFF", "1080 45 FF"],
        },
        "0": {"ENABLE_INPUT": "YES"},
        "1": {},
    }


@pytest.mark.parametrize(
    ("text", "common"),
    [
        ("@OFF\nA 1\n@ON\nB 2", {"B": "2"}),
        ("B 2\n@OFF\nA 1", {"B": "2"}),
        ("@OFF # the model\n[0]\nA 1\n[broken\nLONELY\n@ON\nB 2", {"B": "2"}),
        ("@OFF A 1 @ON B 2", {"B": "2"}),
        ("@ON B 2 @OFF\nA 1", {"B": "2"}),
        ("# @OFF\nB 2", {"B": "2"}),
        ("@off 1\nB 2", {"@off": "1", "B": "2"}),
    ],
)
def test_what_is_switched_off_is_no_setting(text: str, common: dict[str, str]) -> None:
    assert parse_config(f"[COMMON]\n{text}\n".encode()) == {"COMMON": common}


def test_a_file_that_is_all_off_says_nothing() -> None:
    assert parse_config(b"@OFF\nDigitizer 720\n[0]\nENABLE_INPUT YES\n") == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_any_encoding_is_read(encoding: str) -> None:
    assert parse_config("[COMMON]\nNAME Ge-Zähler\n".encode(encoding)) == {"COMMON": {"NAME": "Ge-Zähler"}}


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("LONELY", "line 2: 'LONELY' has no value"),
        ("[0", "line 2: '[0' is no section"),
        ("[]", "line 2: '[]' is no section"),
        ("[notes]", "line 2: '[notes]' is no section"),
        ("KEY a\x00b", "line 2: 'KEY a\\x00b' holds control characters"),
    ],
)
def test_a_bad_line_is_a_note(line: str, note: str) -> None:
    config = parse_config(f"[COMMON]\n{line}\nGOOD 1\n".encode())
    assert len(config["notes"]) == 1
    assert config["notes"][0].startswith(note)
    assert any(section.get("GOOD") == "1" for name, section in config.items() if name != "notes")


def test_bytes_that_are_no_text_are_read_too() -> None:
    assert "notes" in parse_config(bytes(range(256)))


def test_a_number_is_found_only_where_it_is_one() -> None:
    assert find_integer(parse_config(b"RECORD_LENGTH 6000"), "RECORD_LENGTH") == 6000
    for text in (b"", b"RECORD_LENGTH 6e3", b"RECORD_LENGTH 1\nRECORD_LENGTH 2", b"[0]\nRECORD_LENGTH 6000"):
        assert find_integer(parse_config(text), "RECORD_LENGTH") is None
