"""The picture of the beam delivered: readable, and the same bytes for the same curves."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from nualley.core import Interval, IntervalSet
from nualley.exposure import CumulativeBeam, NothingToDrawError
from nualley.exposure.adapters.figure import draw_cumulative

DAY = 86_400 * 10**9


def curve(name: str, total: float, unknown_s: float = 0.0) -> CumulativeBeam:
    times = np.array([0, 10, 20, 30], dtype=np.int64) * DAY + 1_600_000_000 * 10**9
    share = np.array([0.0, 0.3, 0.3, 1.0])
    return CumulativeBeam(name, times, share * total, share * total / 2.2469e22, 30 * 86_400.0, unknown_s)


def part_of(found: CumulativeBeam) -> IntervalSet:
    return IntervalSet.of(int(found.time_ns[1]), int(found.time_ns[2]))


def on_top(path: Path) -> set[tuple[str, str]]:
    """Return colours and dashes of the lines that a reader sees, one place on the time axis after the other."""
    found = re.findall(r'<path d="(M[^"]*)" clip-path="[^"]*" style="fill: none; ([^"]*)"', path.read_text())
    paths = [(points(d), style) for d, style in found if "stroke-width: 2.4" in style and "#ffffff" not in style]
    left, right = min(x.min() for x, _ in paths), max(x.max() for x, _ in paths)
    seen = set()
    for place in np.linspace(left, right, 500)[1:-1]:
        covering = [style for x, style in paths if x.min() <= place <= x.max()]
        if covering:
            stroke = re.search(r"stroke: (#\w+)", covering[-1])
            dashes = re.search(r"stroke-dasharray: ([\d., ]+)", covering[-1])
            seen.add((stroke[1], dashes[1] if dashes else ""))
    return seen


def points(d: str) -> np.ndarray:
    """Return where a path of an SVG goes from left to right."""
    return np.array([float(pair.split()[0]) for pair in re.split("[ML]", d) if pair.strip()])


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
    whole = curve("a", 0.0)
    draw_cumulative([replace(whole, unknown=part_of(whole), unknown_s=10 * 86_400.0)], tmp_path / "beam.svg")
    assert "no beam during these runs, as far as it is known" in (tmp_path / "beam.svg").read_text()


def test_a_beam_that_is_not_known_is_no_beam_at_zero(tmp_path: Path) -> None:
    nothing = curve("a", 0.0)
    # two runs, between which there was none
    runs = IntervalSet(Interval(*pair) for pair in nothing.time_ns.reshape(2, 2).tolist())
    nothing = replace(nothing, unknown=runs, unknown_s=runs.duration_s, duration_s=runs.duration_s)
    draw_cumulative([nothing], tmp_path / "beam.svg")
    said = (tmp_path / "beam.svg").read_text()
    assert "the beam is not known during these runs" in said
    assert said.count("stroke-width: 2.4") == 1, "in the legend only"
    assert "no beam during" not in said
    known = curve("a", 1e20)
    draw_cumulative([known], tmp_path / "known.svg")
    draw_cumulative([replace(known, unknown=part_of(known))], tmp_path / "part.svg")
    assert "beam not known" not in (tmp_path / "known.svg").read_text()
    assert "beam not known" in (tmp_path / "part.svg").read_text()


@pytest.mark.parametrize(("energy_GWh", "words"), [(6.12, "6.12 GWh"), (0.0042, "4.2 MWh"), (4.364e-06, "4.364 kWh")])
def test_energies_have_a_unit_that_fits(tmp_path: Path, energy_GWh: float, words: str) -> None:
    made = curve("a", 1e20)
    draw_cumulative([replace(made, energy_GWh=made.pot / made.pot[-1] * energy_GWh)], tmp_path / "beam.svg")
    assert words in (tmp_path / "beam.svg").read_text()


@pytest.mark.parametrize("n_curves", [2, 3, 12])
def test_curves_that_lie_on_each_other_are_all_seen(tmp_path: Path, n_curves: int) -> None:
    names = [f"d-{number:02}" for number in range(n_curves)]
    draw_cumulative([curve(name, 1e20) for name in names], tmp_path / "all.svg")
    assert len(on_top(tmp_path / "all.svg")) == n_curves


def test_a_curve_of_later_runs_is_seen_where_it_is(tmp_path: Path) -> None:
    early, late = curve("a", 1e20), curve("b", 1e20)
    late = replace(late, time_ns=late.time_ns + 100 * DAY)
    draw_cumulative([early, late], tmp_path / "beam.svg")
    assert len(on_top(tmp_path / "beam.svg")) == 2


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(NothingToDrawError, match="no detector has a run with known times") as caught:
        draw_cumulative([], tmp_path / "beam.svg")
    assert "beam exposure" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_not_imported_before_a_picture_is_drawn() -> None:
    code = "import sys, nualley.exposure, nualley.exposure.adapters.figure; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
