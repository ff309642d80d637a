"""Where tissue may be: passes over the slide find what single places miss."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.core_name import CoreName
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.drive import Microscope, unwatched
from blurryscope.scan.landmark import detail_amid, take_landmark
from blurryscope.scan.likely_places import likely_places
from blurryscope.simulator.rig import SimulatedRig
from tests.scan.desk import AREA, SLIDE, THREE_LANES, opened, rig_of

PLAN = replace(THREE_LANES, area=AREA)
BARE = replace(
    SLIDE, missing=tuple(CoreName(row, column) for row in range(2) for column in range(3))
)


def flat_of(scope: Microscope) -> NDArray[np.float32]:
    """As calibration leaves it; where the stage stands after homing there is only glass."""
    scope.stage.home()
    seen = np.mean([scope.camera.grab().luma().astype(np.float32) for _ in range(8)], axis=0)
    return np.asarray(seen / seen.mean(), np.float32)


def look(
    rig: SimulatedRig, folder: Path, hints: tuple[StagePoint, ...] = ()
) -> tuple[StagePoint | None, float]:
    """The landmark of all of the slide, and how long it took to find one."""
    with opened(rig) as scope:
        flat = flat_of(scope)
        begun_s = scope.clock.monotonic_s()
        places = likely_places(scope, PLAN, hints, partial(detail_amid, flat=flat), unwatched)
        place = take_landmark(scope, places, folder, flat)
        return place, scope.clock.monotonic_s() - begun_s


def distance_to_core_um(rig: SimulatedRig, place: StagePoint) -> float:
    left_um, top_um = rig.true_stage.corner_um
    return min(
        float(np.hypot(core.x_um + left_um - place.x_um, core.y_um + top_um - place.y_um))
        for core in rig.slide.cores
    )


def test_cores_between_which_all_corners_and_middles_lie_are_found_by_passing(
    tmp_path: Path,
) -> None:
    with rig_of() as rig:
        place, took_s = look(rig, tmp_path)
        assert place is not None
        reach_um = (SLIDE.core_diameter_um + PLAN.field.across_um) / 2
        assert distance_to_core_um(rig, place) < reach_um
    assert took_s < 4.0


def test_a_slide_of_glass_has_no_landmark_and_is_soon_left(tmp_path: Path) -> None:
    with rig_of(BARE) as rig:
        place, took_s = look(rig, tmp_path)
    assert place is None
    assert took_s < 6.0  # three passes; nine places took 7 s


def test_a_hint_that_shows_tissue_is_taken_without_a_pass(tmp_path: Path) -> None:
    with rig_of() as rig:
        core, corner_um = rig.slide.cores[0], rig.true_stage.corner_um
        hint = PLAN.place(core.x_um + corner_um[0], core.y_um + corner_um[1])
        place, took_s = look(rig, tmp_path, (hint,))
    assert place == hint
    assert took_s < 2.0
