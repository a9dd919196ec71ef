"""WaveDumpConfig.txt: what was written is read; nothing raises."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nualley.daq.wavedump_config import parse_config
from nualley.testing.wavedump import write_config

words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
values = st.lists(words, min_size=1, max_size=3).map(" ".join)
sections = st.dictionaries(
    words.filter(lambda word: word != "notes"), st.dictionaries(words, values, max_size=4), max_size=4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@given(sections=sections)
def test_what_was_written_is_read(folder: Path, sections: dict[str, dict[str, str]]) -> None:
    assert parse_config(write_config(folder, sections).read_bytes()) == sections


@given(raw=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_become_json(raw: bytes) -> None:
    json.dumps(parse_config(raw)).encode()
