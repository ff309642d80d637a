"""Calibrate the simulated rig, whose truth is known, through its serial line."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from blurryscope.basics.errors import InputError
from blurryscope.scan.appearance_fit import FlatField
from blurryscope.scan.bench import FocusSearch
from blurryscope.scan.calibrate import CalibrateSettings, calibrate, geometry_of
from blurryscope.scan.calibration import (
    FLAT_FILE,
    Calibration,
    doubts,
    read_calibration,
    read_flat_field,
    write_calibration,
)
from blurryscope.scan.drive import Microscope
from blurryscope.scan.plan import FieldOfView, ScanPlan
from blurryscope.simulator.presets import AUTHENTIC, ScanSettings
from blurryscope.simulator.rig import FocusSurface
from tests.scan.desk import AREA, SCAN, opened, rig_of

PLAN = ScanPlan(
    area=AREA,
    field=FieldOfView(pixel_size_um=1.3, rows=240, columns=320, turn_deg=90),
)


@dataclass(frozen=True)
class Calibrated:
    scope: Microscope
    record: Calibration
    flat: FlatField


@pytest.fixture(scope="module")
def calibrated() -> Iterator[Calibrated]:
    settings = CalibrateSettings(focus=FocusSearch(start_um=-3000.0))  # which it has not
    with rig_of(scan=SCAN) as rig, opened(rig) as scope:
        yield Calibrated(scope, *calibrate(scope, PLAN, "simulated", settings))


def test_the_truth_of_the_simulated_rig_is_recovered(calibrated: Calibrated) -> None:
    found = calibrated.record
    ratio = 5000.0 * SCAN.camera.readout_s / (240 * 1.44)
    turn_deg = SCAN.camera.turn_deg - SCAN.stage.skew_deg  # against the stage's own x axis
    assert found.pixels.pixel_size_um == pytest.approx(1.44, rel=0.005)
    assert found.pixels.turn_deg == pytest.approx(turn_deg, abs=0.1)
    assert found.strip.readout_ratio == pytest.approx(ratio, abs=0.02)
    assert found.backlash.backlash_um == pytest.approx(SCAN.stage.backlash_um, abs=2.0)
    assert found.strip.frame_rate_hz == pytest.approx(30.0, rel=0.001)
    assert found.falloff_fraction == pytest.approx(SCAN.camera.shading_fraction, abs=0.06)
    assert doubts(replace(found, focus_unseen_count=0)) == []


def test_a_focus_that_no_height_changed_is_doubted(calibrated: Calibrated) -> None:
    assert doubts(calibrated.record) == [
        "focus made no difference at 5 of 5 places: is the z axis connected, is the slide in focus?"
    ]


@pytest.mark.slow
def test_the_focus_of_a_slide_that_lies_askew_is_found_wherever_it_is_scanned() -> None:
    surface = FocusSurface(z_um=-3035.0, slope_x=0.002, slope_y=-0.003)
    settings = CalibrateSettings(focus=FocusSearch(start_um=-3000.0))
    with rig_of(focus=surface, scan=SCAN) as rig, opened(rig) as scope:
        found, _ = calibrate(scope, PLAN, "simulated", settings)
    for x_um in (AREA.left_um, AREA.left_um + AREA.width_um):
        for y_um in (AREA.top_um, AREA.top_um + AREA.height_um):
            assert found.focus.z_at_um(x_um, y_um) == pytest.approx(
                surface.z_at_um(x_um, y_um), abs=6.0
            )
    assert found.pixels.pixel_size_um == pytest.approx(1.44, rel=0.005)
    assert doubts(found) == []


def shrunk(times: int) -> tuple[ScanSettings, ScanPlan]:
    """The authors' device with so many times fewer pixels each way, and a guess at its field."""
    full = AUTHENTIC.camera
    rows, columns, size_um = full.rows // times, full.columns // times, full.pixel_size_um * times
    camera = replace(full, rows=rows, columns=columns, pixel_size_um=size_um)
    guess = replace(PLAN.field, rows=rows, columns=columns, pixel_size_um=0.9 * size_um)
    return replace(AUTHENTIC, camera=camera), replace(PLAN, field=guess)


@pytest.mark.slow
def test_small_frames_are_calibrated_as_long_as_they_share_enough() -> None:
    scan, plan = shrunk(3)
    with rig_of(scan=scan) as rig, opened(rig) as scope:
        found, _ = calibrate(scope, plan, "simulated", CalibrateSettings())
    assert found.pixels.pixel_size_um == pytest.approx(scan.camera.pixel_size_um, rel=0.005)


@pytest.mark.slow
def test_frames_too_small_to_be_followed_are_refused_with_their_figures() -> None:
    scan, plan = shrunk(4)
    told = pytest.raises(InputError, match=r"moves on by 5\d of 120 px .* more pixels")
    with rig_of(scan=scan) as rig, opened(rig) as scope, told:
        calibrate(scope, plan, "simulated", CalibrateSettings())


def test_the_record_comes_back_from_disk(calibrated: Calibrated, tmp_path: Path) -> None:
    path = write_calibration(tmp_path, calibrated.record, calibrated.flat)
    assert read_calibration(path) == calibrated.record
    assert (read_flat_field(path, calibrated.record.geometry) == calibrated.flat.gain).all()
    field = read_calibration(path).field_of_view(2500.0)
    assert field.is_measured
    assert field.readout_ratio == pytest.approx((calibrated.record.strip.readout_ratio or 0) / 2)


def test_a_speed_that_overtakes_the_camera_is_refused(calibrated: Calibrated) -> None:
    with pytest.raises(InputError, match=r"at 40000 µm/s .* calibrated at 5000 µm/s"):
        calibrated.record.field_of_view(40_000.0)


def test_another_geometry_is_refused(calibrated: Calibrated) -> None:
    record, now = calibrated.record, geometry_of(calibrated.scope)
    record.refuse_other("calibration.json", now)
    with pytest.raises(InputError, match="rows was 240, is 480"):
        record.refuse_other("calibration.json", replace(now, rows=480))
    with pytest.raises(InputError, match=r"exposure_s was 0\.0078, is 0\.03"):
        record.refuse_other("calibration.json", replace(now, exposure_s=0.03))


def test_what_is_measured_badly_is_doubted(calibrated: Calibrated) -> None:
    bad = replace(
        calibrated.record,
        focus_unseen_count=0,
        backlash=replace(calibrated.record.backlash, spread_um=9.0),
    )
    assert doubts(bad) == ["the backlash varies by 9.0 µm"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("pixels.pixel_size_um", 0.0),
        ("pixels.pixel_size_um", 1e-9),
        ("pixels.turn_deg", 1e9),
        ("geometry.rows", -1),
        ("geometry.columns", True),
        ("geometry.highest_um", [1e9, 1.0, 1.0]),
        ("exposure_s", 7.8),
        ("strip.speed_um_per_s", 0.0),
        ("strip.frame_rate_hz", -30.0),
        ("strip.readout_ratio", 1.0),
        ("backlash.backlash_um", 1e9),
        ("focus.slope_x", 5.0),
        ("white", [0.0, 0.0, 0.0]),
        ("focus_points_um", [[0.0, 0.0, math.inf]]),
    ],
)
def test_a_record_that_cannot_be_is_refused_by_its_field(
    calibrated: Calibrated, tmp_path: Path, place: str, value: object
) -> None:
    path = write_calibration(tmp_path, calibrated.record, calibrated.flat)
    told = json.loads(path.read_text())
    *tables, name = place.split(".")
    table = told
    for each in tables:
        table = table[each]
    table[name] = value
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match=rf"calibration\.json, {place}[ :].* Calibrate again"):
        read_calibration(path)


def test_a_damaged_record_is_refused(calibrated: Calibrated, tmp_path: Path) -> None:
    path = write_calibration(tmp_path, calibrated.record, calibrated.flat)
    path.write_text(path.read_text().replace('"rows": 240', '"rows": "many"'))
    with pytest.raises(InputError, match=r"geometry\.rows"):
        read_calibration(path)
    flat = (tmp_path / FLAT_FILE).read_bytes()
    (tmp_path / FLAT_FILE).write_bytes(flat[: len(flat) // 2])
    with pytest.raises(InputError, match="is no flat field"):
        read_flat_field(path, calibrated.record.geometry)
    (tmp_path / FLAT_FILE).write_bytes(flat)
    with pytest.raises(InputError, match="of this camera"):
        read_flat_field(path, replace(calibrated.record.geometry, rows=480))
    np.save(tmp_path / FLAT_FILE, np.full_like(calibrated.flat.gain, np.inf))
    with pytest.raises(InputError, match="of this camera"):
        read_flat_field(path, calibrated.record.geometry)
    (tmp_path / FLAT_FILE).unlink()
    with pytest.raises(InputError, match="no such file"):
        read_flat_field(path, calibrated.record.geometry)
