"""Any order of samples, connections, commits, seals and kills leaves an account that adds up."""

import math
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.core import SECOND_NS, parse_time_ns
from nualley.pv import Connection, Sample, ValueType

START_NS = parse_time_ns("2026-11-22T23:59:58Z", 0)
IOC = "127.0.0.1:5064"

PVS = st.sampled_from(["A", "B:{x}.VAL", "ν"])
STEPS = st.one_of(
    st.tuples(st.just("sample"), PVS, st.integers(-3, 6), st.sampled_from([0.0, 1.5, math.nan])),
    st.tuples(st.just("connect"), PVS),
    st.tuples(st.just("disconnect"), PVS),
    st.tuples(st.just("commit")),
    st.tuples(st.just("seal")),
    st.tuples(st.just("kill")),
)


class StandingClock:
    time_ns = START_NS

    def now_ns(self) -> int:
        return self.time_ns


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=40))
def test_every_durable_sample_is_there_once_and_the_ledger_adds_up(steps):
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), StandingClock()
        writer = open_archive_writer(folder, clock=clock)
        waiting: dict[str, list[float]] = {}
        durable: dict[str, list[float]] = {}
        newest: dict[str, tuple[int, str]] = {}
        newest_durable: dict[str, tuple[int, str]] = {}
        n_received = n_received_durable = 0

        for step, *rest in steps:
            clock.time_ns += SECOND_NS
            if step == "sample":
                pv, offset_s, value = rest
                stamp_ns = clock.time_ns + offset_s * SECOND_NS
                writer.recorder.receive(Sample(pv, stamp_ns, value, ValueType.FLOAT64, 0, 0, "ca", clock.time_ns))
                n_received += 1
                before = newest.get(pv, (-1, ""))
                # what the archive promises, said again in the plainest way
                if stamp_ns > before[0] or (stamp_ns == before[0] and repr(value) != before[1]):
                    waiting.setdefault(pv, []).append(value)
                    newest[pv] = (stamp_ns, repr(value))
            elif step in ("connect", "disconnect"):
                is_connected = step == "connect"
                writer.recorder.receive(Connection(rest[0], is_connected, IOC, clock.time_ns, clock.time_ns, "ca"))
            elif step == "kill":
                writer.log.close()
                writer = open_archive_writer(folder, clock=clock)
                waiting, newest, n_received = {}, dict(newest_durable), n_received_durable
            else:
                writer.recorder.commit() if step == "commit" else writer.seal()
                for pv, values in waiting.items():
                    durable.setdefault(pv, []).extend(values)
                waiting, newest_durable, n_received_durable = {}, dict(newest), n_received

        reader = open_archive_reader(folder, clock=clock)
        ledger = reader.ledger()
        assert ledger.received == n_received_durable
        assert ledger.is_balanced
        assert ledger.stored == sum(map(len, durable.values()))
        for pv in reader.registry().by_name:
            table = reader.read(pv, 0, 2**62)
            is_sample = [kind == "sample" for kind in table["kind"].to_pylist()]
            values = [value for value, keep in zip(table["value"].to_pylist(), is_sample, strict=True) if keep]
            assert list(map(repr, values)) == list(map(repr, durable.get(pv, [])))
            assert table["time_ns"].to_pylist() == sorted(table["time_ns"].to_pylist())
        writer.close()
