"""How the callbacks come into memory: what cannot run is refused, and nothing of the compiler stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from nualley.pv.adapters import ca_machine_code
from nualley.pv.adapters.ca_callbacks import NoMachineCodeError, compile_callbacks

COMPILE = "nualley.pv.adapters.ca_callbacks"


def test_code_that_would_need_a_linker_is_refused(monkeypatch):
    called = ca_machine_code._CODE.replace(
        "define internal ptr @word", "declare void @elsewhere()\n\ndefine internal ptr @word"
    ).replace("  %user = load ptr, ptr %args\n", "  %user = load ptr, ptr %args\n  call void @elsewhere()\n")
    monkeypatch.setattr(ca_machine_code, "_CODE", called)
    with pytest.raises(RuntimeError, match="need a linker"):
        ca_machine_code.machine_code("ptr %args", 1, 2, 3)


def test_code_that_runs_cannot_be_written_and_the_compiler_is_not_kept():
    callbacks = compile_callbacks()
    maps = Path("/proc/self/maps").read_text().splitlines()
    rights = [line.split()[1] for line in maps if _lies_in(line, callbacks.on_event)]
    assert rights == ["r-xp"]
    script = f"from {COMPILE} import compile_callbacks as make; make(); print(open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "libca" in done.stdout
    assert "llvmlite" not in done.stdout


def _lies_in(line, address):
    start, stop = (int(edge, 16) for edge in line.split()[0].split("-"))
    return start <= address < stop


def test_a_compiler_that_fails_says_why(monkeypatch):
    monkeypatch.setattr("nualley.pv.adapters.ca_callbacks._EVENT_ARGUMENTS", {"vax": "nonsense"})
    with pytest.raises(NoMachineCodeError, match="ca_machine_code: .*"):
        compile_callbacks("vax")
