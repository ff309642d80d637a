"""What the timetable makes solving expect of the stage's motion."""

from collections.abc import Sequence

import numpy as np

from blurryscope.stitch.expectations import Expectations, cruise_ends
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory, lane_rows

_RAMP_SPARE_S = 0.1
"""By which a lane may begin later or end earlier than is thought: its steps are little known until
then."""
_TURN_SIGMA_PX = 20.0
"""How well lanes meet at their turning points: what the model of ramps and rests is worth."""


def expected_motion(
    trajectory: Trajectory, lanes: Sequence[Lane], table: Timetable, pitch_px: float
) -> Expectations:
    """Turn the timetable into expectations for `solve`.

    The trajectory may show only some of the lanes, which are numbered as in the table.
    """
    along = np.zeros(len(trajectory.frames))
    is_ramp = np.zeros(len(trajectory.frames), np.bool_)
    ends = []
    for rows in lane_rows(trajectory):
        number = int(trajectory.lanes[rows[0]])
        direction, times = lanes[number].direction, trajectory.times_s[rows]
        along[rows] = direction * table.travelled_px(number, times)
        margin = table.ramp_s + _RAMP_SPARE_S
        is_ramp[rows] = (times < table.start_s[number] + margin) | (
            times > table.end_s[number] - margin
        )
        # A film may begin or end in mid-lane: frames are expected where the stage was then.
        left_px = table.left_px + table.lean * float(trajectory.positions[rows, 0].mean())
        first_s, last_s = trajectory.times_s[cruise_ends(rows, is_ramp)]
        ends.append(left_px + np.array(table.ends_px(number, direction, first_s, last_s)))
    return Expectations(
        along_px=along,
        is_ramp=is_ramp,
        pitch_px=pitch_px,
        turn_sigma_px=_TURN_SIGMA_PX,
        ends_px=np.array(ends),
        keeps_speed=table.keeps_speed,
    )
