import re
from dataclasses import replace

import pytest

from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import StageLimits, StagePoint
from blurryscope.scan.estimate import estimate
from blurryscope.scan.focus import FocusPlane
from blurryscope.scan.plan import Area, FieldOfView, Motion, ScanPlan
from blurryscope.scan.refusals import refusals, refuse

LIMITS = StageLimits(
    lowest=StagePoint(x_um=0, y_um=0, z_um=-500),
    highest=StagePoint(x_um=30_000, y_um=20_000, z_um=500),
    speed_um_per_s=6000.0,
    acceleration_um_per_s2=100_000.0,
)
GOOD = ScanPlan(
    area=Area(left_um=3000, top_um=2000, width_um=20_000, height_um=10_000),
    field=FieldOfView(pixel_size_um=0.72, turn_deg=94.4, readout_ratio=0.246),
)


def test_a_plan_that_can_be_scanned_is_not_refused() -> None:
    assert refusals(GOOD, LIMITS) == []
    refuse("plan.toml", GOOD, LIMITS)


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({"pitch_um": 450.0}, ("450 µm", "459 µm", "436 µm")),
        ({"area": replace(GOOD.area, left_um=50.0)}, ("from -2", "goes from 0 to 30000", "run-up")),
        ({"area": replace(GOOD.area, top_um=11_000)}, ("y from", "to 20770", "to 20000")),
        ({"focus": FocusPlane(z_um=0.0, slope_x=0.03)}, ("z from", "to 500")),
        ({"field": replace(GOOD.field, exposure_s=0.02)}, ("20.0 ms", "100 µm", "9.0 ms")),
        ({"field": replace(GOOD.field, frame_rate_hz=15)}, ("15 frames", "128 %", "3621 µm/s")),
        ({"motion": Motion(speed_um_per_s=7000.0)}, ("7000 µm/s", "6000 µm/s")),
        ({"motion": Motion(acceleration_um_per_s2=2e5)}, ("200000 µm/s²", "100000")),
    ],
)
def test_what_cannot_work_is_refused_with_its_figures(
    changes: dict[str, object], figures: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as refused:
        refuse("plan.toml", replace(GOOD, **changes), LIMITS)  # type: ignore[arg-type]
    for figure in figures:
        assert figure in str(refused.value)


def test_at_the_speed_that_a_refusal_names_frames_have_enough_in_common() -> None:
    slow = replace(GOOD, field=replace(GOOD.field, frame_rate_hz=15))
    with pytest.raises(InputError) as refused:
        refuse("plan.toml", slow, LIMITS)
    named = re.search(r"Scan at (\d+) µm/s at most", str(refused.value))
    assert named is not None
    speed = float(named[1])
    ratio = GOOD.field.readout_ratio * speed / GOOD.motion.speed_um_per_s
    slower = replace(
        slow,
        motion=Motion(speed_um_per_s=speed),
        field=replace(slow.field, readout_ratio=ratio),
    )
    assert refusals(slower, LIMITS) == []
    assert estimate(slower).frame_step_fraction == pytest.approx(0.85, abs=0.001)


def test_a_remedy_is_said_once() -> None:
    wide = replace(GOOD, area=replace(GOOD.area, left_um=50.0, top_um=11_000))
    with pytest.raises(InputError) as refused:
        refuse("plan.toml", wide, LIMITS)
    assert str(refused.value).count("Move or shrink the area") == 1


def test_all_that_is_wrong_is_said_at_once() -> None:
    bad = replace(GOOD, pitch_um=450.0, field=replace(GOOD.field, exposure_s=0.02))
    assert len(refusals(bad, LIMITS)) == 2
