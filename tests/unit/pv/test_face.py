"""The face of pv is light: whoever names a sample does not load Channel Access."""

import subprocess
import sys


def test_importing_pv_loads_neither_epics_nor_zeromq_nor_numpy():
    script = (
        "import sys, nualley.pv; print([m for m in ('aioca', 'epicscorelibs', 'zmq', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
