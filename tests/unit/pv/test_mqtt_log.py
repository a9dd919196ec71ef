"""What the source of MQTT says in its log."""

from dataclasses import replace

from structlog.testing import capture_logs

from nualley.pv import MqttSettings, PvProtocol, Sample, Severity, ValueType
from nualley.pv.adapters.mqtt import MqttSource
from nualley.pv.adapters.receipts import ReceiptFile


def test_a_pv_that_cannot_be_read_is_said_once_until_it_can(tmp_path):
    source = MqttSource(
        MqttSettings(),
        client_id="test",
        known=lambda _pv: None,
        receipt=lambda: 0,
        receipts=ReceiptFile(tmp_path / "receipts", 10),
    )
    bad = Sample(
        "A", 1, "{", ValueType.STRING, Severity.NO_ALARM, 0, PvProtocol.MQTT, 1, unreadable="no JSON: at character 1"
    )
    with capture_logs() as said:
        source._send([bad, replace(bad, unreadable="no JSON: at character 9"), replace(bad, pv="B")])
        assert [(line["event"], line["pv"]) for line in said] == [("mqtt.unreadable", "A"), ("mqtt.unreadable", "B")]
        assert said[0]["do"] == "nualley archive quarantine A shows what came"
        source._send([replace(bad, unreadable=""), bad])
        assert [line["pv"] for line in said] == ["A", "B", "A"]
