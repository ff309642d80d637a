"""Faults put into a stitched slide by hand are told by place, cause and remedy; no others are."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.scan_quality import (
    RescanReason,
    read_regions,
    read_rescans,
)
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import is_unscanned, optical_density
from blurryscope.stitch.focus import focus_across, mean_density
from blurryscope.stitch.regions import SATURATED_FROM
from blurryscope.stitch.scan_quality import judge_scan
from tests.stitch.slide_by_hand import FIELD_PX, PITCH_PX, SIZE_PX, good_slide

Get = Callable[[str], Any]
GLASS = (232.0, 232.0, 232.0)


def test_a_good_scan_has_nothing_to_scan_again(tmp_path: Path) -> None:
    assert judge_scan(good_slide().write(tmp_path)) == []
    assert read_rescans(tmp_path / "rescan.csv") == []


def test_every_lane_is_described_over_its_whole_length(tmp_path: Path) -> None:
    judge_scan(good_slide().write(tmp_path))
    regions = read_regions(tmp_path / "regions.csv")
    for lane in range(4):
        own = [region for region in regions if region.lane == lane]
        assert own[0].x_from_px == 0
        assert own[-1].x_to_px == SIZE_PX[1]
        assert all(a.x_to_px == b.x_from_px for a, b in pairwise(own))
        overlaps = {region.overlap_fraction for region in own}
        assert overlaps == ({None} if lane == 0 else {round(1 - PITCH_PX / FIELD_PX[0], 4)})


def test_a_stretch_tells_of_its_own_pixels_whatever_was_read_with_them(tmp_path: Path) -> None:
    slide = good_slide()
    slide.picture[300:900, 700:900] = 0
    slide.picture[500:1100, 1900:2100] = 254
    judge_scan(slide.write(tmp_path))
    mosaic = Mosaic(tmp_path / "mosaic.ome.zarr")
    regions = read_regions(tmp_path / "regions.csv")
    for region in regions:
        top, left = region.y_from_px // 4, region.x_from_px // 4
        size = (region.y_to_px - region.y_from_px) // 4, (region.x_to_px - region.x_from_px) // 4
        rgb = mosaic.read(top, left, size, 2)
        unscanned = is_unscanned(rgb)
        assert region.unscanned_fraction == pytest.approx(unscanned.mean(), abs=1e-4)
        bright = (rgb.max(axis=2) >= SATURATED_FROM).sum() / max((~unscanned).sum(), 1)
        assert region.saturated_fraction == pytest.approx(bright, abs=1e-4)
    assert max(region.unscanned_fraction for region in regions) > 0.2
    assert max(region.saturated_fraction for region in regions) > 0.1


def test_lost_registration_is_told_with_its_lanes_and_place(tmp_path: Path) -> None:
    slide = good_slide()
    for number in slide.frames_where(
        lambda place: place.lane in (1, 2) and 2000 < (place.x_px or 0) < 3000
    ):
        slide.places[number] = replace(slide.places[number], confidence=0.1)
    (entry,) = judge_scan(slide.write(tmp_path))
    assert entry.reason is RescanReason.REGISTRATION
    assert (entry.first_lane, entry.last_lane) == (1, 2)
    assert (entry.x_from_mm, entry.x_to_mm) == (2.0, 3.0)
    assert entry.problem.startswith("lanes 1–2 lost registration between x 2.0 and 3.0 mm: ")
    assert "bubble" in entry.problem


def test_lanes_that_do_not_fit_together_are_told_though_every_frame_is_sure_of_its_place(
    tmp_path: Path,
) -> None:
    _write_torn(tmp_path, differing_px=32_000)
    (entry,) = judge_scan(tmp_path)
    assert entry.reason is RescanReason.TORN
    assert (entry.first_lane, entry.last_lane) == (1, 2)
    assert (entry.x_from_mm, entry.x_to_mm) == (2.0, 3.0)
    assert "do not show the same tissue on 0.032 mm² where they overlap" in entry.problem
    assert "may be torn, or a rim cut off" in entry.action


def test_a_sliver_of_a_rim_that_differs_is_nobodys_work(tmp_path: Path) -> None:
    _write_torn(tmp_path, differing_px=1_500)
    assert judge_scan(tmp_path) == []


def _write_torn(folder: Path, differing_px: int) -> None:
    """A good slide of 1 µm a pixel, but for one torn seam."""
    good_slide().write(folder)
    facts = json.loads((folder / "stitch.json").read_text())
    seam = {"lane": 2, "x_from_px": 2100, "x_to_px": 2900, "agreement": 0.1}
    seams = [{**seam, "differing_px": differing_px}]
    (folder / "stitch.json").write_text(json.dumps({**facts, "torn_seams": seams}))


def test_torn_seams_that_cannot_be_read_are_an_error_that_names_them(tmp_path: Path) -> None:
    good_slide().write(tmp_path)
    (tmp_path / "stitch.json").write_text('{"torn_seams": [{"lane": 2}]}')
    with pytest.raises(InputError, match="torn_seams"):
        judge_scan(tmp_path)


def test_a_damaged_stitch_json_is_an_error_that_names_it_and_stays_as_it_is(tmp_path: Path) -> None:
    good_slide().write(tmp_path)
    (tmp_path / "stitch.json").write_bytes(b'{"pixel_size_um": 1.\xff')
    with pytest.raises(InputError, match=r"stitch\.json"):
        judge_scan(tmp_path)
    assert (tmp_path / "stitch.json").read_bytes().endswith(b"\xff")


def test_doubtful_places_over_empty_glass_are_nobodys_work(tmp_path: Path) -> None:
    slide = good_slide()
    for number in slide.frames_where(lambda place: (place.x_px or 0) < 300):
        slide.places[number] = replace(slide.places[number], confidence=0.0)
    assert judge_scan(slide.write(tmp_path)) == []


def test_tissue_out_of_focus_is_told_though_all_of_it_is_blurred_along_the_scan(
    tmp_path: Path,
) -> None:
    slide = good_slide()
    stretch = slide.picture[440:840, 1500:2500]
    stretch[:] = cv2.GaussianBlur(stretch, (0, 0), 3)
    (entry,) = judge_scan(slide.write(tmp_path))
    assert entry.reason is RescanReason.FOCUS
    assert (entry.first_lane, entry.last_lane) == (1, 1)
    assert (entry.x_from_mm, entry.x_to_mm) == (1.5, 2.5)


def test_focus_is_blind_to_motion_blur_stain_and_noise_but_not_to_defocus() -> None:
    sharp = good_slide().picture[400:784, 2000:2384]
    usual = focus_across(sharp, GLASS)
    assert usual is not None
    moved = cv2.blur(sharp, (41, 1))
    paler = (232 - (232 - sharp.astype(np.float32)) * 0.5).round().astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 4, sharp.shape)
    noisy = np.clip(sharp + noise, 1, 255).round().astype(np.uint8)
    for same in (moved, paler, noisy):
        assert focus_across(np.asarray(same, np.uint8), GLASS) == pytest.approx(usual, rel=0.2)
    defocused = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 2), np.uint8)
    assert (focus_across(defocused, GLASS) or 1) < 0.7 * usual


def test_density_by_table_is_the_density() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
    white = (231.0, 228.5, 219.0)
    plain = optical_density(rgb, np.array(white)).mean(axis=2)
    assert np.abs(mean_density(rgb, white) - plain).max() < 1e-6


def test_focus_of_empty_glass_is_unknown() -> None:
    assert focus_across(np.full((384, 384, 3), 232, np.uint8), GLASS) is None


def test_overexposed_glass_is_told(tmp_path: Path) -> None:
    slide = good_slide()
    slide.picture[:400, :2000] = 254
    (entry,) = judge_scan(slide.write(tmp_path))
    assert entry.reason is RescanReason.BRIGHT
    assert entry.first_lane == entry.last_lane == 0
    assert entry.problem.startswith("lane 0 is overexposed between x 0.0 and 2.0 mm")


def test_a_dark_slide_is_told_once(tmp_path: Path) -> None:
    slide = good_slide()
    slide.picture = np.maximum(slide.picture // 3, 1)
    (entry,) = judge_scan(slide.write(tmp_path))
    assert entry.reason is RescanReason.DARK
    assert (entry.first_lane, entry.last_lane) == (0, 3)


def test_frames_that_the_camera_lost_are_counted_by_time_and_by_step(tmp_path: Path) -> None:
    slide = good_slide()
    in_lane = slide.frames_where(lambda place: place.lane == 2 and place.x_px is not None)
    lost = set(in_lane[10:13])
    slide.places = [p for n, p in enumerate(slide.places) if n not in lost]
    (by_time,) = judge_scan(slide.write(tmp_path))
    assert by_time.reason is RescanReason.FRAMES
    assert by_time.problem.startswith("lane 2 lost 3 frames")
    shifted = [
        replace(p, time_s=p.time_s - 0.1) if n >= in_lane[10] and p.lane == 2 else p
        for n, p in enumerate(slide.places)
    ]
    slide.places = shifted
    (by_step,) = judge_scan(slide.write(tmp_path))
    assert by_step.problem == by_time.problem


def test_a_hole_that_a_lost_frame_left_is_its_doing_in_the_next_stretch_too(tmp_path: Path) -> None:
    slide = good_slide()
    in_lane = slide.frames_where(lambda place: place.lane == 2 and place.x_px is not None)
    lost = next(n for n in in_lane if 2380 < (slide.places[n].x_px or 0) < 2500)
    slide.places = [p for n, p in enumerate(slide.places) if n != lost]
    slide.picture[800:1200, 2480:2560] = 0
    (entry,) = judge_scan(slide.write(tmp_path))
    assert entry.reason is RescanReason.FRAMES
    assert entry.problem.startswith("lane 2 lost 1 frame between x 2.0 and 3.0 mm")


@pytest.mark.parametrize(("lane", "rows"), [(0, (40, 380)), (3, (1240, 1560))])
def test_a_hole_in_the_first_or_the_last_lane_is_told_its_ragged_edge_is_not(
    tmp_path: Path, lane: int, rows: tuple[int, int]
) -> None:
    slide = good_slide()
    slide.picture[:20] = slide.picture[-20:] = 0  # as where lanes set off at unlike heights
    assert judge_scan(slide.write(tmp_path / "whole")) == []
    slide.picture[slice(*rows), 1600:1680] = 0
    (entry,) = judge_scan(slide.write(tmp_path / "holed"))
    assert entry.reason is RescanReason.GAP
    assert entry.first_lane == lane


def test_a_lane_that_the_film_breaks_off_is_told(tmp_path: Path) -> None:
    slide = good_slide()
    slide.places = slide.places[:-15]
    entries = judge_scan(slide.write(tmp_path))
    assert [entry.reason for entry in entries] == [RescanReason.CUT]
    assert entries[0].first_lane == 3
    assert entries[0].x_from_mm == pytest.approx(0.32)


def test_lanes_that_leave_a_gap_are_told_with_its_width(tmp_path: Path) -> None:
    slide = good_slide()
    slide.places = [
        replace(p, y_px=(p.y_px or 0) + (100 if p.lane == 3 else 0)) for p in slide.places
    ]
    entries = judge_scan(slide.write(tmp_path))
    assert RescanReason.GAP in {entry.reason for entry in entries}
    assert "unscanned" in next(e.problem for e in entries if e.reason is RescanReason.GAP)


def test_stitch_json_says_the_same_and_keeps_what_it_said(tmp_path: Path) -> None:
    slide = good_slide()
    slide.picture[:400, :2000] = 254
    entries = judge_scan(slide.write(tmp_path))
    facts = json.loads((tmp_path / "stitch.json").read_text(encoding="utf-8"))
    assert facts["lane_count"] == 4
    assert [entry["problem"] for entry in facts["rescan"]] == [e.problem for e in entries]
    assert [lane["lane"] for lane in facts["lane_quality"]] == [0, 1, 2, 3]
    assert judge_scan(tmp_path) == entries


def test_a_folder_that_was_not_stitched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stitch\.json"):
        judge_scan(tmp_path)


def test_a_table_with_a_broken_line_is_refused_by_its_number(tmp_path: Path) -> None:
    judge_scan(good_slide().write(tmp_path))
    path = tmp_path / "regions.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace("0", "zero", 1)
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="line 3"):
        read_regions(path)


@pytest.mark.parametrize("name", ["plain", "sheared"])
def test_a_simulated_scan_without_faults_is_found_in_focus_and_held(
    stitched_scan: Get, name: str
) -> None:
    reasons = {entry.reason for entry in judge_scan(stitched_scan(name).folder)}
    unexpected = {RescanReason.FOCUS, RescanReason.REGISTRATION, RescanReason.BRIGHT}
    assert not reasons & unexpected


def test_ramps_that_are_half_of_a_lane_are_no_lost_frames(tmp_path: Path) -> None:
    slide = good_slide()
    in_lane = slide.frames_where(lambda place: place.lane == 2 and place.x_px is not None)
    ends_px = [slide.places[in_lane[n]].x_px or 0.0 for n in (0, -1)]
    slow = len(in_lane) * 6 // 10
    steps = [0.0] + [0.4] * slow + [1.0] * (len(in_lane) - slow - 1)
    way = np.cumsum(steps)
    for n, share in zip(in_lane, way / way[-1], strict=True):
        x_px = ends_px[0] + float(share) * (ends_px[1] - ends_px[0])
        slide.places[n] = replace(slide.places[n], x_px=x_px)
    entries = judge_scan(slide.write(tmp_path))
    assert not [entry for entry in entries if entry.reason is RescanReason.FRAMES]
