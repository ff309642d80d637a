"""A whole film, small but with the faults of a real one, stitched and held against its truth."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blurryscope.artifacts.frame_places import StageState, read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording, read_recording
from blurryscope.artifacts.video import Video
from blurryscope.evaluate.placement import (
    SOUND_LIMITS,
    broken_limits,
    measure_placement,
    read_truth,
    slide_fit,
)
from blurryscope.simulator.scan import simulate_scan
from blurryscope.stitch.compose import Composer
from blurryscope.stitch.film import PAPER_SPEED_UM_PER_S, SlideStitcher, scale_of
from blurryscope.stitch.film_so_far import FilmSoFar
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.laying import LayingProcess
from blurryscope.stitch.placed_lane import Canvas, PlacedLane
from blurryscope.stitch.placing import Placer
from blurryscope.stitch.seams import TornSeam
from blurryscope.stitch.stitched import frame_places
from blurryscope.stitch.stitcher import StitchSettings
from tests.stitch.conftest import DESIGN, REST_S, SCANS

Get = Callable[[str], Any]
NAMES = ["plain", "authentic", "sheared"]
COMMAND = Path(__file__).parents[2] / "benchmarks" / "against_truth.py"


@pytest.mark.parametrize("name", NAMES)
def test_frames_within_a_core_lie_where_they_truly_lay(stitched_scan: Get, name: str) -> None:
    done = stitched_scan(name)
    truth = read_truth(done.scan.truth)
    figures = measure_placement(read_frame_places(done.folder / "frames.csv"), truth)
    assert broken_limits(figures, None, SOUND_LIMITS) == []
    assert figures.right_lane_fraction > 0.95
    assert abs(figures.turn_deg) < 1


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_of_the_microscope_is_as_it_was_set(
    stitched_scan: Get, name: str
) -> None:
    done = stitched_scan(name)
    told = json.loads((done.folder / "stitch.json").read_text(encoding="utf-8"))
    camera = done.settings.camera
    truth = json.loads(done.scan.truth.read_text(encoding="utf-8"))
    assert told["lane_count"] == max(row[2] for row in truth["frames"]) + 1
    assert told["speed_um_per_s"] == pytest.approx(5000, rel=0.02)
    assert told["lane_pitch_um"] == pytest.approx(truth["line_step_um"], rel=0.03)
    assert told["readout_s"] == pytest.approx(camera.readout_s, abs=0.0015)
    off_s = abs(told["readout_s"] - camera.readout_s)
    assert off_s < 2 * told["uncertainty"]["readout_s"]
    # The camera turned one way sees the stage move the other way.
    assert told["camera_rotation_deg"] == pytest.approx(-camera.turn_deg, abs=0.5)
    assert told["pixel_size_source"] == "given"
    rows_joined_um = told["uncertainty"]["lanes_joined_by_turns_only_um"]
    linked = [lane["is_linked_to_next"] for lane in told["lanes"] if lane["links"]]
    assert (rows_joined_um is None) or not all(linked[:-1])


def test_the_mosaic_shows_tissue_where_the_truth_has_cores(stitched_scan: Get) -> None:
    done = stitched_scan("authentic")
    truth = read_truth(done.scan.truth)
    places = read_frame_places(done.folder / "frames.csv")
    fit = slide_fit(places, truth)
    mosaic = Mosaic(done.folder / "mosaic.ome.zarr").read_level(0)
    radius = int(truth.core_diameter_px / 4)
    for core in truth.cores:
        x, y = (round(value) for value in fit.apply(core.centre_px).tolist())
        inside = mosaic[y - radius : y + radius, x - radius : x + radius]
        assert inside.any(axis=2).all()
        assert inside.mean() < 225  # glass is about 235


def test_every_frame_of_the_film_has_a_row_and_lanes_have_places(stitched_scan: Get) -> None:
    done = stitched_scan("plain")
    places = read_frame_places(done.folder / "frames.csv")
    assert [place.frame for place in places] == list(range(done.scan.frame_count))
    for place in places:
        assert (place.lane >= 0) == (place.state is StageState.MOVING) == (place.x_px is not None)
    rows, columns = Mosaic(done.folder / "mosaic.ome.zarr").size_px
    known = np.array([(place.y_px, place.x_px) for place in places if place.lane >= 0])
    assert (known >= 0).all()
    assert (known < (rows, columns)).all()


def test_frames_that_were_matched_are_surer_than_those_that_were_not(stitched_scan: Get) -> None:
    done = stitched_scan("plain")
    truth = read_truth(done.scan.truth)
    places = read_frame_places(done.folder / "frames.csv")
    in_core = {
        row
        for core in truth.cores
        for row in np.flatnonzero(
            np.hypot(*(truth.centres_px - core.centre_px).T) < truth.core_diameter_px / 2
        ).tolist()
    }
    sure = [place.confidence for place in places if place.lane >= 0 and place.frame in in_core]
    rest = [place.confidence for place in places if place.lane < 0]
    assert np.median(sure) > 0.85
    assert set(rest) == {0.0}


def test_every_place_lies_in_the_mosaic_where_its_frame_was_laid(stitched_scan: Get) -> None:
    done = stitched_scan("sheared")
    trajectory = done.stitched.solution.trajectory
    places = [p for p in read_frame_places(done.folder / "frames.csv") if p.lane >= 0]
    mosaic = Mosaic(done.folder / "mosaic.ome.zarr")
    x_px = np.array([place.x_px for place in places], np.float64)
    y_px = np.array([place.y_px for place in places], np.float64)
    offset = trajectory.positions - np.stack([y_px, x_px], axis=1)
    assert np.ptp(offset, axis=0) == pytest.approx([0, 0], abs=2e-3)
    assert offset[0] == pytest.approx(np.round(offset[0]), abs=2e-3)
    for y, x in zip(y_px[::7], x_px[::7], strict=True):
        assert mosaic.read(round(y), round(x), (1, 1)).any()


def test_the_scale_is_what_is_told_else_follows_from_the_speed(stitched_scan: Get) -> None:
    stitched = stitched_scan("plain").stitched
    assert scale_of(stitched.speed_px_per_s, Recording(pixel_size_um=0.5)).pixel_size_um == 0.5
    recorded = scale_of(stitched.speed_px_per_s, Recording(speed_um_per_s=2500.0))
    assumed = scale_of(stitched.speed_px_per_s, Recording())
    assert recorded.pixel_size_um == pytest.approx(1.12, rel=0.02)
    assert "recorded" in recorded.source
    assert assumed.pixel_size_um * stitched.speed_px_per_s == pytest.approx(PAPER_SPEED_UM_PER_S)
    assert "assumed" in assumed.source


def test_a_repeated_frame_lies_where_the_one_lies_that_it_repeats(stitched_scan: Get) -> None:
    stitched = stitched_scan("plain").stitched
    frame = int(stitched.solution.trajectory.frames[10])
    canvas = Canvas(origin=np.zeros(2), columns=100)
    before, here = frame_places(replace(stitched, repeated=(frame,)), canvas)[frame - 1 : frame + 1]
    assert (here.x_px, here.y_px, here.lane) == (before.x_px, before.y_px, before.lane)
    assert here.frame == frame


def test_the_scale_used_is_kept_beside_the_mosaic(stitched_scan: Get) -> None:
    folder = stitched_scan("plain").folder
    assert read_recording(folder / "recording.json").pixel_size_um == 2.24
    assert Mosaic(folder / "mosaic.ome.zarr").pixel_size_um == 2.24


def test_the_command_prints_the_figures_and_ends_well_within_the_limits(
    stitched_scan: Get,
) -> None:
    done = stitched_scan("plain")
    ended = subprocess.run(
        [
            sys.executable,
            str(COMMAND),
            str(done.folder),
            str(done.scan.truth),
            "--limits",
            "sound",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["broken_limits"] == []
    assert figures["placement"]["within_cores"]["median_px"] < 2


@pytest.mark.slow
def test_the_slide_is_the_same_however_slowly_its_frames_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes are placed by a thread that frames may outrun, or wait for."""
    design = replace(DESIGN, rows=4)
    scan = simulate_scan(tmp_path, design=design, settings=SCANS["plain"], seed=2)
    settings = StitchSettings(rest_s=2 * REST_S + 0.1)
    added: list[int] = []
    add = Placer.add

    def counted(placer: Placer, film: FilmSoFar, lanes: Sequence[Lane]) -> None:
        added.extend(lane.first for lane in lanes)
        add(placer, film, lanes)

    laid: list[int] = []
    lay = Composer.lay

    def noted(composer: Composer, lane: PlacedLane, *shades: Any) -> list[TornSeam]:
        laid.append(lane.number)
        return lay(composer, lane, *shades)

    monkeypatch.setattr(Placer, "add", counted)
    monkeypatch.setattr(Composer, "lay", noted)
    for name, pause_s in (("fast", 0.0), ("slow", 0.003)):
        with (
            Video(scan.video) as film,
            SlideStitcher(scan.video, tmp_path / name, Recording(), settings) as slide,
        ):
            for frame in film:
                slide.push(frame)
                time.sleep(pause_s)
            slide.finish()
    fast, slow = added[: len(added) // 2], added[len(added) // 2 :]
    assert fast == slow
    assert len(fast) >= 3
    assert laid == 2 * list(range(len(laid) // 2))
    for name in ("frames.csv", "stitch.json"):
        told = (tmp_path / "slow" / name).read_bytes()
        assert told == (tmp_path / "fast" / name).read_bytes()


@pytest.mark.slow
def test_lanes_that_the_stage_tells_to_be_over_are_placed_before_the_next_is_filmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = replace(DESIGN, rows=4)
    scan = simulate_scan(tmp_path, design=design, settings=SCANS["plain"], seed=2)
    truth, add = read_truth(scan.truth), Placer.add
    filmed: dict[int, int] = {}

    def noted(self: Placer, film: FilmSoFar, lanes: Sequence[Lane]) -> None:
        filmed.update({lane.last: len(film.times_s) for lane in lanes if lane.is_seen})
        add(self, film, lanes)

    monkeypatch.setattr(Placer, "add", noted)
    recording = Recording(pixel_size_um=SCANS["plain"].camera.pixel_size_um)
    settings = StitchSettings(rest_s=2 * REST_S + 0.1)
    lanes = truth.lanes.tolist()
    with (
        Video(scan.video) as film,
        SlideStitcher(scan.video, tmp_path / "slide", recording, settings) as slide,
    ):
        set_off_s = 0.0
        for frame in film:
            before, here = lanes[max(frame.index - 1, 0)], lanes[frame.index]
            set_off_s = frame.time_s if before < 0 <= here else set_off_s
            if here < 0 <= before:
                slide.set_off(set_off_s)
            slide.push(frame)
        slide.finish()
    begins = np.flatnonzero(np.diff(truth.lanes) > 0) + 1
    for last, count in filmed.items():
        assert count <= min([*begins[begins > last].tolist(), len(lanes) - 1])
    assert len(filmed) >= 3
    figures = measure_placement(read_frame_places(tmp_path / "slide" / "frames.csv"), truth)
    assert broken_limits(figures, None, SOUND_LIMITS) == []


def test_a_process_that_lays_lanes_makes_the_same_slide_as_a_thread(
    tmp_path: Path, stitched_scan: Get
) -> None:
    done = stitched_scan("plain")
    film = done.scan.video
    recording = Recording(pixel_size_um=done.settings.camera.pixel_size_um)
    settings = StitchSettings(rest_s=2 * REST_S + 0.1)
    with (
        Video(film) as frames,
        SlideStitcher(film, tmp_path, recording, settings, LayingProcess(film)) as slide,
    ):
        for frame in frames:
            slide.push(frame)
        slide.finish()
    for name in ("frames.csv", "recording.json"):
        assert (tmp_path / name).read_bytes() == (done.folder / name).read_bytes()
    told, before = (
        json.loads((folder / "stitch.json").read_text("utf-8"))
        for folder in (tmp_path, done.folder)
    )
    assert told.items() <= before.items()  # others may have judged that one since
    by_process, by_thread = (
        Mosaic(folder / "mosaic.ome.zarr").read_level(0) for folder in (tmp_path, done.folder)
    )
    np.testing.assert_array_equal(by_process, by_thread)
