"""The picture of the beam delivered: readable, and the same bytes for the same curves."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nualley.exposure import CumulativeBeam, NothingToDrawError
from nualley.exposure.adapters.figure import draw_cumulative

DAY = 86_400 * 10**9


def curve(name: str, total: float, unknown_s: float = 0.0) -> CumulativeBeam:
    times = np.array([0, 10, 20, 30], dtype=np.int64) * DAY + 1_600_000_000 * 10**9
    share = np.array([0.0, 0.3, 0.3, 1.0])
    return CumulativeBeam(name, times, share * total, share * total / 2.2469e22, unknown_s)


def test_svg_names_units_detectors_totals_and_utc(tmp_path: Path) -> None:
    path = tmp_path / "beam.svg"
    draw_cumulative([curve("cenns-10", 1.37513e23), curve("coh-ar-750", 3.2e22, unknown_s=12.5)], path)
    text = " ".join(
        "".join(node.itertext()).strip() for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    )
    assert "protons on target [10²³]" in text
    assert "time (UTC)" in text
    assert "cenns-10" in text
    assert "1.375·10²³ POT, 6.12 GWh" in text
    assert "3.200·10²² POT" in text
    assert "12.5 s unknown" in text


def test_the_same_curves_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw_cumulative([curve("a", 1e20)], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_png(tmp_path: Path) -> None:
    path = tmp_path / "beam.png"
    draw_cumulative([curve(f"detector-{index}", 1e20 * index) for index in range(12)], path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_beam_at_all_is_still_a_picture(tmp_path: Path) -> None:
    draw_cumulative([curve("a", 0.0)], tmp_path / "beam.svg")
    assert "0.000·10⁰ POT" in (tmp_path / "beam.svg").read_text()


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(NothingToDrawError, match="no detector has a run with known times") as caught:
        draw_cumulative([], tmp_path / "beam.svg")
    assert "beam exposure" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_not_imported_before_a_picture_is_drawn() -> None:
    code = "import sys, nualley.exposure, nualley.exposure.adapters.figure; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
