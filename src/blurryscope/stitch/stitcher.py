"""The stitcher: takes a film frame by frame, tells where every frame lay, and makes the mosaic."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import FramePlace, StageState
from blurryscope.artifacts.video import Frame
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Grey
from blurryscope.stitch.brightness import Brightness, shrunk_gain
from blurryscope.stitch.compose import Layable, canvas_of
from blurryscope.stitch.features import absorbance_detail, shrunk
from blurryscope.stitch.lanes import Lane, evidence_of, find_lanes, scan_axis
from blurryscope.stitch.layout import (
    DetailOf,
    FirstLayout,
    Motion,
    lanes_apart,
    lay_out,
    run_links,
    seen_steps,
    step_links,
    usual_speed,
)
from blurryscope.stitch.links import Links, gathered
from blurryscope.stitch.matching import PatchSettings
from blurryscope.stitch.motion import OverlapCorrelator, PairShift
from blurryscope.stitch.refine import measure_links, with_coarse
from blurryscope.stitch.shading import gain_of, luma_of, median_shading
from blurryscope.stitch.solve import Solution, Trajectory, solve
from blurryscope.stitch.turns import StageHabits, Timetable, expected_motion, timed_lanes, timetable

_LEAST_FRAMES = 10
_SAMPLES = 40
"""Frames that the shading is estimated from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchSettings:
    """What is known of the scan beforehand; everything else is measured."""

    rest_s: float = 1.1
    """Standing still between lanes: two rests of 0.5 s as in the paper, and the step across."""
    ramp_s: float = 0.1
    """Time to gain full speed; only matters over blank glass."""
    coarse_short_side_px: int = 120
    """Frames are shrunk to about this for the first look at the motion."""
    fine_short_side_px: int = 240
    """And to about this for exact links; motion blur leaves little more."""
    search_px: tuple[int, int] = (10, 20)
    """(y, x) search for exact links, in fine pixels: what the first layout may be off by."""


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
    brightness: NDArray[np.float32] = field(repr=False)
    """(frames in lanes, rgb) factor that evens out jumps of exposure and white balance."""

    def layable(self) -> Layable:
        """What the mosaic is made from: frames that were filmed once, and their places."""
        return Layable(
            trajectory=self.solution.trajectory,
            frame_shape=self.frame_shape,
            repeated=self.repeated,
            gain=self.gain,
            brightness=self.brightness,
        )


class Stitcher:
    """Push the frames of a scan in order, then `finish`.

    Only small pictures of the frames are kept, so that memory grows by some 20 kB a frame. The
    film itself is read again for exact links and for the mosaic: give a function that starts over.

    Parameters
    ----------
    where
        Name of the film, for messages.
    """

    def __init__(self, where: object, settings: StitchSettings | None = None) -> None:
        self._where = where
        self._settings = settings or StitchSettings()
        self._small: list[NDArray[np.uint8]] = []
        self._times_s: list[float] = []
        self._changes: list[float] = []
        self._last_luma: NDArray[np.uint8] | None = None
        self._samples = _Samples(_SAMPLES)
        self._shape = (0, 0)
        self._reduction = 1

    def push(self, frame: Frame) -> None:
        """Take the next frame."""
        luma = frame.luma()
        if self._last_luma is None:
            self._shape = (luma.shape[0], luma.shape[1])
            self._reduction = reduction_for(self._shape, self._settings.coarse_short_side_px)
        else:
            thinned = luma[::4].astype(np.int16) - self._last_luma[::4]
            self._changes.append(float(np.abs(thinned).mean()))
        self._last_luma = luma.copy()
        self._small.append(shrunk(luma, self._reduction))
        self._times_s.append(frame.time_s)
        self._samples.offer(frame)

    def finish(self, frames_again: Callable[[], Iterable[Frame]]) -> Stitched:
        """Solve the slide; an `InputError` says why a film cannot be stitched.

        Parameters
        ----------
        frames_again
            Starts the film over; called once, for exact links between frames.
        """
        motion, repeated, details = self._motion()
        layout = lay_out(motion, details, self._reduction)
        if layout is None:
            raise InputError(
                self._where,
                "neighbouring lanes show no common tissue, so they cannot be joined",
                "Scan with a smaller lane pitch, or check that the slide carries tissue",
            )
        timed, table, coarse, coarse_links = self._timed(layout, details)
        shading = self._samples.shading()
        expected = expected_motion(coarse.trajectory, timed.lanes, table, layout.expected.pitch_px)
        exact, brightness = self._exact_links(coarse.trajectory, shading, frames_again)
        links = with_coarse(exact, coarse_links)
        solution = solve(coarse.trajectory, links, expected, fit_camera=True)
        return Stitched(
            frame_shape=self._shape,
            times_s=np.array(self._times_s),
            repeated=repeated,
            lanes=tuple(timed.lanes),
            table=table,
            solution=solution,
            links=links,
            pitch_px=layout.expected.pitch_px,
            speed_px_per_s=float(np.median(table.speed_px_per_s)),
            is_lane_linked=layout.is_linked,
            gain=gain_of(shading),
            brightness=brightness,
        )

    def _motion(self) -> tuple[Motion, tuple[int, ...], Callable[[int], Grey]]:
        count = len(self._small)
        if count < _LEAST_FRAMES:
            raise InputError(
                self._where,
                f"holds {count} frames, too few for a scan",
                "Give the film of a whole scan",
            )
        shading = median_shading(np.stack(self._small[:: max(count // 200, 1)]))
        sigma_px = self._settings.coarse_short_side_px / 20

        def detail_of(frame: int) -> Grey:
            return absorbance_detail(self._small[frame], shading, sigma_px)

        shifts = _all_shifts(detail_of, count)
        least_step_px = 0.025 * self._settings.coarse_short_side_px
        axis = scan_axis(shifts, least_step_px)
        if axis is None:
            raise InputError(
                self._where,
                "nothing is seen to move: the stage stood still, or the field is empty glass",
                "Check that the stage moved and that the slide carries tissue where it was scanned",
            )
        times_s, repeated = without_repeats(np.array(self._times_s), np.array(self._changes))
        rest_frames = (self._settings.rest_s + self._settings.ramp_s) / float(
            np.median(np.diff(self._times_s))
        )
        lanes = find_lanes(evidence_of(shifts, axis, least_step_px), rest_frames)
        if len(lanes) < 2:
            raise InputError(
                self._where,
                "only one lane was found, or movement in one direction only",
                "Give the film of a zigzag of at least two lanes in opposite directions",
            )
        scaled = [_scaled(shift, self._reduction) for shift in shifts]
        motion = Motion(times_s=times_s, shifts=scaled, lanes=lanes, frame_shape=self._shape)
        return motion, repeated, detail_of

    def _timed(
        self, layout: FirstLayout, details: DetailOf
    ) -> tuple[Motion, Timetable, Solution, Links]:
        """Give blank parts of lanes their frames, and solve again with the turns known."""
        motion, trajectory = layout.motion, layout.trajectory
        steps = set(seen_steps(motion))
        is_seen = np.array([int(f) in steps or int(f) - 1 in steps for f in trajectory.frames])
        stage = StageHabits(
            speed_px_per_s=usual_speed(motion),
            rest_s=self._settings.rest_s,
            ramp_s=self._settings.ramp_s,
        )
        table = timetable(trajectory, motion.lanes, layout.is_linked, is_seen, stage)
        timed = replace(motion, lanes=timed_lanes(motion.lanes, table, np.array(self._times_s)))
        start = lanes_apart(timed, trajectory.camera.readout_s_per_row)
        expected = replace(
            expected_motion(start, timed.lanes, table, layout.expected.pitch_px),
            link_sigma_px=layout.expected.link_sigma_px,
        )
        links = _within(layout.links, start)
        nearly = solve(start, links, expected, fit_camera=False).trajectory
        # Lanes that were not linked lie near enough now for the faint tissue between rows of cores.
        again = run_links(nearly, timed, details, self._reduction)
        links = _within(gathered([*step_links(timed), *again]), start)
        return timed, table, solve(nearly, links, expected, fit_camera=False), links

    def _exact_links(
        self,
        trajectory: Trajectory,
        colour: NDArray[np.float32],
        frames_again: Callable[[], Iterable[Frame]],
    ) -> tuple[Links, NDArray[np.float32]]:
        """Go through the film once more: exact links, and the brightness of every frame."""
        reduction = reduction_for(self._shape, self._settings.fine_short_side_px)
        gain = shrunk_gain(gain_of(colour), self._reduction)
        brightness = Brightness(trajectory, gain, self._reduction)
        row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
        shading = shrunk(luma_of(colour), reduction).astype(np.float32)
        sigma_px = self._settings.fine_short_side_px / 20

        def details() -> Iterator[tuple[int, Grey]]:
            for frame in frames_again():
                row = row_of.get(frame.index)
                if row is not None:
                    brightness.add(row, frame.small_rgb(gain.shape[:2]))
                    small = shrunk(frame.luma(), reduction)
                    yield frame.index, absorbance_detail(small, shading, sigma_px)

        settings = PatchSettings(search_px=self._settings.search_px)
        links = measure_links(details(), trajectory, reduction, settings)
        return links, brightness.solve()


def _within(links: Links, trajectory: Trajectory) -> Links:
    """The links between frames of the trajectory."""
    frames = trajectory.frames
    return links.only(np.isin(links.earlier, frames) & np.isin(links.later, frames))


def frame_places(stitched: Stitched) -> list[FramePlace]:
    """Say for every frame of the film what the stage did and where the frame lay."""
    trajectory = stitched.solution.trajectory
    origin = canvas_of(trajectory, stitched.frame_shape).origin
    places = trajectory.positions - origin
    confidence = _confidence(stitched)
    row_of = {int(frame): row for row, frame in enumerate(trajectory.frames)}
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


def _confidence(stitched: Stitched) -> NDArray[np.float64]:
    """How well each placed frame is held by links: 1 - product over its links of (1 - trust)."""
    trajectory, links = stitched.solution.trajectory, stitched.links
    doubt = np.ones(len(trajectory.frames))
    trust = 0.5 * links.correlation * stitched.solution.weights
    for ends in (links.earlier, links.later):
        np.multiply.at(doubt, trajectory.rows_of(ends), 1 - trust)
    return np.asarray(1 - doubt)


def reduction_for(shape: tuple[int, int], short_side_px: int) -> int:
    """How many times smaller frames are made, so that their short side is about so long."""
    return max(round(min(shape) / short_side_px), 1)


def without_repeats(
    times_s: NDArray[np.float64], changes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Find frames that repeat the one before, and give them its time.

    `changes` is the mean absolute difference of each frame to the one before, grey levels,
    (frames - 1,). A repeated frame differs by nothing while the frames around it do.
    """
    times_s = times_s.copy()
    repeated = []
    for pair in range(1, len(changes) - 1):
        around = min(changes[pair - 1], changes[pair + 1])
        if changes[pair] < _REPEAT_CHANGE and changes[pair] < 0.1 * around - 1e-3:
            times_s[pair + 1] = times_s[pair]
            repeated.append(pair + 1)
    return times_s, tuple(repeated)


_REPEAT_CHANGE = 0.02
"""Grey levels; two exposures of the same spot differ by more through noise alone."""


def _all_shifts(detail_of: Callable[[int], Grey], count: int) -> list[PairShift]:
    correlator = OverlapCorrelator(detail_of(0).shape)
    shifts = [correlator.push(detail_of(frame)) for frame in range(count)]
    return [shift for shift in shifts if shift is not None]


def _scaled(shift: PairShift, factor: int) -> PairShift:
    return replace(shift, row_px=shift.row_px * factor, col_px=shift.col_px * factor)


class _Samples:
    """A bounded, even sample of the film's frames in colour."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._every = 1
        self._frames: list[NDArray[np.uint8]] = []

    def offer(self, frame: Frame) -> None:
        if frame.index % self._every:
            return
        self._frames.append(frame.rgb())
        if len(self._frames) >= 2 * self._most:
            self._frames = self._frames[::2]
            self._every *= 2

    def shading(self) -> NDArray[np.float32]:
        """What the lamp and the sensor make of empty glass, (row, col, rgb) grey levels."""
        stack = np.stack(self._frames)
        return np.stack([median_shading(stack[..., c]) for c in range(3)], axis=-1)
