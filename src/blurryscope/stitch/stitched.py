"""What became of a film: where every frame lay, and what the stage did meanwhile."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState
from blurryscope.stitch.confidence import place_confidence
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.links import Links
from blurryscope.stitch.placed_lane import Canvas
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.timetable import Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """Where every frame lay, and what was measured on the way."""

    frame_shape: tuple[int, int]
    times_s: NDArray[np.float64]
    repeated: tuple[int, ...]
    lanes: tuple[Lane, ...]
    table: Timetable
    solution: Solution
    links: Links
    pitch_px: float
    speed_px_per_s: float
    is_lane_linked: NDArray[np.bool_]
    gain: NDArray[np.float32] = field(repr=False)
    """(row, col, rgb) flat-field factor."""
    second_scan_from_s: float | None = None
    """When the film began to show the same slide again; nothing from there on is in a lane."""


def frame_places(stitched: Stitched, canvas: Canvas) -> list[FramePlace]:
    """Say for every frame of the film what the stage did and where the frame lay."""
    trajectory = stitched.solution.trajectory
    places = trajectory.positions - canvas.origin
    confidence = place_confidence(stitched.solution, stitched.links)
    row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
    for frame in sorted(stitched.repeated):
        # It shows what the one before shows, and lies where that lies.
        if frame in row_of and frame - 1 in row_of:
            row_of[frame] = row_of[frame - 1]
    result = []
    for frame, time_s in enumerate(stitched.times_s):
        row = row_of.get(frame)
        result.append(
            FramePlace(
                frame=frame,
                time_s=float(time_s),
                state=_state(float(time_s), stitched, row),
                lane=-1 if row is None else int(trajectory.lanes[row]),
                x_px=None if row is None else float(places[row, 1]),
                y_px=None if row is None else float(places[row, 0]),
                confidence=0.0 if row is None else float(confidence[row]),
            )
        )
    return result


def _state(time_s: float, stitched: Stitched, row: int | None) -> StageState:
    if row is not None:
        return StageState.MOVING
    table = stitched.table
    between = np.flatnonzero((table.end_s[:-1] < time_s) & (time_s < table.start_s[1:]))
    if not len(between):
        return StageState.RESTING
    # The step lies in the middle between the two rests, and lasts as its length takes.
    lane = int(between[0])
    middle_s = (table.end_s[lane] + table.start_s[lane + 1]) / 2
    lasts_s = stitched.pitch_px / stitched.speed_px_per_s + table.ramp_s
    return StageState.STEPPING if abs(time_s - middle_s) < lasts_s / 2 else StageState.RESTING
