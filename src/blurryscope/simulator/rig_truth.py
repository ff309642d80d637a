"""What was true while the simulated rig was filmed: its way, as `truth.json` tells it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blurryscope.simulator.carriage import Stretch
from blurryscope.simulator.rig import SimulatedRig
from blurryscope.simulator.stage import Floats
from blurryscope.simulator.truth import TrueWay, truth_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLane:
    """A lane as the carriage really ran it."""

    starts_s: float
    ends_s: float
    y_um: float
    cruise_um_per_s: float
    """Between the ramps."""
    rested_s: float
    """How long it had stood when the lane began."""


def true_lanes(rig: SimulatedRig, windows_s: Sequence[tuple[float, float]]) -> list[TrueLane]:
    """The longest move along x within each window of time, from the rig's own way."""
    parts = rig.controller.machine.path.stretches()
    return [_lane_in(parts, from_s, until_s) for from_s, until_s in windows_s]


def rig_truth(
    rig: SimulatedRig, frames_began_s: Floats, lanes: Sequence[TrueLane]
) -> dict[str, object]:
    """The truth of a film, given when the exposure of each of its frames began, as it has it.

    Films round that, MKV to the millisecond, in which the stage goes 5 µm: the camera knows better.
    """
    began_s = _as_taken(np.asarray(frames_began_s, np.float64), rig.pictures_began_s)
    middle_s = began_s + rig.settings.scan.camera.middle_s
    x_um, y_um = rig.true_stage.position_um(middle_s)
    numbers = np.full(len(middle_s), -1, np.int64)
    for number, lane in enumerate(lanes):
        numbers[(middle_s > lane.starts_s) & (middle_s < lane.ends_s)] = number
    way = TrueWay(middle_s=middle_s, x_um=x_um, y_um=y_um, lanes=numbers)
    return truth_of(rig.slide, rig.settings.scan.camera, way)


def _as_taken(filmed_s: Floats, taken_s: Sequence[float]) -> Floats:
    """The time of the picture that each frame must be; its own where there is none so near."""
    if not taken_s:
        return filmed_s
    taken = np.sort(np.asarray(taken_s, np.float64))
    after = np.searchsorted(taken, filmed_s)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(taken) - 1)
    is_before = filmed_s - taken[before] < taken[after] - filmed_s
    nearest = taken[np.where(is_before, before, after)]
    return np.where(np.abs(nearest - filmed_s) < _ROUNDED_S, nearest, filmed_s)


_ROUNDED_S = 0.002
"""By which a frame's time in a film may be off: two roundings to the millisecond, and to spare."""


def _lane_in(parts: Sequence[Stretch], from_s: float, until_s: float) -> TrueLane:
    inside = [part for part in parts if from_s <= part.start_s and part.end_s <= until_s]
    cruise = max(inside, key=lambda part: part.lasts_s * abs(part.direction[0]), default=None)
    if cruise is None:
        raise ValueError(f"nothing moved between {from_s:.3f} and {until_s:.3f} s")
    number = parts.index(cruise)
    up, down = parts[number - 1], parts[number + 1]
    return TrueLane(
        starts_s=up.start_s,
        ends_s=down.end_s,
        y_um=float(cruise.origin_um[1]),
        cruise_um_per_s=cruise.speed_um_per_s,
        rested_s=up.start_s - parts[number - 2].end_s,
    )
