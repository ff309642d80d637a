import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.simulator.camera import Camera, CameraSettings, field_offsets, plan_exposures
from blurryscope.simulator.stage import StagePath, StageSettings, Zigzag, travel_time_s

PX_UM = 1.0
SMALL = CameraSettings(rows=120, columns=160, pixel_size_um=PX_UM, white=(255.0, 255.0, 255.0))
ZIGZAG = Zigzag(
    start_x_um=80.0, start_y_um=200.0, lane_length_um=3000.0, lane_pitch_um=100.0, lane_count=2
)


@dataclass(frozen=True)
class PaintedSlide:
    """Glass with a picture on it, for truths that need to know every pixel."""

    picture: Rgb
    pixel_size_um: float = PX_UM

    def read(self, top: int, left: int, rows: int, columns: int) -> Rgb:
        row = np.clip(np.arange(top, top + rows), 0, self.picture.shape[0] - 1)
        column = np.clip(np.arange(left, left + columns), 0, self.picture.shape[1] - 1)
        return self.picture[row[:, None], column[None, :]]


def _glass(*, rows: int = 500, columns: int = 3200) -> Rgb:
    return np.full((rows, columns, 3), 255, np.uint8)


def _camera(
    settings: CameraSettings, picture: Rgb, stage: StageSettings | None = None
) -> tuple[Camera, StagePath]:
    path = StagePath(ZIGZAG, stage or StageSettings(), np.random.default_rng(0))
    slide = PaintedSlide(picture, settings.pixel_size_um)
    return Camera(settings, slide, path, np.random.default_rng(1)), path


def _cruising_s(path: StagePath, lane: int = 0) -> float:
    """A time in the middle of a lane."""
    half_s = 0.5 + travel_time_s(ZIGZAG.lane_length_um, path.settings) / 2
    return half_s + lane * path.duration_s / ZIGZAG.lane_count


def _darkness(light: NDArray[np.float32]) -> NDArray[np.float64]:
    return 255.0 - light[:, :, 1].astype(np.float64)


def _centroid(dark: NDArray[np.float64]) -> tuple[float, float]:
    row, column = np.indices(dark.shape)
    return float((row * dark).sum() / dark.sum()), float((column * dark).sum() / dark.sum())


@pytest.mark.parametrize("exposure_s", [0.002, 0.0078])
@pytest.mark.parametrize("lane", [0, 1])
def test_a_line_is_blurred_over_speed_times_exposure(exposure_s: float, lane: int) -> None:
    picture = _glass()
    camera, path = _camera(replace(SMALL, exposure_s=exposure_s), picture)
    start_s = _cruising_s(path, lane)
    middle_um = path.position_um(np.array([start_s + exposure_s / 2]))[0][0]
    picture[:, int(middle_um)] = 0
    dark = _darkness(camera.light(start_s))[60]
    blur_px = 5000.0 * exposure_s / PX_UM
    assert dark.sum() / dark.max() == pytest.approx(blur_px, rel=0.02)
    assert dark.sum() == pytest.approx(255.0, rel=0.02)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 94.4, 180.0, 267.5])
@pytest.mark.parametrize("lane", [0, 1])
def test_a_dot_lies_where_the_position_at_mid_exposure_puts_it(turn_deg: float, lane: int) -> None:
    settings = replace(SMALL, turn_deg=turn_deg)
    picture = _glass()
    camera, path = _camera(settings, picture)
    start_s = _cruising_s(path, lane)
    x_um, y_um = (at[0] for at in path.position_um(np.array([start_s + settings.middle_s])))
    column, row = int(x_um) + 11, int(y_um) - 17
    picture[row - 1 : row + 2, column - 1 : column + 2] = 55
    seen_row, seen_column = _centroid(_darkness(camera.light(start_s)))
    u, v = seen_column - (settings.columns - 1) / 2, seen_row - (settings.rows - 1) / 2
    turn = math.radians(turn_deg)
    assert x_um + (u * math.cos(turn) - v * math.sin(turn)) * PX_UM == pytest.approx(
        (column + 0.5) * PX_UM, abs=0.1
    )
    assert y_um + (u * math.sin(turn) + v * math.cos(turn)) * PX_UM == pytest.approx(
        (row + 0.5) * PX_UM, abs=0.1
    )


def test_a_rolling_shutter_along_the_scan_stretches_one_way_and_squeezes_the_other() -> None:
    settings = replace(SMALL, turn_deg=90.0, readout_s=0.006, exposure_s=0.001)
    ratio = 5000.0 * settings.readout_s / (settings.rows * PX_UM)
    stretches = []
    for lane in (0, 1):
        picture = _glass()
        camera, path = _camera(settings, picture)
        start_s = _cruising_s(path, lane)
        middle_um = path.position_um(np.array([start_s + settings.middle_s]))[0][0]
        picture[:, [int(middle_um) - 20, int(middle_um) + 20]] = 0
        dark = _darkness(camera.light(start_s)).mean(axis=1)
        middle_row = round(_centroid(dark[:, None])[0])
        rows = np.arange(len(dark))
        first, second = (
            (rows[half] * dark[half]).sum() / dark[half].sum()
            for half in (slice(0, middle_row), slice(middle_row, None))
        )
        stretches.append((second - first) / 40.0)
    assert sorted(stretches) == pytest.approx([1 / (1 + ratio), 1 / (1 - ratio)], rel=0.01)


def test_a_rolling_shutter_across_the_scan_shears() -> None:
    settings = replace(SMALL, readout_s=0.006, exposure_s=0.001)
    picture = _glass()
    camera, path = _camera(settings, picture)
    start_s = _cruising_s(path)
    middle_um = path.position_um(np.array([start_s + settings.middle_s]))[0][0]
    picture[:, int(middle_um)] = 0
    dark = _darkness(camera.light(start_s))
    columns = (dark * np.arange(dark.shape[1])).sum(axis=1) / dark.sum(axis=1)
    lean = np.polyfit(np.arange(len(columns)), columns, 1)[0]
    assert lean == pytest.approx(-5000.0 * settings.readout_s / settings.rows / PX_UM, rel=0.01)


def _plain_render(
    settings: CameraSettings, picture: Rgb, path: StagePath, start_s: float, samples: int
) -> NDArray[np.float64]:
    """Add the slide up pixel by pixel at many moments of each row's exposure."""
    off_column, off_row = field_offsets(settings)
    row_s = np.arange(settings.rows) * settings.readout_s / settings.rows
    total = np.zeros((settings.rows, settings.columns, 3))
    for share in (np.arange(samples) + 0.5) / samples:
        x_um, y_um = path.position_um(start_s + row_s + share * settings.exposure_s)
        column = off_column + (x_um / settings.pixel_size_um - 0.5)[:, None]
        row = off_row + (y_um / settings.pixel_size_um - 0.5)[:, None]
        below = np.floor(row).astype(int)
        weight = (row - below)[:, :, None]
        nearest = np.rint(column).astype(int)
        total += picture[below, nearest] * (1 - weight) + picture[below + 1, nearest] * weight
    return np.asarray(total / samples)


@pytest.mark.parametrize("turn_deg", [0.0, 94.4])
@pytest.mark.parametrize("moment", ["cruise", "ramp", "jerk"])
def test_the_fast_render_is_the_plain_one(turn_deg: float, moment: str) -> None:
    settings = replace(SMALL, turn_deg=turn_deg, readout_s=0.01)
    rng = np.random.default_rng(3)
    picture = np.repeat(np.repeat(rng.integers(60, 255, (167, 1067, 3), np.uint8), 3, 0), 3, 1)
    stage = StageSettings(vibration_um=0.01, jerks_per_lane=8.0 if moment == "jerk" else 0.0)
    camera, path = _camera(settings, picture, stage)
    start_s = 0.52 if moment == "ramp" else _cruising_s(path)
    if moment == "jerk":
        time_s = np.arange(0.6, 1.0, 0.001)
        speed = np.gradient(path.position_um(time_s)[0], 0.001)
        assert speed.min() < 4000.0
        start_s = float(time_s[np.argmin(speed)]) - 0.01
    fast = camera.light(start_s)
    plain = _plain_render(settings, picture, path, start_s, samples=300)
    off = np.abs(fast - plain)
    assert np.median(off) < 0.5
    assert np.quantile(off, 0.99) < 1.5
    assert abs(float((fast - plain).mean())) < 0.05


def test_a_frame_at_rest_is_the_slide_itself() -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(60, 255, (500, 400, 3), np.uint8)
    zigzag = replace(ZIGZAG, start_x_um=100.0, start_y_um=200.0)
    path = StagePath(zigzag, StageSettings(), np.random.default_rng(0))
    camera = Camera(SMALL, PaintedSlide(picture), path, np.random.default_rng(1))
    seen = camera.frame(0.1, np.random.default_rng(0))
    assert np.array_equal(seen, picture[140:260, 20:180])


def test_shading_and_dirt_stand_still_while_the_slide_moves() -> None:
    settings = replace(SMALL, shading_fraction=0.2, dirt_count=4, turn_deg=90.0)
    camera, path = _camera(settings, _glass())
    resting = camera.frame(0.1, np.random.default_rng(0))
    assert np.array_equal(resting, camera.frame(_cruising_s(path), np.random.default_rng(0)))
    assert resting[0, 0].mean() < 0.9 * resting[60, 80].mean()


def test_noise_has_its_deviation_on_glass() -> None:
    settings = replace(SMALL, noise=2.0, white=(200.0, 200.0, 200.0))
    camera, _ = _camera(settings, _glass())
    frame = camera.frame(0.1, np.random.default_rng(0)).astype(float)
    assert frame.std() == pytest.approx(2.0, rel=0.1)
    assert frame.mean() == pytest.approx(200.0, abs=0.5)


def test_auto_exposure_jumps_dim_or_brighten_whole_frames() -> None:
    settings = replace(SMALL, exposure_jumps_per_minute=60.0, white=(200.0, 200.0, 200.0))
    camera, path = _camera(settings, _glass())
    means = [
        camera.frame(at, np.random.default_rng(0)).mean()
        for at in np.arange(0, path.duration_s - 0.1, 0.1)
    ]
    assert np.ptp(means) > 4.0


def test_lost_and_doubled_frames_are_told_as_they_are() -> None:
    settings = replace(SMALL, drop_fraction=0.1, repeat_fraction=0.1)
    plan = plan_exposures(settings, 60.0, np.random.default_rng(5))
    taken = np.arange(int((60.0 - settings.exposure_s) * 30.0))
    assert set(plan.camera_frame) | set(plan.dropped) == set(taken)
    assert not set(plan.camera_frame) & set(plan.dropped)
    again = np.flatnonzero(plan.camera_frame[1:] == plan.camera_frame[:-1]) + 1
    assert again.tolist() == plan.repeated.tolist()
    assert 100 < len(plan.dropped) < 260
    assert 100 < len(plan.repeated) < 260
    assert plan.start_s == pytest.approx(plan.camera_frame / 30.0)


def test_jitter_moves_frames_but_keeps_their_order() -> None:
    settings = replace(SMALL, timing_jitter_s=0.02)
    plan = plan_exposures(settings, 60.0, np.random.default_rng(5))
    assert (np.diff(plan.start_s) > 0).all()
    assert np.std(plan.start_s - plan.camera_frame / 30.0) > 0.003


def test_a_camera_and_a_slide_of_different_scale_are_refused() -> None:
    path = StagePath(ZIGZAG, StageSettings(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="µm per pixel"):
        Camera(SMALL, PaintedSlide(_glass(), 0.7), path, np.random.default_rng(0))


def test_a_read_out_longer_than_two_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="readout_s"):
        replace(SMALL, readout_s=0.1)
