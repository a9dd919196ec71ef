"""Sealing and merging of averages are killed at any moment: no minute is missing, none is there twice."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nualley.app.archive import open_archive_reader, open_archive_writer, open_compactor, verify_archive
from nualley.physics import TraceRule

pytestmark = pytest.mark.fault

RULES = {"T": TraceRule()}
MINUTE_NS = 60_000_000_000

# posts arrays whose stamps run a hundred times as fast as the clock, from two days ago on, and seals again and again
WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from nualley.app.archive import open_archive_writer
from nualley.physics import TraceRule
from nualley.pv import Sample, ValueType
writer = open_archive_writer(Path(sys.argv[1]), rules={"T": TraceRule()})
last = writer.recorder.registry.by_name.get("T")
stamp = last.last.time_ns if last and last.last else time.time_ns() - 172_800_000_000_000
random = np.random.default_rng()
for round in range(10_000):
    for _ in range(5):
        stamp += 1_700_000_000
        trace = (random.normal(1, 0.1) * np.arange(1, 9)).astype(np.float32)
        writer.recorder.receive(Sample("T", stamp, trace, ValueType.FLOAT32_ARRAY, 0, 0, "ca", time.time_ns()))
    writer.recorder.commit()
    if round == 0:  # something is there, however soon it is killed
        sys.stdout.write("begun\\n"); sys.stdout.flush()
    if round % 3 == 2:
        writer.sealer.seal(writer.recorder.rotate())
"""

# merges what is sealed, over and over, straight to months
COMPACTOR = """
import sys
from pathlib import Path
from nualley.app.archive import open_compactor
from nualley.physics import TraceRule
for _ in range(10_000):
    compactor = open_compactor(Path(sys.argv[1]), rules={"T": TraceRule()})
    for job in compactor.due(is_all=True):
        compactor.run(job)
"""


def check(folder: Path) -> int:
    """Compare the kept averages with the samples, minute by minute; return how many samples there are."""
    reader = open_archive_reader(folder)
    table = reader.read("T", 0, 2**62)
    is_sample = np.array(table["kind"].to_pylist()) == "sample"
    times = table["time_ns"].to_numpy()[is_sample]
    minutes = reader.traces.minutes("T", 0, 2**62, recent=TraceRule())
    found = Counter({one.start_ns: one.n + one.n_bad for one in minutes if not one.is_low})
    for low in (one for one in minutes if one.is_low):
        found[low.start_ns] += low.n
    assert found == Counter((times // MINUTE_NS * MINUTE_NS).tolist())
    values = np.array([value for value in table["value"].to_pylist() if value is not None], dtype=np.float64)
    mean = sum(one.n * one.mean for one in minutes) / sum(one.n for one in minutes)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    assert reader.damages() == []
    return times.size


def test_kill_9_between_any_steps_leaves_each_minute_once(tmp_path: Path, seed: int, is_soak: bool) -> None:
    rng = random.Random(seed)
    open_archive_writer(tmp_path, rules=RULES).close()
    for _ in range(100 if is_soak else 4):
        words = [(sys.executable, "-c", code, str(tmp_path)) for code in (WRITER, COMPACTOR)]
        writing, compacting = (subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in words)
        with writing, compacting:
            assert writing.stdout is not None
            assert writing.stdout.readline() == "begun\n"
            time.sleep(rng.uniform(0.2, 1.2))
            for process in rng.sample([writing, compacting], 2):
                process.send_signal(signal.SIGKILL)
        check(tmp_path)
    open_archive_writer(tmp_path, rules=RULES).close()
    n_samples = check(tmp_path)
    assert n_samples > 50
    compactor = open_compactor(tmp_path, rules=RULES)
    for job in compactor.due(is_all=True):
        compactor.run(job)
    assert check(tmp_path) == n_samples
    assert verify_archive(tmp_path).is_intact
