"""Where clients of the Archiver Appliance are answered, and who may change what is archived."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from nualley.config.settings import WebSettings


@pytest.mark.parametrize(
    ("value", "ports"),
    [
        (True, (17665, 17668)),
        (False, None),
        ("true", (17665, 17668)),
        ("false", None),
        ("27665,27668", (27665, 27668)),
        ([27665, 27668], (27665, 27668)),
    ],
)
def test_two_ports_or_those_of_the_appliance(value, ports):
    assert WebSettings(appliance_ports=value).appliance_ports == ports


@pytest.mark.parametrize("value", [[1], [1, 70_000], "yes", 17665, [0, 5]])
def test_other_things_are_refused(value):
    with pytest.raises(ValidationError):
        WebSettings(appliance_ports=value)


def test_the_file_of_the_tokens_is_seen_from_the_repository():
    found = WebSettings(manage_tokens_file="tokens").resolve(Path("/there"))
    assert (found.manage_tokens_file, found.push_tokens_file) == (Path("/there/tokens"), None)
