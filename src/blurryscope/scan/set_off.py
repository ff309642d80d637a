"""When the stage set off on a lane, from what it answered on its way."""

from collections.abc import Sequence

from blurryscope.devices.contracts import StageStatus
from blurryscope.scan.plan import Lane, Motion


def set_off_s(answers: Sequence[StageStatus], lane: Lane, motion: Motion) -> float | None:
    """When the stage set off, on the clock of its answers; None if none came at full speed.

    Each answer at full speed says when it must have begun. An answer can be late, by what the
    controller, the cable and a busy computer take, but never early: the earliest counts. It is late
    by the least that answers take, which is much the same for all lanes.
    """
    low_um, high_um = sorted((lane.cruise_from_um, lane.cruise_to_um))
    # Half a ramp's time is what a start from rest costs against one at full speed.
    lost_s = motion.speed_um_per_s / motion.acceleration_um_per_s2 / 2
    starts_s = [
        answer.time_s - lost_s - abs(answer.position.x_um - lane.start.x_um) / motion.speed_um_per_s
        for answer in answers
        if answer.is_moving and low_um < answer.position.x_um < high_um
    ]
    return min(starts_s, default=None)
