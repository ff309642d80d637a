from pathlib import Path

import pytest

from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.video import Video
from blurryscope.simulator.scan import SimulatedScan
from blurryscope.stitch import first_lanes
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.film_so_far import FilmSoFar
from blurryscope.stitch.placing import Placer
from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.stitcher import Stitcher, StitchSettings


def test_frames_that_fill_the_memory_early_cost_no_lane(
    tiny_scans: list[SimulatedScan],
    tiny_stitched: Stitched,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = tiny_scans[0]
    rows, columns = tiny_stitched.frame_shape
    monkeypatch.setattr(first_lanes, "_MOST_HELD_BYTES", 1.5 * rows * columns * 80)
    filled = stitch_film(scan.video, tmp_path / "filled", recording=Recording())
    assert len(filled.lanes) == len(tiny_stitched.lanes)
    assert abs(filled.lanes[0].first - tiny_stitched.lanes[0].first) <= 2


def test_first_lanes_are_looked_at_again_before_any_is_handed_out(
    tiny_scans: list[SimulatedScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, look_again = [], Placer.look_again

    def noted(self: Placer, film: FilmSoFar) -> None:
        fixed.append(self.fixed_count)
        look_again(self, film)

    monkeypatch.setattr(Placer, "look_again", noted)
    with Video(tiny_scans[0].video) as film, Stitcher("film", StitchSettings()) as stitcher:
        for frame in film:
            stitcher.push(frame)
        lanes = list(stitcher.finish())
    assert fixed == [0]
    assert lanes
