"""Films with faults that real recordings have, made from simulated ones whose truth is known."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blurryscope.artifacts.frame_places import FramePlace, read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.recording import Recording
from blurryscope.artifacts.scan_quality import RescanReason
from blurryscope.artifacts.video import Video, VideoWriter
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Rgb
from blurryscope.evaluate.placement import PlacementFigures, Truth, measure_placement, read_truth
from blurryscope.simulator.presets import PLAIN
from blurryscope.simulator.scan import simulate_scan
from blurryscope.simulator.slide import SlideDesign
from blurryscope.stitch.film import stitch_film
from blurryscope.stitch.scan_quality import judge_scan
from blurryscope.stitch.stitcher import StitchSettings
from tests.stitch.conftest import DESIGN, REST_S, SCANS

Get = Callable[[str], Any]
Shot = tuple[Rgb, float]
"""A picture and its time."""

CORE_LIMITS_PX = (0.8, 2.5)
"""Median and 95 % within a core."""


def _shots(film: Path) -> list[Shot]:
    with Video(film) as video:
        return [(frame.rgb(), frame.time_s) for frame in video]


def _write(path: Path, shots: Sequence[Shot]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(
        path, shots[0][0].shape[:2], 30, options={"crf": "18", "threads": "1"}
    ) as film:
        for rgb, time_s in shots:
            film.write(rgb, time_s - shots[0][1])
    return path


def _stitched(
    film: Path, pixel_size_um: float, *, takes_damaged: bool = False, is_mirrored: bool = False
) -> list[FramePlace]:
    recording = Recording(pixel_size_um=pixel_size_um, is_mirrored=is_mirrored)
    stitch_film(
        film,
        film.parent / "slide",
        recording=recording,
        settings=StitchSettings(rest_s=2 * REST_S + 0.1),
        takes_damaged=takes_damaged,
    )
    return read_frame_places(film.parent / "slide" / "frames.csv")


def _part_of(truth: Truth, first: int, last: int) -> Truth:
    """The truth of frames `first` to `last` (excluded), lanes counted from the first one there."""
    lanes = truth.lanes[first:last]
    lowest = lanes[lanes >= 0].min()
    return replace(
        truth,
        centres_px=truth.centres_px[first:last],
        lanes=np.where(lanes >= 0, lanes - lowest, -1),
    )


def _lane(truth: Truth, number: int) -> tuple[int, int]:
    rows = np.flatnonzero(truth.lanes == number)
    return int(rows[0]), int(rows[-1])


def _assert_good(figures: PlacementFigures) -> None:
    assert figures.right_lane_fraction >= 0.96
    assert figures.within_cores.median_px <= CORE_LIMITS_PX[0]
    assert figures.within_cores.ninety_five_px <= CORE_LIMITS_PX[1]
    assert abs(figures.turn_deg) < 1


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.slow), "authentic"])
def test_a_film_that_starts_in_mid_lane_loses_only_what_it_does_not_show(
    stitched_scan: Get, tmp_path: Path, name: str
) -> None:
    scan = stitched_scan(name).scan
    truth = read_truth(scan.truth)
    start = sum(_lane(truth, 0)) // 2
    shots = _shots(scan.video)[start:]
    places = _stitched(_write(tmp_path / "scan.mp4", shots), truth.pixel_size_um)
    _assert_good(measure_placement(places, _part_of(truth, start, len(truth.lanes))))


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.slow), "authentic"])
def test_a_camera_unplugged_in_mid_lane_leaves_all_frames_before_in_their_places(
    stitched_scan: Get, tmp_path: Path, name: str
) -> None:
    scan = stitched_scan(name).scan
    truth = read_truth(scan.truth)
    end = sum(_lane(truth, 3)) // 2
    places = _stitched(_write(tmp_path / "scan.mp4", _shots(scan.video)[:end]), truth.pixel_size_um)
    figures = measure_placement(places, _part_of(truth, 0, end))
    _assert_good(figures)
    assert figures.over_slide.ninety_five_px < 30


@pytest.mark.parametrize("pause_s", [1.5, pytest.param(4.0, marks=pytest.mark.slow)])
def test_a_pause_between_two_lanes_changes_nothing(
    stitched_scan: Get, tmp_path: Path, pause_s: float
) -> None:
    scan = stitched_scan("plain").scan
    truth = read_truth(scan.truth)
    film, truth = _with_pause(scan.video, truth, tmp_path, after=2, count=round(30 * pause_s))
    figures = measure_placement(_stitched(film, truth.pixel_size_um), truth)
    _assert_good(figures)
    assert figures.over_slide.ninety_five_px < 30


@pytest.mark.parametrize(("rows", "after"), [(3, 1), pytest.param(6, 13, marks=pytest.mark.slow)])
def test_a_pause_over_glass_as_long_as_two_lanes_is_told_by_the_tissue_of_the_lanes_around(
    tmp_path: Path, rows: int, after: int
) -> None:
    """Among the first lanes, which are laid out at once, and among those that follow."""
    design = SlideDesign(rows=rows, columns=1, core_diameter_um=900, pitch_um=1000, margin_um=1200)
    scan = simulate_scan(tmp_path, design=design, settings=SCANS["plain"], seed=2)
    truth = read_truth(scan.truth)
    period = _lane(truth, after + 1)[0] - _lane(truth, after)[0]
    film, truth = _with_pause(scan.video, truth, tmp_path / "paused", after, count=2 * period)
    places = _stitched(film, truth.pixel_size_um)
    figures = measure_placement(places, truth)
    _assert_good(figures)
    assert max(place.lane for place in places) == truth.lanes.max()


def _with_pause(
    video: Path, truth: Truth, folder: Path, after: int, count: int
) -> tuple[Path, Truth]:
    """The film in which the stage stands for so many frames more after a lane."""
    shots, rng = _shots(video), np.random.default_rng(6)
    rested = _lane(truth, after)[1] + 4
    picture = shots[rested][0]
    waiting = [
        np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)
        for _ in range(count)
    ]
    pictures = [rgb for rgb, _ in shots]
    pictures[rested:rested] = waiting
    film = _write(folder / "scan.mp4", [(rgb, n / 30) for n, rgb in enumerate(pictures)])
    return film, replace(
        truth,
        centres_px=np.insert(truth.centres_px, [rested] * count, truth.centres_px[rested], axis=0),
        lanes=np.insert(truth.lanes, [rested] * count, -1),
    )


def test_lanes_may_begin_towards_either_side(stitched_scan: Get, tmp_path: Path) -> None:
    scan = stitched_scan("plain").scan
    truth = read_truth(scan.truth)
    start = _lane(truth, 1)[0] - 3
    places = _stitched(
        _write(tmp_path / "scan.mp4", _shots(scan.video)[start:]), truth.pixel_size_um
    )
    first = [place.x_px or 0 for place in places if place.lane == 0]
    assert first[0] > first[-1]
    _assert_good(measure_placement(places, _part_of(truth, start, len(truth.lanes))))


@pytest.mark.slow
def test_light_that_slowly_leans_to_one_side_does_not_show_in_the_mosaic(tmp_path: Path) -> None:
    design = SlideDesign(rows=6, columns=1, core_diameter_um=700, pitch_um=1000, margin_um=1200)
    scan = simulate_scan(tmp_path, design=design, settings=SCANS["plain"], seed=2)
    shots = _shots(scan.video)
    across = np.linspace(0, 1, shots[0][0].shape[1])[None, :, None]
    leaning = [
        ((rgb * (1 - 0.1 * n / len(shots) * across)).round().astype(np.uint8), time_s)
        for n, (rgb, time_s) in enumerate(shots)
    ]
    film = _write(tmp_path / "leaning" / "scan.mp4", leaning)
    _stitched(film, read_truth(scan.truth).pixel_size_um)
    mosaic = Mosaic(film.parent / "slide" / "mosaic.ome.zarr").read_level(2).astype(np.float32)
    level = mosaic.mean(axis=2) / np.median(mosaic[mosaic.min(axis=2) > 0].mean(axis=1))
    glass = level[level > 0.9]
    assert len(glass) > 0.5 * level.size
    assert np.quantile(np.abs(glass - 1), 0.95) < 0.02


def test_a_grey_camera_is_as_good_as_a_colour_one(stitched_scan: Get, tmp_path: Path) -> None:
    scan = stitched_scan("authentic").scan
    truth = read_truth(scan.truth)
    weights = np.array([0.299, 0.587, 0.114])
    shots = [
        (np.repeat((rgb @ weights).round().astype(np.uint8)[:, :, None], 3, axis=2), time_s)
        for rgb, time_s in _shots(scan.video)
    ]
    places = _stitched(_write(tmp_path / "scan.mp4", shots), truth.pixel_size_um)
    _assert_good(measure_placement(places, truth))


def test_a_camera_behind_a_mirror_gives_the_slide_as_it_is(
    stitched_scan: Get, tmp_path: Path
) -> None:
    scan = stitched_scan("sheared").scan
    truth = read_truth(scan.truth)
    shots = [(np.ascontiguousarray(rgb[:, ::-1]), time_s) for rgb, time_s in _shots(scan.video)]
    film = _write(tmp_path / "scan.mp4", shots)
    figures = measure_placement(_stitched(film, truth.pixel_size_um, is_mirrored=True), truth)
    # Written a second time, the film is a little worse.
    places = read_frame_places(stitched_scan("sheared").folder / "frames.csv")
    as_it_is = measure_placement(places, truth).within_cores
    assert figures.right_lane_fraction >= 0.96
    assert abs(figures.turn_deg) < 1
    assert figures.within_cores.median_px <= as_it_is.median_px + 0.5
    assert figures.within_cores.ninety_five_px <= as_it_is.ninety_five_px + 0.8


@pytest.mark.parametrize("name", ["authentic", "sheared"])
def test_a_picture_that_was_turned_before_it_was_stored_is_stitched_as_it_would_have_been(
    stitched_scan: Get, tmp_path: Path, name: str
) -> None:
    scan = stitched_scan(name).scan
    truth = read_truth(scan.truth)
    shots = [(np.ascontiguousarray(np.rot90(rgb)), time_s) for rgb, time_s in _shots(scan.video)]
    film = _write(tmp_path / "scan.mp4", shots)
    figures = measure_placement(_stitched(film, truth.pixel_size_um), truth)
    # Written a second time, the film is a little worse.
    places = read_frame_places(stitched_scan(name).folder / "frames.csv")
    as_it_is = measure_placement(places, truth).within_cores
    assert figures.right_lane_fraction >= 0.96
    assert figures.within_cores.median_px <= as_it_is.median_px + 0.5
    assert figures.within_cores.ninety_five_px <= as_it_is.ninety_five_px + 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "authentic", "sheared"])
def test_two_scans_in_one_film_are_told_apart(
    stitched_scan: Get, tmp_path: Path, name: str
) -> None:
    scan = stitched_scan(name).scan
    truth = read_truth(scan.truth)
    shots = _shots(scan.video)
    lasted_s = shots[-1][1] + 1 / 30
    twice = [*shots, *((rgb, time_s + lasted_s) for rgb, time_s in shots)]
    film = _write(tmp_path / "scan.mp4", twice)
    places = _stitched(film, truth.pixel_size_um)
    # The first alone is stitched; nothing of the second lies in its mosaic.
    _assert_good(measure_placement(places[: len(shots)], truth))
    assert all(place.x_px is None for place in places[len(shots) :])
    entries = judge_scan(film.parent / "slide")
    (told,) = [entry for entry in entries if entry.reason is RescanReason.SECOND]
    assert f"from {lasted_s:.0f} s on" in told.problem


def test_a_film_that_breaks_off_is_refused_unless_what_is_there_will_do(
    stitched_scan: Get, tmp_path: Path
) -> None:
    scan = stitched_scan("plain").scan
    truth = read_truth(scan.truth)
    whole = _write(tmp_path / "whole.mkv", _shots(scan.video)).read_bytes()
    film = tmp_path / "scan.mkv"
    film.write_bytes(whole[: int(0.7 * len(whole))])
    with pytest.raises(InputError, match="--damaged"):
        _stitched(film, truth.pixel_size_um)
    assert not (tmp_path / "slide").exists()
    places = _stitched(film, truth.pixel_size_um, takes_damaged=True)
    assert 0.5 * len(truth.lanes) < len(places) < 0.9 * len(truth.lanes)
    whole_lanes = _lane(truth, int(truth.lanes[: len(places)].max()))[0]
    _assert_good(measure_placement(places[:whole_lanes], _part_of(truth, 0, whole_lanes)))


@pytest.mark.slow
@pytest.mark.parametrize("turn_deg", [90.0, 180.0, 270.0, 4.4, 184.4])
def test_lanes_may_run_along_either_axis_of_the_camera_and_either_way(
    tmp_path: Path, turn_deg: float
) -> None:
    settings = SCANS["plain"]
    settings = replace(settings, camera=replace(settings.camera, turn_deg=turn_deg))
    scan = simulate_scan(tmp_path, design=DESIGN, settings=settings, seed=2)
    _assert_good(measure_placement(_stitched(scan.video, 2.24), read_truth(scan.truth)))
    told = json.loads((tmp_path / "slide" / "stitch.json").read_text(encoding="utf-8"))
    away = (told["camera_rotation_deg"] + turn_deg + 180) % 360 - 180
    assert abs(away) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [15.0, 25.0, 60.0, 120.0])
def test_any_usual_frame_rate_will_do(tmp_path: Path, rate_hz: float) -> None:
    settings = SCANS["plain"]
    settings = replace(settings, camera=replace(settings.camera, frame_rate_hz=rate_hz))
    scan = simulate_scan(tmp_path, design=DESIGN, settings=settings, seed=2)
    _assert_good(measure_placement(_stitched(scan.video, 2.24), read_truth(scan.truth)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "pixel_size_um"),
    [((120, 160), 4.4), ((480, 640), 1.12), ((1200, 1920), 0.5)],
)
def test_small_and_large_frames_will_do(
    tmp_path: Path, size: tuple[int, int], pixel_size_um: float
) -> None:
    camera = replace(
        PLAIN.camera, rows=size[0], columns=size[1], pixel_size_um=pixel_size_um, dirt_count=0
    )
    settings = replace(PLAIN, camera=camera, stage=replace(PLAIN.stage, rest_s=REST_S))
    scan = simulate_scan(tmp_path, design=DESIGN, settings=settings, seed=2)
    _assert_good(measure_placement(_stitched(scan.video, pixel_size_um), read_truth(scan.truth)))
