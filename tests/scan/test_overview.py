"""The overview shows the slide as it lies on the stage, from frames as the camera sees it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.video import ArrayFrame
from blurryscope.basics.image import Rgb
from blurryscope.devices.contracts import CameraFrame, StageMode, StagePoint, StageStatus
from blurryscope.scan.overview import Overview
from blurryscope.scan.plan import Area, FieldOfView, ScanPlan
from blurryscope.testing import smooth_picture
from tests.scan.conftest import Bench, straight

UM_PER_PX = 10.0
PLAN = ScanPlan(
    area=Area(left_um=5000, top_um=3000, width_um=6000, height_um=3000),
    field=FieldOfView(pixel_size_um=UM_PER_PX, rows=60, columns=80, exposure_s=1e-6),
)
FLAT = np.linspace(0.9, 1.1, 80, dtype=np.float32)[None].repeat(60, axis=0)


def status(time_s: float, x_um: float, y_um: float) -> StageStatus:
    return StageStatus(
        mode=StageMode.MOVING,
        position=StagePoint(x_um=x_um, y_um=y_um, z_um=0),
        is_homed=True,
        time_s=time_s,
    )


def scene_of(plan: ScanPlan) -> Rgb:
    """What lies on the plan's area, and a field more to all sides."""
    covered = plan.covered
    rows = round(covered.height_um / UM_PER_PX) + 160
    columns = round(covered.width_um / UM_PER_PX) + 160
    return smooth_picture(np.random.default_rng(1), (rows, columns), grain_px=60)


def seen(scene: Rgb, plan: ScanPlan, x_um: float, y_um: float, time_s: float) -> CameraFrame:
    """The frame of a camera over a place, shaded, and turned as the plan says."""
    turns = round(plan.field.turn_deg / 90)
    rows, columns = (80, 60) if turns % 2 else (60, 80)
    top = round((y_um - plan.area.top_um) / UM_PER_PX) + 80 - rows // 2
    left = round((x_um - plan.area.left_um) / UM_PER_PX) + 80 - columns // 2
    upright = np.rot90(scene[top : top + rows, left : left + columns], turns)
    shaded = np.clip(upright * FLAT[..., None], 0, 255).astype(np.uint8)
    return CameraFrame(index=0, time_s=time_s, picture=ArrayFrame(0, time_s, shaded))


@pytest.mark.parametrize("turn_deg", [0.0, 94.4, 180.0, -86.0])
def test_frames_lie_where_the_stage_was(tmp_path: Path, turn_deg: float) -> None:
    plan = replace(PLAN, field=replace(PLAN.field, turn_deg=turn_deg))
    scene, overview = scene_of(plan), Overview(tmp_path / "overview.jpg", plan, FLAT)
    now_s = 0.0
    for lane in plan.lanes():
        for share in np.linspace(0, 1, 40):
            x_um = lane.start.x_um + share * (lane.end.x_um - lane.start.x_um)
            overview.watch(status(now_s, x_um, lane.start.y_um))
            inside_um = float(np.clip(x_um, plan.area.left_um, plan.area.right_um))
            if inside_um == x_um:
                overview.take(seen(scene, plan, x_um, lane.start.y_um, now_s))
            now_s += 0.1
    overview.watch(status(now_s, plan.area.left_um, plan.area.top_um))
    overview.finish()
    shown = cv2.imread(str(tmp_path / "overview.jpg"), cv2.IMREAD_COLOR_RGB)
    assert shown is not None
    truth = scene[80:-80, 80:-80]
    shown = cv2.resize(shown, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - truth.astype(int)).mean() < 8


def test_what_was_not_filmed_stays_grey_and_an_earlier_part_is_kept(tmp_path: Path) -> None:
    path, scene = tmp_path / "overview.jpg", scene_of(PLAN)
    for x_um in (6000.0, 9500.0):  # two parts of one scan
        overview = Overview(path, PLAN, FLAT)
        overview.watch(status(0.0, x_um, 4000))
        overview.take(seen(scene, PLAN, x_um, 4000, 0.5))
        overview.watch(status(1.0, x_um, 4000))
        overview.finish()
    shown = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert shown is not None
    is_grey = np.abs(shown.astype(int) - 160).max(axis=2) < 12
    assert 0.7 < is_grey.mean() < 0.97
    scale = shown.shape[1] / PLAN.covered.width_um
    for x_um in (6000.0, 9500.0):
        column, row = round((x_um - 5000) * scale), round((4000 - 3000) * scale)
        near = is_grey[row - 20 : row + 20, column - 20 : column + 20]
        assert near.mean() < 0.2


@pytest.mark.parametrize("way_um_per_s", [5_000.0, -5_000.0])
def test_cores_look_in_it_as_they_lie_on_the_slide(
    tmp_path: Path, bench: Bench, way_um_per_s: float
) -> None:
    camera, slide, speed = bench.camera, bench.slide, abs(way_um_per_s)
    height_um, width_um = (side * slide.pixel_size_um for side in slide.size_px)
    ratio = speed * camera.readout_s / (camera.rows * camera.pixel_size_um)
    plan = ScanPlan(
        area=Area(left_um=0, top_um=height_um / 2 - 230, width_um=width_um, height_um=460),
        field=FieldOfView(
            pixel_size_um=camera.pixel_size_um,
            rows=camera.rows,
            columns=camera.columns,
            turn_deg=camera.turn_deg,
            readout_ratio=ratio,
        ),
    )
    overview = Overview(tmp_path / "overview.jpg", plan, np.ones((240, 320), np.float32))
    begin_um = 200.0 if way_um_per_s > 0 else width_um - 200.0
    way = straight((begin_um, height_um / 2), way_um_per_s)
    times_s = [number / 30 for number in range(round((width_um - 400) / speed * 30))]
    overview.watch(status(-0.1, begin_um - 0.1 * way_um_per_s, height_um / 2))
    for time_s, rgb in zip(times_s, bench.pictures(way, times_s), strict=True):
        overview.take(CameraFrame(index=0, time_s=time_s, picture=ArrayFrame(0, time_s, rgb)))
    end_s = times_s[-1] + 0.1
    overview.watch(status(end_s, begin_um + end_s * way_um_per_s, height_um / 2))
    overview.finish()
    shown = cv2.imread(str(tmp_path / "overview.jpg"), cv2.IMREAD_GRAYSCALE)
    top = round((height_um / 2 - 230) / slide.pixel_size_um)
    truth = slide.read(top, 0, round(460 / slide.pixel_size_um), slide.size_px[1]).mean(axis=2)
    assert shown is not None
    # Coarse as it is: shading, 4.4 degrees and the steps between frames stay in it. A camera taken
    # the wrong way round gives less than 0.4, frames with their stretch 0.79 to 0.81.
    small = cv2.resize(truth, shown.shape[::-1], interpolation=cv2.INTER_AREA)
    soft = [cv2.GaussianBlur(np.asarray(each, np.float32), (0, 0), 6) for each in (shown, small)]
    assert np.corrcoef([each[:, 100:-100].ravel() for each in soft])[0, 1] > 0.815
