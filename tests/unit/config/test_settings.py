"""The status page listens to this machine only."""

import pytest
from pydantic import ValidationError

from nualley.config import WebSettings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    assert WebSettings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_anything_else_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="there are no accounts yet"):
        WebSettings(host=host)


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_have_bounds(port: int) -> None:
    with pytest.raises(ValidationError):
        WebSettings(port=port)
