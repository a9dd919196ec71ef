"""The picture of the beam delivered: readable, and the same bytes for the same curves."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nualley.core import IntervalSet
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
    said = (tmp_path / "beam.svg").read_text()
    assert "no beam during these runs" in said
    assert "10⁰" not in said


def test_a_beam_that_is_not_known_is_no_beam_at_zero(tmp_path: Path) -> None:
    nothing = curve("a", 0.0)
    whole = IntervalSet.of(int(nothing.time_ns[0]), int(nothing.time_ns[-1]))
    draw_cumulative([replace(nothing, unknown=whole, unknown_s=whole.duration_s)], tmp_path / "beam.svg")
    said = (tmp_path / "beam.svg").read_text()
    assert "the beam is not known during these runs" in said
    assert "no beam during" not in said
    known = curve("a", 1e20)
    draw_cumulative([known], tmp_path / "known.svg")
    draw_cumulative([replace(known, unknown=whole)], tmp_path / "part.svg")
    assert "beam not known" not in (tmp_path / "known.svg").read_text()
    assert "beam not known" in (tmp_path / "part.svg").read_text()


@pytest.mark.parametrize(("energy_GWh", "words"), [(6.12, "6.12 GWh"), (0.0042, "4.2 MWh"), (4.364e-06, "4.364 kWh")])
def test_energies_have_a_unit_that_fits(tmp_path: Path, energy_GWh: float, words: str) -> None:
    made = curve("a", 1e20)
    draw_cumulative([replace(made, energy_GWh=made.pot / made.pot[-1] * energy_GWh)], tmp_path / "beam.svg")
    assert words in (tmp_path / "beam.svg").read_text()


def test_curves_that_lie_on_each_other_are_all_seen(tmp_path: Path) -> None:
    draw_cumulative([curve("a", 1e20), curve("b", 1e20), curve("c", 1e20)], tmp_path / "beam.svg")
    widths = re.findall(
        r"stroke: #(?:0072b2|d55e00|009e73); stroke-width: ([\d.]+)", (tmp_path / "beam.svg").read_text()
    )
    assert [float(width) for width in dict.fromkeys(widths)] == [4.2, 3.0, 1.8]


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(NothingToDrawError, match="no detector has a run with known times") as caught:
        draw_cumulative([], tmp_path / "beam.svg")
    assert "beam exposure" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_not_imported_before_a_picture_is_drawn() -> None:
    code = "import sys, nualley.exposure, nualley.exposure.adapters.figure; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
