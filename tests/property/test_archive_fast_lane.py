"""Samples taken in by columns and one by one make the same archive, whatever happens between them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.core import SECOND_NS
from nualley.pv import Connection, Samples, ValueType
from tests.unit.archive.conftest import IOC, StandingClock

PVS = ["A", "B", "C"]
EPOCH_NS = 631_152_000 * SECOND_NS
updates = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0, 0, 0, 0, 1, 2, -1, -30, 4000, "epoch", "old"]),
        st.sampled_from([0.0, 1.0, -0.0, float("nan"), float("inf"), 2.0**40]),
        st.integers(0, 3),
    ),
    max_size=12,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.sampled_from([ValueType.FLOAT64, ValueType.INT64, ValueType.ENUM]), updates),
        st.tuples(st.sampled_from(["connect", "lose", "pause", "resume"]), st.integers(0, 2)),
        st.tuples(st.just("commit")),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


class Archive:
    def __init__(self, folder, *, is_fast):
        self.folder, self.is_fast, self.clock = folder, is_fast, StandingClock()
        self.names, self.writer = list(PVS), None
        self.restart()

    def batch(self, value_type, rows):
        now_ns = self.clock.advance(1)
        dtype = np.float64 if value_type is ValueType.FLOAT64 else np.int64
        stamps = {"epoch": EPOCH_NS, "old": 7}
        values = [value if dtype is np.float64 else int(np.nan_to_num(value, posinf=2**40)) for _, _, value, _ in rows]
        samples = Samples(
            self.names,
            np.array([pv for pv, *_ in rows], dtype=np.int32),
            np.array([stamps.get(off) or now_ns + off * SECOND_NS for _, off, *_ in rows], dtype=np.int64),
            np.array(values, dtype=dtype),
            value_type,
            np.array([severity for *_, severity in rows], dtype=np.int8),
            np.array([severity + 3 for *_, severity in rows], dtype=np.int16),
            "ca",
            np.full(len(rows), now_ns, dtype=np.int64),
        )
        if self.is_fast:
            self.writer.recorder.receive(samples)
        else:
            # one PV after the other: between PVs the order of receipt is nobody's business
            for sample in samples.each():
                self.writer.recorder.receive(sample)

    def connect(self, pv):
        now_ns = self.clock.advance(1)
        self.writer.recorder.receive(Connection(PVS[pv], True, IOC, now_ns, now_ns, "ca"))

    def lose(self, pv):
        now_ns = self.clock.advance(1)
        self.writer.recorder.receive(Connection(PVS[pv], False, IOC, now_ns, now_ns - 5, "ca"))

    def pause(self, pv):
        self.writer.recorder.pause(PVS[pv])

    def resume(self, pv):
        self.writer.recorder.resume(PVS[pv])

    def commit(self):
        self.writer.recorder.commit()

    def restart(self):
        if self.writer:
            self.commit()
            self.writer.log.close()
        self.writer = open_archive_writer(self.folder, clock=self.clock)
        self.writer.recorder.register(PVS)

    def told(self):
        self.commit()
        reader = open_archive_reader(self.folder, clock=self.clock)
        rows = {}
        for pv in sorted(reader.registry().by_name):
            table = reader.read(pv, 0, 2**62).drop_columns(["seq"])
            rows[pv] = [repr(row) for row in table.to_pylist()]
        records = {
            name: (record.ledger, record.filtered, record.last and repr(record.last.value), record.value_type)
            for name, record in reader.registry().by_name.items()
        }
        return rows, records, reader.ledger(), dict(reader.registry().life_by_ioc)

    def close(self):
        self.writer.log.close()


@settings(max_examples=30)
@given(story=steps)
def test_by_columns_and_one_by_one_are_the_same_archive(story, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lanes")
    fast, slow = (Archive(folder / name, is_fast=name == "fast") for name in ("fast", "slow"))
    for what, *details in [("connect", 0), ("connect", 1), ("batch", ValueType.FLOAT64, [(0, 0, 1.0, 0)]), *story]:
        for archive in (fast, slow):
            getattr(archive, what)(*details)
    assert fast.told() == slow.told()
    fast.close()
    slow.close()
