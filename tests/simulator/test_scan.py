import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blurryscope.artifacts.recording import read_recording
from blurryscope.artifacts.video import Video
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.simulator.camera import plan_exposures
from blurryscope.simulator.presets import AUTHENTIC, PLAIN, ScanSettings
from blurryscope.simulator.scan import (
    SimulatedScan,
    plan_zigzag,
    simulate_repeats,
    simulate_scan,
)
from blurryscope.simulator.slide import Slide, SlideDesign
from blurryscope.simulator.stage import StagePath

TINY = SlideDesign(
    rows=1,
    columns=2,
    core_diameter_um=250.0,
    pitch_um=350.0,
    margin_um=300.0,
    missing=(CoreName(0, 1),),
    seed=2,
)


def _small(settings: ScanSettings) -> ScanSettings:
    camera = replace(
        settings.camera,
        rows=120,
        columns=160,
        pixel_size_um=2.5,
        drop_fraction=0.05,
        repeat_fraction=0.1,
        noise=3.0,
    )
    stage = replace(settings.stage, rest_s=0.2)
    return replace(settings, camera=camera, stage=stage, quality=10)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScan:
    out = tmp_path_factory.mktemp("scan")
    return simulate_scan(out, design=TINY, settings=_small(AUTHENTIC), seed=4)


def _truth(scan: SimulatedScan) -> Any:
    return json.loads(scan.truth.read_text(encoding="utf-8"))


def test_the_film_holds_a_frame_for_each_line_of_the_truth(scan: SimulatedScan) -> None:
    truth = _truth(scan)
    with Video(scan.video) as film:
        assert (film.info.height_px, film.info.width_px) == (120, 160)
        frames = list(film)
    assert len(frames) == len(truth["frames"]) == scan.frame_count
    assert film.damage is None


def test_the_truth_is_the_path_at_mid_read_out(scan: SimulatedScan) -> None:
    truth, settings = _truth(scan), _small(AUTHENTIC)
    streams = np.random.default_rng((4, 1)).spawn(4)
    slide = Slide(TINY, settings.camera.pixel_size_um)
    path = StagePath(plan_zigzag(slide, settings), settings.stage, streams[0])
    plan = plan_exposures(settings.camera, path.duration_s, streams[2])
    x_um, y_um = path.position_um(plan.start_s + 0.017 / 2 + 0.0078 / 2)
    frames = np.array(truth["frames"])
    assert frames[:, 0] == pytest.approx(x_um)
    assert frames[:, 1] == pytest.approx(y_um)
    assert set(frames[:, 2]) == {-1.0, *range(path.zigzag.lane_count)}


def test_doubled_frames_in_the_film_are_those_of_the_truth(scan: SimulatedScan) -> None:
    truth = _truth(scan)
    with Video(scan.video) as film:
        frames = [frame.luma().astype(float) for frame in film]
    changes = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    again = np.array(truth["repeated_frames"])
    fresh = np.setdiff1d(np.arange(1, len(frames)), again)
    assert len(again) >= 3
    assert changes[again - 1].max() < 0.5 * changes[fresh - 1].min()


def test_the_truth_has_the_words_of_the_recorded_scans(scan: SimulatedScan) -> None:
    truth = _truth(scan)
    assert truth["portrait"] is True
    assert truth["angle_deg"] == pytest.approx(4.4)
    assert truth["field_px"] == [160, 120]
    assert truth["slide_shape"] == [*Slide(TINY, 2.5).size_px, 3]
    assert set(truth["geometry"]) == {"core_um", "pitch_um", "angle_deg"}
    assert [(core["row"], core["col"], core["missing"]) for core in truth["cores"]] == [
        (0, 0, False),
        (0, 1, True),
    ]


def test_the_map_lists_lost_cores_too(scan: SimulatedScan) -> None:
    with scan.map.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = [["0", "1+", "2+", "3+"][core["score"]] for core in _truth(scan)["cores"]]
    assert [(row["slide"], row["core"], row["her2"]) for row in rows] == [
        ("SIM1", "A1", labels[0]),
        ("SIM1", "A2", labels[1]),
    ]


def test_the_recording_says_what_the_rig_was_set_to(scan: SimulatedScan) -> None:
    recording = read_recording(scan.recording)
    assert (recording.slide, recording.repeat, recording.rig) == ("SIM1", 1, "simulated")
    assert recording.pixel_size_um == 2.5


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    scan: SimulatedScan, tmp_path: Path
) -> None:
    again = simulate_scan(tmp_path / "a", design=TINY, settings=_small(AUTHENTIC), seed=4)
    other = simulate_scan(tmp_path / "b", design=TINY, settings=_small(AUTHENTIC), seed=5)
    for name in ("video", "map", "truth", "recording", "slide_picture"):
        assert getattr(again, name).read_bytes() == getattr(scan, name).read_bytes(), name
    assert other.video.read_bytes() != scan.video.read_bytes()
    assert other.slide_picture.read_bytes() == scan.slide_picture.read_bytes()


def _interrupted(stage: str, fraction: float) -> None:
    if stage == "filming the slide" and fraction > 0.5:
        raise KeyboardInterrupt


def test_a_film_that_is_interrupted_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate_scan(tmp_path, design=TINY, settings=_small(AUTHENTIC), progress=_interrupted)
    assert not list(tmp_path.iterdir())


def test_a_film_made_again_and_interrupted_leaves_the_first_one_whole(tmp_path: Path) -> None:
    simulate_scan(tmp_path, design=TINY, settings=_small(AUTHENTIC), seed=4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        simulate_scan(
            tmp_path, design=TINY, settings=_small(AUTHENTIC), seed=4, progress=_interrupted
        )
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_folder_with_another_film_or_a_map_from_elsewhere_is_left_alone(tmp_path: Path) -> None:
    made = simulate_scan(tmp_path / "film", design=TINY, settings=_small(AUTHENTIC), seed=4)
    before = made.map.read_bytes(), made.truth.read_bytes(), made.video.read_bytes()
    other = replace(TINY, seed=TINY.seed + 1)
    with pytest.raises(InputError, match="already holds another film"):
        simulate_scan(tmp_path / "film", design=other, settings=_small(AUTHENTIC), seed=4)
    simulate_scan(tmp_path / "film", design=TINY, settings=_small(AUTHENTIC), seed=4)
    assert before == (made.map.read_bytes(), made.truth.read_bytes(), made.video.read_bytes())
    (tmp_path / "map.csv").write_text("core,her2\nA1,3+\n", encoding="utf-8")
    with pytest.raises(InputError, match="already holds another film or map"):
        simulate_scan(tmp_path, design=TINY, settings=_small(AUTHENTIC), seed=4)


def test_a_map_that_somebody_edited_is_not_written_over(tmp_path: Path) -> None:
    made = simulate_scan(tmp_path, design=TINY, settings=_small(AUTHENTIC), seed=4)
    edited = made.map.read_text(encoding="utf-8") + "SIM1,Z9,3+\n"
    made.map.write_text(edited, encoding="utf-8")
    with pytest.raises(InputError, match=r"map\.csv.*was changed"):
        simulate_scan(tmp_path, design=TINY, settings=_small(AUTHENTIC), seed=4)
    assert made.map.read_text(encoding="utf-8") == edited


def test_repeats_are_one_slide_scanned_anew_and_once_turned_round(tmp_path: Path) -> None:
    told: list[float] = []
    scans = simulate_repeats(
        tmp_path,
        design=TINY,
        settings=_small(PLAIN),
        turned=(False, True),
        progress=lambda _, fraction: told.append(fraction),
    )
    first, second = (_truth(scan) for scan in scans)
    assert [scan.video.parent.name for scan in scans] == ["repeat-1", "repeat-2"]
    assert scans[0].map.read_bytes() == scans[1].map.read_bytes()
    assert [read_recording(scan.recording).repeat for scan in scans] == [1, 2]
    assert (first["slide_turned"], second["slide_turned"]) == (False, True)
    assert first["cores"][0]["x_um"] + second["cores"][0]["x_um"] == pytest.approx(
        first["slide_shape"][1] * 2.5
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("settings", [PLAIN, AUTHENTIC])
def test_the_lanes_of_a_preset_cover_the_slide(settings: ScanSettings) -> None:
    slide = Slide(SlideDesign(), settings.camera.pixel_size_um)
    zigzag = plan_zigzag(slide, settings)
    along_um, across_um = settings.camera.field_um
    height_um, width_um = (size * slide.pixel_size_um for size in slide.size_px)
    last_um = zigzag.start_y_um + (zigzag.lane_count - 1) * zigzag.lane_pitch_um
    assert zigzag.start_x_um == pytest.approx(along_um / 2)
    assert zigzag.start_x_um + zigzag.lane_length_um + along_um / 2 == pytest.approx(width_um)
    assert last_um + across_um / 2 >= height_um
    assert zigzag.lane_pitch_um < across_um
