"""The broker of the test kit says what is missing."""

import shutil

import pytest

from nualley.testing.mosquitto import Broker, BrokerError


def test_a_broker_that_is_not_installed_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_words, **_options: None)
    monkeypatch.setattr("nualley.testing.mosquitto._free_port", lambda: 1883)
    with pytest.raises(BrokerError, match="mosquitto is not installed") as caught:
        Broker(tmp_path).start()
    assert caught.value.do == "sudo apt-get install mosquitto"
