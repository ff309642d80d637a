"""What is known of the stage, and what follows from it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.stitch.stage_so_far import StageSettings, StageSoFar
from blurryscope.stitch.timetable import Timetable


def test_the_stage_is_as_fast_as_lanes_were_seen_to_be_not_as_is_thought_over_glass() -> None:
    speed_px_per_s: NDArray[np.float64] = np.array([990.0, 1000.0, 1001.0, 990.0, 990.0])
    nothing = np.full(5, np.nan)
    stage = StageSoFar(StageSettings(rest_s=1.0, ramp_s=0.1))
    stage.table = Timetable(
        start_s=nothing,
        end_s=nothing,
        ramp_s=0.1,
        speed_px_per_s=speed_px_per_s,
        width_px=1000.0,
        left_px=0.0,
        lean=0.0,
        turn_sigma_px=20.0,
        keeps_speed=False,
        is_timed=np.array([False, True, True, False, False]),
        told_s=nothing,
    )
    assert stage.speed_px_per_s == pytest.approx(1000.5)
