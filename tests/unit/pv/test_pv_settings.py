"""Addresses at which PVs are searched."""

import pytest
from pydantic import ValidationError

from nualley.pv import EpicsSettings


@pytest.mark.parametrize("key", ["addr_list", "name_servers", "pva_addr_list", "pva_name_servers"])
@pytest.mark.parametrize(
    "address", ["127.0.0.1:999999", "127.0.0.1:0", "127.0.0.1:", "127.0.0.1:+1", "127.0.0.256", "1.2.3", "", "é", "a b",
                "a:b", "[::1]:1", "-a", "a,b", "a:" + "1" * 5000],
)  # fmt: skip
def test_what_is_no_address_is_refused(key: str, address: str) -> None:
    with pytest.raises(ValidationError, match=r'is no address of an IOC\n.*"HOST:PORT"'):
        EpicsSettings.model_validate({key: ["127.0.0.1", address]})


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.255:5064", "ioc-1.lab.example:65535", "cs_gateway", "h"])
def test_addresses(address: str) -> None:
    assert EpicsSettings.model_validate({"addr_list": [address]}).addr_list == (address,)


def test_the_environment_has_words() -> None:
    assert EpicsSettings.model_validate({"addr_list": " a  b:1 "}).addr_list == ("a", "b:1")
    with pytest.raises(ValidationError, match="'b:x' is no address"):
        EpicsSettings.model_validate({"addr_list": "a b:x"})


def test_an_array_has_a_largest_size() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 2147483647"):
        EpicsSettings(max_array_bytes=10**100)
