"""Whatever happens to the bytes of the log: what is said to be known was so, and what is missing is told."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nualley.app.archive import open_archive_reader, open_archive_writer
from nualley.archive import LogDamagedError
from nualley.core import SECOND_NS, parse_time_ns
from nualley.exposure.adapters.archive import ArchiveHistory
from nualley.physics import history_from_rows
from nualley.pv import Connection, Life, Sample, ValueType

START_NS = parse_time_ns("2026-11-22T23:59:40Z", 0)
IOC = "127.0.0.1:5064"
PVS = ("A", "B")
N_EXAMPLES = 2000 if os.environ.get("NUALLEY_SOAK") == "1" else 40

CHANGES = st.lists(
    st.tuples(st.sampled_from(["A", "B", "both", "none", "seal"]), st.integers(0, 9)), min_size=4, max_size=25
)
DAMAGE = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "zero", "delete"]), st.floats(0, 1), st.floats(0, 1)),
    min_size=1,
    max_size=4,
)


class StandingClock:
    time_ns = START_NS

    def now_ns(self) -> int:
        return self.time_ns


def damage(folder: Path, how: str, which: float, where: float) -> None:
    """Do to a segment what a drive, a crash or a person may do."""
    paths = sorted((folder / "wal" / "0").glob("*.wal"))
    if not paths:
        return
    path = paths[int(which * (len(paths) - 1))]
    raw = bytearray(path.read_bytes())
    at = int(where * max(0, len(raw) - 1))
    if how == "delete":
        path.unlink()
        return
    if how == "flip" and raw:
        raw[at] ^= 0x04
    elif how == "zero":
        raw[at : at + 300] = bytes(len(raw[at : at + 300]))
    elif how == "cut":
        del raw[at:]
    path.write_bytes(raw)


def check_knowledge(folder: Path, clock: StandingClock, truth: dict[str, list[tuple[int, float]]]) -> bool:
    """Compare what the archive says is known with what was so, and return whether the account adds up."""
    reader = open_archive_reader(folder, clock=clock)
    known_pvs = {value.pv for value in reader.last()}
    for pv in PVS:
        if pv not in known_pvs:
            continue
        history = ArchiveHistory(reader)
        rows = history.read(pv, START_NS, clock.time_ns)
        found = history_from_rows(
            rows, alive_until_ns=history.alive_until_ns(pv), start_ns=START_NS, stop_ns=clock.time_ns
        )
        edges = [*found.time_ns.tolist(), clock.time_ns]
        for begin_ns, end_ns, value in zip(edges[:-1], edges[1:], found.value.tolist(), strict=True):
            if value == value:
                holding = [
                    said for n, (time_ns, said) in enumerate(truth[pv])
                    if time_ns < end_ns and (n + 1 == len(truth[pv]) or truth[pv][n + 1][0] > begin_ns)
                ]  # fmt: skip
                assert holding == [value], f"{pv} is said to be {value} in [{begin_ns}, {end_ns}), it was {holding}"
    return reader.ledger().is_balanced


@pytest.mark.fault
@settings(max_examples=N_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES, damages=DAMAGE)
def test_nothing_is_invented_over_what_is_lost(changes, damages):
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), StandingClock()
        writer = open_archive_writer(folder, clock=clock)
        truth: dict[str, list[tuple[int, float]]] = {pv: [] for pv in PVS}
        for pv in PVS:
            writer.recorder.receive(Connection(pv, True, IOC, clock.time_ns, clock.time_ns, "ca"))
        for which, value in changes:
            clock.time_ns += SECOND_NS
            for pv in PVS if which == "both" else (which,) if which in PVS else ():
                if not truth[pv] or truth[pv][-1][1] != value:
                    truth[pv].append((clock.time_ns, float(value)))
                    writer.recorder.receive(
                        Sample(pv, clock.time_ns, float(value), ValueType.FLOAT64, 0, 0, "ca", clock.time_ns)
                    )
            writer.recorder.receive(Life(IOC, clock.time_ns))
            writer.recorder.commit()
            if which == "seal":
                writer.recorder.rotate()
        writer.log.close()
        n_samples = sum(map(len, truth.values()))
        for how, place, where in damages:
            damage(folder, how, place, where)
        try:
            is_whole = check_knowledge(folder, clock, truth)
        except LogDamagedError:
            is_whole = False
        clock.time_ns += 60 * SECOND_NS
        writer = open_archive_writer(folder, clock=clock)
        writer.close()
        is_whole_after = check_knowledge(folder, clock, truth)
        ledger = open_archive_reader(folder, clock=clock).ledger()
        assert ledger.received == n_samples, "what was acknowledged stays in the account"
        assert is_whole_after == is_whole == (ledger.stored == n_samples)
