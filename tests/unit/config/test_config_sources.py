"""What ``check`` says of PVs that come over MQTT or are computed, and of the broker."""

import json
from pathlib import Path

import pytest

from nualley.config import load
from tests.unit.config.conftest import FORMATS, Broken

PV = "pvs/lab.toml"


@pytest.mark.parametrize(
    ("policy", "key", "expected"),
    [
        ('topic = "a"', "topic", "topic only with protocol mqtt (protocol is ca)"),
        ('protocol = "http", member = "a"', "member", "member only with protocol mqtt (protocol is http)"),
        ('unit = "K"', "unit", "unit only with protocol mqtt or computed"),
        ('protocol = "mqtt", topic = "a", expression = "X"', "expression", "expression only with protocol computed"),
        ('protocol = "mqtt"', "", "topic: a topic of the broker (protocol is mqtt, which needs one)"),
        ('protocol = "computed"', "", "expression: such as"),
        ('protocol = "mqtt", topic = "a/+/b"', "topic", "write it whole, without + and #"),
        ('protocol = "mqtt", topic = "a/#"', "topic", "write it whole"),
        ('protocol = "mqtt", topic = "$share/x/a"', "topic", "write it whole"),
        ('protocol = "mqtt", topic = "a", availability_topic = "+"', "availability_topic", "write it whole"),
        ('protocol = "mqtt", topic = "a", member = "a..b"', "member", "is no path into JSON"),
        ('protocol = "mqtt", topic = "a", time_unit = "min"', "time_unit", "one of ns, us, ms, s"),
        ('protocol = "computed", expression = "1 +"', "expression", "it ends, expected a number"),
        ('protocol = "computed", expression = "\\"a b\\" + 1"', "expression", "cannot be the name of a PV"),
        ('protocol = "computed", expression = "X * 2"', "expression", "X is not among them"),
        ('protocol = "computed", expression = "LAB:X * 2"', "expression", "LAB:X <- LAB:X"),
        ('protocol = "mqt"', "protocol", "one of ca, pva, http, mqtt, computed"),
    ],
)
def test_what_does_not_belong_together_is_refused(repository: Broken, policy: str, key: str, expected: str) -> None:
    repository.write(PV, f'[pv]\n\n"LAB:X" = {{ {policy} }}\n')
    mistake = repository.only()
    assert (mistake.file, mistake.line) == (PV, 3)
    assert mistake.key == 'pv."LAB:X"' + (f".{key}" if key else "")
    assert expected in mistake.expected


def test_every_key_of_a_source_is_taken(repository: Broken) -> None:
    repository.write(
        PV,
        """[pv]
"LAB:T" = { protocol = "mqtt", topic = "lab/t", member = "a[0].b", time_member = "at", time_unit = "ms", \
availability_topic = "lab/status", payload_available = "on", payload_not_available = "off", unit = "K", \
dead_band = 0.5, periodic_s = 10 }
"LAB:TF" = { protocol = "computed", expression = 'LAB:T * 1.8 - 459.67', unit = "F" }
"LAB:TFF" = { protocol = "computed", expression = '"LAB:TF" * 2 if DEMO:BEAM:POWER > 1 else 0' }
"LAB:Q" = { only_while = '"LAB:TF" > 0.5' }
""",
    )
    assert repository.check() == []


def test_a_circle_is_told_once_with_its_way(repository: Broken) -> None:
    text = """[pv]
"A" = { protocol = "computed", expression = "B + 1" }
"B" = { protocol = "computed", expression = "C" }
"C" = { protocol = "computed", expression = "A" }
"""
    repository.write(PV, text)
    mistake = repository.only()
    assert (mistake.line, mistake.key) == (2, "pv.A.expression")
    assert "A <- B <- C <- A" in mistake.expected


def test_what_a_group_has_in_common_is_checked_as_what_a_pv_says_itself(repository: Broken) -> None:
    text = """[defaults]
protocol = "computed"
only_while = "DEMO:BEAM:POWR > 1"

[pv]
"A" = { expression = "B + 1" }
"B" = { protocol = "ca" }
"C" = { expression = "C + D" }
"""
    repository.write(PV, text)
    condition, missing, circle = sorted(repository.check(), key=lambda mistake: (mistake.line, -len(mistake.expected)))
    assert (condition.line, condition.key, condition.nearest) == (3, "defaults.only_while", "DEMO:BEAM:POWER")
    assert (missing.line, missing.key) == (circle.line, circle.key) == (8, "pv.C.expression")
    assert "D is not among them" in missing.expected
    assert "C <- C" in circle.expected


def test_an_input_that_is_not_archived_has_its_nearest_name(repository: Broken) -> None:
    repository.write(PV, '[pv]\n"X" = { protocol = "computed", expression = "DEMO:BEAM:POWR" }\n')
    assert repository.only().nearest == "DEMO:BEAM:POWER"


def test_where_a_group_could_not_be_read_no_input_is_missed(repository: Broken) -> None:
    repository.write(PV, '[pv]\n"X" = { protocol = "computed", expression = "Y" }\nY = \n')
    assert [mistake.file for mistake in repository.check()] == [PV]


def test_a_password_belongs_into_a_file_outside(repository: Broken) -> None:
    repository.append("experiment.toml", '\n[mqtt]\nhost = "broker"\npassword_file = "secret"\n')
    mistake = repository.only()
    assert (mistake.key, mistake.found) == ("mqtt.password_file", '"secret"')
    assert "secrets do not belong into git" in mistake.expected
    repository.replace("experiment.toml", 'password_file = "secret"', 'password = "secret"')
    mistake = repository.only()
    assert (mistake.key, mistake.nearest) == ("mqtt.password", "password_file")


def test_the_broker_is_where_file_and_environment_say(repository: Broken) -> None:
    repository.append("experiment.toml", '\n[mqtt]\nhost = "broker"\nport = 8883\ntls = true\nca_file = "ca.pem"\n')
    environ = {"NUALLEY_MQTT__HOST": "other", "NUALLEY_MQTT__PASSWORD_FILE": "~/secret"}
    found = load(repository.directory, environ, FORMATS).mqtt
    assert (found.host, found.port, found.tls) == ("other", 8883, True)
    assert found.ca_file == repository.directory / "ca.pem"
    assert found.password_file == Path("~/secret").expanduser()
    assert json.loads(found.model_dump_json())["keepalive_s"] == 10
