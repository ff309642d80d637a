"""The recorded scans beside the project, all the way to named cores, held against their truth."""

from pathlib import Path

import pytest

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.slide_map import read_slide_map
from blurryscope.artifacts.tissue_cores import read_tissue_cores
from blurryscope.evaluate.placement import (
    SOUND_LIMITS,
    broken_limits,
    measure_cores,
    measure_placement,
    read_truth,
    slide_fit,
)
from blurryscope.stitch.film import stitch_film
from blurryscope.tma.find import find_cores
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.write import write_cores

SCANS = Path(__file__).parents[3] / "shared" / "data" / "scans"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "hard", "lost"])
def test_a_recorded_scan_holds_all_limits(name: str, tmp_path: Path) -> None:
    scan = SCANS / name
    if not scan.is_dir():
        pytest.skip(f"the recorded scan {name} is not there: it belongs in {SCANS}")
    stitch_film(scan / "scan.mp4", tmp_path, recording=Recording())
    mosaic = Mosaic(tmp_path / "mosaic.ome.zarr")
    write_cores(
        find_cores(mosaic, read_slide_map(scan / "map.csv"), TmaSettings()), mosaic, tmp_path
    )
    truth = read_truth(scan / "truth.json")
    places = read_frame_places(tmp_path / "frames.csv")
    placement = measure_placement(places, truth)
    cores = measure_cores(
        read_tissue_cores(tmp_path / "cores.csv"), truth, slide_fit(places, truth)
    )
    assert broken_limits(placement, cores, SOUND_LIMITS) == []
    assert placement.right_lane_fraction > 0.97
