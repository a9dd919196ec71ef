"""XRootD's client is an extra: where it is missing, that is said when such a remote is used."""

import importlib

import pytest

from nualley.replicas import RemoteNotSetUp
from nualley.replicas.adapters.xrootd import XrootdRemote


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RemoteNotSetUp, match="XRootD's client is not installed") as caught:
        XrootdRemote("site", "root://127.0.0.1:1094//data")
    assert caught.value.do == "pip install 'nualley[xrootd]'"
