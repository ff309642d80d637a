"""A slide of 20 x 10 mm, from homing to the report."""

import csv
import re
from pathlib import Path

import pytest

from blurryscope.cli import app
from blurryscope.scan.calibration import read_calibration

RIG = """
name = "half"

[simulated]
shrink = 2
"""
PLAN = """
repeats = 1

[[slides]]
name = "WHOLE"
area = { left_um = 7600, top_um = 4000, width_um = 20000, height_um = 10000 }
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_whole_slide_is_calibrated_scanned_stitched_live_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rig.toml").write_text(RIG)
    (tmp_path / "plan.toml").write_text(PLAN)
    words = ["--rig", str(tmp_path / "rig.toml"), "--plan", str(tmp_path / "plan.toml")]
    app(["scan", *words, "--out", str(tmp_path / "out"), "--quiet"], standalone_mode=False)
    record = read_calibration(tmp_path / "rig-calibration" / "calibration.json")
    assert record.pixels.pixel_size_um == pytest.approx(1.44, rel=0.005)
    assert record.pixels.turn_deg == pytest.approx(94.4 - 0.25, abs=0.1)
    assert record.strip.readout_ratio == pytest.approx(5000 * 0.017 / 240 / 1.44, abs=0.02)
    assert record.backlash.backlash_um == pytest.approx(14, abs=2)
    with (tmp_path / "out" / "cores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 72
    assert sum(row["status"] != "missing" for row in rows) == 72
    waited = re.search(r"mosaic: ([\d.]+) s after the last frame", capsys.readouterr().out)
    assert waited is not None
    assert float(waited[1]) <= 3.0
