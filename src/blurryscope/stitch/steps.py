"""The steps of the stage from frame to frame, and what they add up to within each lane."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel, camera_from_steps
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.links import Link
from blurryscope.stitch.motion import PairShift
from blurryscope.stitch.trajectory import Trajectory, is_at_full_speed, usual_interval_s

_LEAST_STEP_CORRELATION = 0.4
_FAINT_STEP_CORRELATION, _FAINT_OFF = 0.3, 0.15
"""Of a step as long as usual, to this part of it. In 14 scans all 84 pairs that moved so, with less
than the correlation above, truly had; a lane counted as broken at rims that both frames show."""
_SURE_STEP_CORRELATION = 0.6
_SLOW_STEP_CORRELATION = 0.65
"""Of a step much shorter than usual, unless the frame is held twice: a stage that sticks shows most
of the field again, while two grains on the glass that lie about a step apart make as much as 0.6.
"""
_HELD, _HELD_CORRELATION = 0.5, 0.6
"""Of its correlation that a frame held twice has at no shift at all, two grains have a fifth; and
what that is over faint tissue. Glass coded so hard that its noise is gone shows the sensor's own
pattern standing still, by 0.53."""
_JITTER = 0.06
"""Of a step, by which those of an even stage differ: frame times jitter, and frames are matched."""
_LEAST_AGREEING = 3
"""Steps that tell what is usual in a direction: so many pairs of frames that share nothing do not
agree with each other.
"""
_SLOW = 0.15
"""Of the usual way: shorter steps are those of a stage that sticks, longer ones may be of ramps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """All that one pass over the film has told."""

    times_s: NDArray[np.float64]
    """When each frame's picture was taken; a repeated frame has the time of the one before."""
    shifts: Sequence[PairShift]
    """Content shift from each frame to the next, camera pixels."""
    lanes: Sequence[Lane]
    frame_shape: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualSteps:
    """What the stage does from one frame to the next within lanes, as seen in the frame."""

    forward_px: NDArray[np.float64]
    """(row, col) by which the stage moves per frame in lanes along +x."""
    backward_px: NDArray[np.float64]
    interval_s: float
    row_count: int
    """Of a frame."""

    def of(self, direction: int) -> NDArray[np.float64]:
        """The step of lanes of one direction, +1 or -1."""
        return self.forward_px if direction > 0 else self.backward_px

    def turned(self) -> "UsualSteps":
        """The same with x the other way round."""
        return replace(self, forward_px=self.backward_px, backward_px=self.forward_px)

    def camera(self) -> tuple[CameraModel, float]:
        """The camera, and the speed in mosaic pixels per second, that these steps mean."""
        return camera_from_steps(self.forward_px, self.backward_px, self.interval_s, self.row_count)


def usual_steps(motion: Motion) -> UsualSteps | None:
    """Measure the usual step of either direction; None where one of them is not known.

    Frames that share nothing correlate now and then, anywhere; steps of the stage agree.
    """
    forward_px, backward_px = _usual_step(motion, 1), _usual_step(motion, -1)
    if forward_px is None or backward_px is None:
        return None
    return UsualSteps(
        forward_px=forward_px,
        backward_px=backward_px,
        interval_s=usual_interval_s(motion.times_s),
        row_count=motion.frame_shape[0],
    )


def _usual_step(motion: Motion, direction: int) -> NDArray[np.float64] | None:
    """Median (row, col) by which the stage moves per frame in lanes of one direction."""
    moves = np.array(
        [
            (-motion.shifts[pair].row_px, -motion.shifts[pair].col_px)
            for lane in motion.lanes
            if lane.direction == direction
            for pair in range(lane.first, lane.last)
            if motion.shifts[pair].correlation > _SURE_STEP_CORRELATION
        ]
    ).reshape(-1, 2)
    if not len(moves):
        return None
    # Slow frames (ramps, jerks, rests) do not tell the usual speed; double steps are rare.
    length = np.hypot(moves[:, 0], moves[:, 1])
    moves = moves[is_at_full_speed(length)]
    usual = np.median(moves[_is_even(np.hypot(moves[:, 0], moves[:, 1]))], axis=0)
    is_usual = np.hypot(*(moves - usual).T) < _JITTER * np.hypot(*usual)
    return np.asarray(usual) if is_usual.sum() >= _LEAST_AGREEING else None


def _is_even(lengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which steps, (n,), lie where most of them crowd.

    Ramps pass through all lengths, and may be half of a short lane: the median of them all was 2.7
    percent too short where a stage gained its speed in half a second.
    """
    ordered = np.sort(lengths)
    half = (len(ordered) + 1) // 2
    widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    first = int(np.argmin(widths))
    nearest, farthest = ordered[first], ordered[first + half - 1]
    margin = max(farthest - nearest, _JITTER * farthest)
    return np.asarray((lengths >= nearest - margin) & (lengths <= farthest + margin))


def seen_steps(motion: Motion, usual: UsualSteps) -> dict[int, NDArray[np.float64]]:
    """(row, col) stage moves of the pairs inside lanes that were seen and go where the lane goes.

    Keys are pair numbers: pair n is from frame n to n + 1.
    """
    steps: dict[int, NDArray[np.float64]] = {}
    for lane in motion.lanes:
        step = usual.of(lane.direction)
        length = float(np.hypot(*step))
        for pair in range(lane.first, lane.last):
            shift = motion.shifts[pair]
            if shift.correlation < _FAINT_STEP_CORRELATION:
                continue
            moved = -np.array([shift.row_px, shift.col_px])
            along = float(moved @ step) / length
            off = float(np.hypot(*(moved - along * step / length)))
            lasted = (motion.times_s[pair + 1] - motion.times_s[pair]) / usual.interval_s
            # A lost frame doubles the step, and the times of the film need not show it.
            longest = lasted + (0.4 if shift.correlation < _SURE_STEP_CORRELATION else 1.4)
            is_held = shift.stillness > _HELD * shift.correlation
            least = _HELD_CORRELATION if is_held else _SLOW_STEP_CORRELATION
            shortest = -0.05 if shift.correlation >= least or lasted == 0 else _SLOW
            if shift.correlation < _LEAST_STEP_CORRELATION:
                shortest, longest = lasted - _FAINT_OFF, lasted + _FAINT_OFF
            if shortest * length < along < longest * length and off < 0.08 * length:
                steps[pair] = moved
    return steps


def lanes_apart(motion: Motion, usual: UsualSteps, camera: CameraModel) -> Trajectory:
    """Add up the steps of each lane: each begins where the one before ended in x, at y = 0."""
    speed = usual.camera()[1]
    steps = seen_steps(motion, usual)
    frames, lanes, positions = [], [], []
    at = np.zeros(2)
    for number, lane in enumerate(motion.lanes):
        at = np.array([0.0, at[1]])
        matrix = camera.frame_matrices(np.array([[0.0, lane.direction * speed]]))[0]
        for frame in range(lane.first, lane.last + 1):
            frames.append(frame)
            lanes.append(number)
            positions.append(at)
            lasted_s = (
                motion.times_s[min(frame + 1, len(motion.times_s) - 1)] - motion.times_s[frame]
            )
            guess = np.array([0.0, lane.direction * speed * lasted_s])
            at = at + (matrix @ steps[frame] if frame in steps else guess)
    return Trajectory(
        frames=np.array(frames),
        lanes=np.array(lanes),
        times_s=motion.times_s[frames],
        positions=np.array(positions),
        camera=camera,
    )


def step_links(motion: Motion, usual: UsualSteps) -> list[Link]:
    """Each seen step as a link: the content lies half a step before the centre, then after it."""
    return [
        (
            pair,
            pair + 1,
            (moved[0] / 2, moved[1] / 2),
            (-moved[0] / 2, -moved[1] / 2),
            motion.shifts[pair].correlation,
        )
        for pair, moved in seen_steps(motion, usual).items()
    ]
