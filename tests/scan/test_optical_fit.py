import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.scan.displacement import Search, detail, find_displacement
from blurryscope.scan.optical_fit import (
    SpeedFit,
    fit_frame_clock,
    fit_pixels,
    fit_speed,
    fit_strip,
    peak_of,
)
from tests.scan.conftest import Bench, straight

STEPS_UM = [(80.0, 0.0), (-80.0, 0.0), (0.0, 80.0), (0.0, -80.0), (50.0, 50.0)]


@given(st.floats(0.3, 3.0), st.floats(-180, 180))
def test_pixel_size_and_rotation_are_found_from_exact_steps(
    pixel_size_um: float, turn_deg: float
) -> None:
    turn = math.radians(turn_deg)
    seen = [
        (
            -(math.cos(turn) * x + math.sin(turn) * y) / pixel_size_um,
            -(-math.sin(turn) * x + math.cos(turn) * y) / pixel_size_um,
        )
        for x, y in STEPS_UM
    ]
    fit = fit_pixels(STEPS_UM, seen)
    assert fit.pixel_size_um == pytest.approx(pixel_size_um)
    assert math.cos(math.radians(fit.turn_deg - turn_deg)) == pytest.approx(1)
    assert fit.residual_px == pytest.approx(0, abs=1e-9)
    assert not fit.is_mirrored
    for step, moved in zip(STEPS_UM, seen, strict=True):
        assert fit.displacement_px(*step) == pytest.approx(moved)
        assert fit.step_um(*moved) == pytest.approx(step)


def test_unequal_axes_and_a_mirror_are_told() -> None:
    fit = fit_pixels(STEPS_UM, [(-1.1 * x, y) for x, y in STEPS_UM])
    assert fit.is_mirrored
    assert fit.anisotropy_fraction == pytest.approx(0.1)


def test_steps_along_one_axis_only_are_refused() -> None:
    with pytest.raises(ValueError, match="both axes"):
        fit_pixels([(10.0, 0.0)] * 5, [(1.0, 0.0)] * 5)


def test_steps_of_a_stage_are_found_in_its_frames(bench: Bench) -> None:
    middle_um = (bench.slide.cores[1].x_um, bench.slide.cores[1].y_um)
    places = [(0.0, 0.0), (80.0, 0.0), (0.0, 80.0), (-60.0, -60.0), (80.0, -70.0)]
    frames = [
        detail(bench.lumas(straight((middle_um[0] + x, middle_um[1] + y), 0.0), [0.0], number)[0])
        for number, (x, y) in enumerate(places)
    ]
    everywhere = Search(reach_x_px=80, reach_y_px=80)
    found = [find_displacement(frames[0], frame, everywhere) for frame in frames[1:]]
    assert all(found)
    fit = fit_pixels(places[1:], [(each.x_px, each.y_px) for each in found if each])
    assert fit.pixel_size_um == pytest.approx(bench.camera.pixel_size_um, rel=0.003)
    assert fit.turn_deg == pytest.approx(bench.camera.turn_deg, abs=0.1)


def test_bare_glass_has_no_displacement(bench: Bench) -> None:
    frames = [
        detail(luma) for luma in bench.lumas(straight((300.0, 200.0), 100.0), [0.0, 0.1], seed=1)
    ]
    assert find_displacement(frames[0], frames[1], Search()) is None


def test_frames_that_share_too_little_have_no_displacement() -> None:
    frame = np.zeros((240, 320), np.float32)
    assert find_displacement(frame, frame, Search(y_px=190.0, reach_y_px=30)) is None


@pytest.mark.parametrize("readout_s", [0.017, 0.0])
def test_a_strip_forth_and_back_tells_read_out_scale_and_rotation(
    bench: Bench, readout_s: float
) -> None:
    camera = replace(bench.camera, readout_s=readout_s)
    fits = [speed_of_strip(replace(bench, camera=camera), way) for way in (1, -1)]
    strip = fit_strip(fits[0], fits[1], 5000.0)
    ratio = 5000.0 * readout_s / (camera.rows * camera.pixel_size_um)
    assert strip.readout_ratio == pytest.approx(ratio, abs=0.01)
    assert strip.pixel_size_um == pytest.approx(camera.pixel_size_um, rel=0.002)
    assert strip.turn_deg == pytest.approx(camera.turn_deg, abs=0.05)


def flat_of(bench: Bench) -> NDArray[np.float32]:
    """The field over empty glass, averaged."""
    times_s = [number / 30 for number in range(12)]
    mean = np.mean(bench.lumas(straight((300.0, -900.0), 1000.0), times_s), axis=0)
    return np.asarray(mean / mean.mean(), np.float32)


def speed_of_strip(bench: Bench, way: int) -> SpeedFit:
    """Run over all three cores at full speed."""
    first, last = bench.slide.cores[0], bench.slide.cores[-1]
    ends_um = (first.x_um - 400, last.x_um + 400)
    start_um = ends_um[0] if way > 0 else ends_um[1]
    path = straight((start_um, first.y_um), way * 5000.0, screw_error_um=2.5)
    count = int((ends_um[1] - ends_um[0]) / 5000.0 * 30)
    jitter_s = np.random.default_rng(3).normal(0, 0.0005, count)
    times_s = [0.05 + number / 30 + float(jitter_s[number]) for number in range(count)]
    frames = [detail(luma, flat_of(bench)) for luma in bench.lumas(path, times_s)]
    moves = []
    ratio = way * 5000.0 * bench.camera.readout_s / 240 / 1.44
    step_px = way * 5000.0 / 30 / 1.44 / (1 - ratio)
    search = Search(x_px=0.08 * step_px, y_px=step_px, reach_x_px=14, reach_y_px=20)
    for number in range(count - 1):
        found = find_displacement(frames[number], frames[number + 1], search)
        if found is not None:
            moves.append((times_s[number + 1] - times_s[number], found.x_px, found.y_px))
    fit = fit_speed(moves)
    assert fit is not None
    return fit


def test_the_frame_rate_is_found_through_jitter_and_losses() -> None:
    rng = np.random.default_rng(1)
    times_s = 3.0 + np.arange(300) / 29.7 + rng.normal(0, 0.001, 300)
    clock = fit_frame_clock(np.delete(times_s, [50, 51, 200]).tolist())
    assert clock.frame_rate_hz == pytest.approx(29.7, rel=1e-4)
    assert clock.lost_count == 3
    assert clock.jitter_s == pytest.approx(0.001, rel=0.2)


def test_a_stage_that_sticks_for_a_moment_does_not_slow_the_strip() -> None:
    moves = [(1 / 30, 0.0, 200.0)] * 20 + [(1 / 30, 0.0, 120.0)] * 3
    moves.append((1 / 30, 12.0, 200.0))  # and another frame was mistaken
    fit = fit_speed(moves)
    assert fit is not None
    assert (fit.x_px_per_s, fit.y_px_per_s) == pytest.approx((0.0, 6000.0))
    assert fit.count == 20


def test_the_peak_of_a_parabola_is_found_between_its_samples() -> None:
    places = np.arange(-30.0, 31.0, 10.0)
    peak, _ = peak_of(places, 5 - (places - 3.7) ** 2)
    assert peak == pytest.approx(3.7)
    with pytest.raises(ValueError, match="end of the search"):
        peak_of(places, places)


def test_frames_that_are_taken_late_do_not_change_the_rate() -> None:
    times_s = np.arange(90) / 30 + np.random.default_rng(9).normal(0, 0.0005, 90)
    times_s[[70, 84, 86, 88, 89]] += [0.02, 0.03, 0.03, 0.04, 0.05]
    plain = 1 / np.polyfit(np.arange(90), times_s, 1)[0]
    assert abs(plain / 30 - 1) > 0.001
    clock = fit_frame_clock(times_s.tolist())
    assert clock.frame_rate_hz == pytest.approx(30.0, rel=0.0003)
    assert clock.jitter_s > 0.002  # they are told all the same
