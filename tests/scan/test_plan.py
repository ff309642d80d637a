import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blurryscope.scan.estimate import BUILDS, estimate, throughput
from blurryscope.scan.focus import fit_focus_plane
from blurryscope.scan.plan import TALK_S, Area, FieldOfView, Motion, Phase, ScanPlan

AREA = Area(left_um=3000, top_um=2000, width_um=20_000, height_um=10_000)
MEASURED = FieldOfView(pixel_size_um=0.72, turn_deg=94.4, readout_ratio=0.246)
PLAN = ScanPlan(area=AREA, field=MEASURED)

sizes_um = st.floats(500, 15_000)


@st.composite
def plans(draw: st.DrawFn) -> ScanPlan:
    return ScanPlan(
        area=Area(
            left_um=draw(st.floats(0, 5000)),
            top_um=draw(st.floats(0, 5000)),
            width_um=draw(sizes_um),
            height_um=draw(sizes_um),
        ),
        field=FieldOfView(
            pixel_size_um=draw(st.floats(0.5, 3.0)),
            turn_deg=draw(st.sampled_from([0.0, 90.0, -86.0, 184.0])),
        ),
        motion=Motion(acceleration_um_per_s2=draw(st.floats(10_000, 500_000))),
        overlap_fraction=draw(st.floats(0, 0.6)),
        backlash_um=draw(st.floats(0, 50)),
    )


@given(plans())
def test_each_lane_starts_above_the_end_of_the_last(plan: ScanPlan) -> None:
    for here, there in pairwise(plan.lanes()):
        assert there.start.x_um == pytest.approx(here.end.x_um)
        assert there.start.y_um - here.end.y_um == pytest.approx(plan.lane_pitch_um)
        assert there.is_forward is not here.is_forward


@given(plans())
def test_the_fields_of_the_lanes_cover_the_area_with_the_overlap_asked_for(plan: ScanPlan) -> None:
    lanes = list(plan.lanes())
    half_um = plan.field.across_um / 2
    assert lanes[0].start.y_um - half_um <= plan.area.top_um + 1e-6
    assert lanes[-1].start.y_um + half_um >= plan.area.bottom_um - 1e-6
    assert plan.lane_pitch_um <= plan.field.across_um * (1 - plan.overlap_fraction) + 1e-6
    reach_um = {lane.cruise_from_um for lane in lanes} | {lane.cruise_to_um for lane in lanes}
    assert min(reach_um) - plan.field.along_um / 2 <= plan.area.left_um + 1e-6
    assert max(reach_um) + plan.field.along_um / 2 >= plan.area.right_um - 1e-6


@given(plans())
def test_ramps_and_backlash_end_before_the_part_at_full_speed(plan: ScanPlan) -> None:
    ramp_um = plan.motion.speed_um_per_s**2 / (2 * plan.motion.acceleration_um_per_s2)
    for lane in plan.lanes():
        run_up_um = abs(lane.cruise_from_um - lane.start.x_um)
        assert run_up_um > ramp_um + plan.backlash_um
        assert abs(lane.end.x_um - lane.cruise_to_um) > ramp_um


@given(plans())
def test_no_lane_starts_before_a_rest_and_no_time_is_lost_between_segments(plan: ScanPlan) -> None:
    segments = list(plan.segments())
    for before, part in pairwise(segments):
        assert part.start_s == pytest.approx(before.start_s + before.lasts_s)
        if part.phase is Phase.LANE:
            assert before.phase is Phase.REST
            assert before.lasts_s == plan.motion.rest_s


def test_a_pitch_that_was_given_is_kept() -> None:
    plan = replace(PLAN, pitch_um=287.0)
    ys_um = [lane.start.y_um for lane in plan.lanes()]
    assert {round(there - here, 6) for here, there in pairwise(ys_um)} == {287.0}


def test_the_lanes_follow_the_focus_plane() -> None:
    focus = fit_focus_plane([(0, 0, 10), (20_000, 0, 30), (0, 10_000, 10)])
    lane = next(replace(PLAN, focus=focus).lanes())
    assert lane.start.z_um == pytest.approx(10 + lane.start.x_um / 1000)
    assert lane.end.z_um == pytest.approx(10 + lane.end.x_um / 1000)


@given(
    st.tuples(st.floats(-50, 50), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)),
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=9, unique=True
    ),
)
def test_a_plane_is_found_again_from_its_points(
    plane: tuple[float, float, float], places: list[tuple[int, int]]
) -> None:
    z_um, slope_x, slope_y = plane
    points = [(1000 * x, 1000 * y, z_um + 1000 * (slope_x * x + slope_y * y)) for x, y in places]
    assume(np.linalg.matrix_rank(np.array(places) - np.mean(places, axis=0), tol=2.0) == 2)
    found = fit_focus_plane([(float(x), float(y), z) for x, y, z in points])
    assert found.z_at_um(7000, 3000) == pytest.approx(
        z_um + 7000 * slope_x + 3000 * slope_y, abs=1e-6
    )


def test_focus_points_on_a_line_are_refused() -> None:
    with pytest.raises(ValueError, match="on a line"):
        fit_focus_plane([(0, 0, 1), (1000, 2000, 2), (2000, 4000, 5)])


@pytest.mark.parametrize("count", [2, 10])
def test_too_few_or_too_many_focus_points_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="3 to 9 points"):
        fit_focus_plane([(x * 1000.0, x**2 * 1000.0, 0.0) for x in range(count)])


@pytest.mark.parametrize(
    ("width_um", "height_um", "pixel_size_um", "is_long_across", "overlap", "minutes"),
    [
        (45_000, 25_000, 0.56, False, 0.2, 19.6),
        (45_000, 25_000, 0.56, True, 0.2, 14.7),
        (45_000, 25_000, 0.717, True, 0.2, 11.5),
        (45_000, 25_000, 1.12, True, 0.0, 5.9),
        (45_000, 25_000, 1.60, True, 0.2, 5.2),
        (40_000, 20_000, 0.56, False, 0.2, 14.2),
        (21_000, 17_000, 0.56, True, 0.2, 5.3),
    ],
)
def test_scan_times_agree_with_those_worked_out_by_hand(
    width_um: float,
    height_um: float,
    pixel_size_um: float,
    is_long_across: bool,
    overlap: float,
    minutes: float,
) -> None:
    plan = ScanPlan(
        area=Area(left_um=0, top_um=0, width_um=width_um, height_um=height_um),
        field=FieldOfView(pixel_size_um=pixel_size_um, turn_deg=90.0 if is_long_across else 0.0),
        overlap_fraction=overlap,
    )
    # By hand nobody counted that host and stage talk between lanes.
    talk_s = TALK_S * (plan.lane_count - 1)
    assert (estimate(plan).duration_s - talk_s) / 60 == pytest.approx(minutes, rel=0.025)


def test_blur_and_frames_follow_from_speed_exposure_and_rolling_shutter() -> None:
    told = estimate(PLAN)
    assert told.blur_um == pytest.approx(39.0)
    assert told.blur_px == pytest.approx((43.5, 71.8), abs=0.1)
    assert told.frame_count == round(told.duration_s * 30)
    assert told.frame_step_fraction == pytest.approx(5000 / 30 / (480 * 0.72) / (1 - 0.246))


def test_no_build_but_the_strongest_reduction_reaches_the_papers_speed() -> None:
    whole = ScanPlan(
        area=Area(left_um=0, top_um=0, width_um=45_000, height_um=25_000), field=MEASURED
    )
    rates = {label: told.mm2_per_s for label, _, told in throughput(whole)}
    assert [label for label, rate in rates.items() if rate >= 3.0] == [
        "3.5x (0.35x lens), long side across"
    ]


@pytest.mark.parametrize(
    "wrong", [{"pixel_size_um": 0.0}, {"frame_rate_hz": math.inf}, {"readout_ratio": 1.0}]
)
def test_a_field_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(MEASURED, **wrong)  # type: ignore[arg-type]


AREAS_MM = ((45, 25), (40, 20), (21, 17))


def throughput_table() -> str:
    """Minutes and mm²/s of every build on a whole slide, a smaller one, and the paper's array."""
    heads = " | ".join(f"{height} x {width} mm" for width, height in AREAS_MM)
    rows = [
        f"| lens | µm per pixel | pitch µm | {heads} |",
        "|---|---|---|" + "---|" * len(AREAS_MM),
    ]
    for build in BUILDS:
        cells, pitches_um = [], []
        for width_mm, height_mm in AREAS_MM:
            area = Area(left_um=0, top_um=0, width_um=1000 * width_mm, height_um=1000 * height_mm)
            plan = ScanPlan(area=area, field=build.field_of_view())
            told = estimate(plan)
            cells.append(f"{told.duration_s / 60:.1f} min, {told.mm2_per_s:.2f} mm²/s")
            pitches_um.append(plan.lane_pitch_um)
        pitch = f"{min(pitches_um):.0f}–{max(pitches_um):.0f}"
        rows.append(f"| {build.label} | {build.pixel_size_um:g} | {pitch} | {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_table_in_the_reference_is_what_the_planner_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "plan.md"
    assert throughput_table() in page.read_text(encoding="utf-8")
