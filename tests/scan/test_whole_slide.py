"""A slide of 20 x 10 mm, from homing to the report, held against the truth of the simulated rig."""

from pathlib import Path

import pytest

from benchmarks.bench_scan import PLAN, RIG, scan_and_measure
from blurryscope.rig import load_rig
from blurryscope.scan.plan_file import read_plan


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_whole_slide_is_calibrated_scanned_stitched_live_and_reported(tmp_path: Path) -> None:
    rig, plan = tmp_path / "rig.toml", tmp_path / "plan.toml"
    rig.write_text(RIG)
    plan.write_text(PLAN)
    figures = list(scan_and_measure(load_rig(str(rig)), read_plan(plan), tmp_path / "out"))
    # How long the mosaic takes depends on what else the computer does: the benchmark tells that.
    judged = [each for each in figures if each.what != "last frame to finished mosaic"]
    assert len(judged) == len(figures) - 1
    assert not [
        f"{each.what}: {each.told}, wanted {each.wanted}" for each in judged if not each.holds
    ]
