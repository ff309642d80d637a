"""What the lanes placed so far have told of the stage, and what is therefore expected of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.expectations import Expectations
from blurryscope.stitch.expected_motion import expected_motion
from blurryscope.stitch.lane_speed import agreed_speed, linked_speeds, perfect_speed
from blurryscope.stitch.lane_times import time_lanes
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.layout import FirstLayout
from blurryscope.stitch.links import Links
from blurryscope.stitch.miscounts import lost_way_px
from blurryscope.stitch.stage_habits import StageHabits
from blurryscope.stitch.steps import Motion, UsualSteps, seen_steps
from blurryscope.stitch.strays import Ways
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory, lane_heights

_TURNS_LOOKED_AT = 40
"""Lanes before those that are not fixed whose turns count: what more would tell is not worth that
every lane takes longer than the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """What is known of the stage before it is seen."""

    rest_s: float
    ramp_s: float
    skew_deg: float = 0.0
    """How far the stage's axes are from a right angle: the angle from x to y, less 90 degrees."""
    told_speed_px_per_s: float | None = None
    """Full speed by the calibration."""


class StageSoFar:
    """`take_over` what the first lanes tell; then note what each further lane does.

    Trajectories are given from lane 0 on, but where `expected` is asked: there any lanes in a row.
    """

    usual: UsualSteps
    """How frames follow each other at full speed."""
    pitch_px: float
    """Distance between lanes, mosaic pixels."""
    table: Timetable
    """When each lane began and ended."""

    def __init__(self, settings: StageSettings) -> None:
        self._settings = settings
        self.pitch_px = 0.0
        self._habits: StageHabits
        self._read_out_s_per_row: tuple[float, float] | None = None
        self._starts_s: tuple[float, ...] = ()
        self._seen_pairs: set[int] = set()
        self._lost: dict[int, int] = {}
        """How many frames were lost over glass before which frame; negative if held twice."""
        self._ways: Ways = {}

    def take_over(
        self,
        layout: FirstLayout,
        lanes: Sequence[Lane],
        times_s: NDArray[np.float64],
        longest_rest_s: float,
    ) -> None:
        """Note what a first layout tells; an earlier one counts no more.

        `longest_rest_s` is what the lanes leave for a rest between them, as far as they were seen.
        """
        self.usual = layout.usual
        self._read_out_s_per_row = layout.read_out_s_per_row
        self.pitch_px = layout.pitch_px
        # An earlier try may have numbered the lanes otherwise.
        self._habits = StageHabits.by_rhythm(
            times_s[[(lane.first, lane.last) for lane in lanes]],
            speed_px_per_s=layout.usual.camera()[1],
            rest_s=min(self._settings.rest_s, longest_rest_s),
            ramp_s=self._settings.ramp_s,
            skew_deg=self._settings.skew_deg,
        )
        self._ways = {}
        self.note_seen(layout.motion)

    def set_off(self, time_s: float) -> None:
        """Take from the stage when it set off on a lane, on the film's clock."""
        self._starts_s += (time_s,)

    def note_seen(self, motion: Motion) -> None:
        """Note which steps of some lanes were seen."""
        self._seen_pairs |= set(seen_steps(motion, self.usual))

    def note_pitch(self, trajectory: Trajectory, is_linked: NDArray[np.bool_]) -> None:
        """Take the median distance of lanes whose overlap was seen; without any it stays."""
        pitches = np.diff(lane_heights(trajectory))[is_linked]
        if len(pitches):
            self.pitch_px = float(np.median(pitches))

    def note_speeds(self, trajectory: Trajectory, exact: Links, known: Links) -> None:
        """Note the speeds of new lanes, which `exact` links tell; `known` are those of all."""
        usual, speeds = self._habits.speed_px_per_s, self._habits.linked_speeds_px_per_s
        # Exact links reach one lane farther back than those that are new.
        window = trajectory.between_lanes(max(len(speeds) - 1, 0))
        lane_count = int(trajectory.lanes[-1]) + 1
        new = linked_speeds(window, exact, lane_count, usual)[len(speeds) :].tolist()
        self._habits = replace(self._habits, linked_speeds_px_per_s=(*speeds, *new))
        if self._starts_s:  # else lanes keep their own speeds
            seen = perfect_speed(trajectory, known, usual)
            agreed = agreed_speed(seen, self._settings.told_speed_px_per_s)
            self._habits = replace(self._habits, agreed_speed_px_per_s=agreed)

    def note_lost(self, lost: Mapping[int, int]) -> None:
        """Note frames that were lost over glass, as `miscounts` finds them."""
        self._lost |= lost

    def note_ways(self, ways: Ways) -> None:
        """Note ways over glass that are likelier than an even speed."""
        self._ways |= ways

    def forget_from(self, lane_count: int) -> None:
        """Forget the speeds of lanes that were none."""
        self._habits = self._habits.before(lane_count)

    def time_lanes(
        self,
        trajectory: Trajectory,
        lanes: Sequence[Lane],
        is_linked: Sequence[bool],
        fixed_count: int,
    ) -> None:
        """Time the lanes anew; those long fixed stay as they are and tell no more of the turns."""
        first = max(fixed_count - _TURNS_LOOKED_AT, 0)
        window = trajectory.between_lanes(first)
        window = replace(window, lanes=window.lanes - first)
        pairs = np.fromiter(self._seen_pairs, np.int64)
        table = time_lanes(
            window,
            lanes[first:],
            np.array(is_linked[first:], np.bool_),
            np.isin(window.frames, np.concatenate([pairs, pairs + 1])),
            replace(self._habits.since(first), starts_s=self._starts_s),
            fixed_count - first,
        )
        self.table = table.after(self.table, first) if first else table

    @property
    def speed_px_per_s(self) -> float:
        # Lanes over glass are given the usual speed, which the first lanes told roughly.
        seen = self.table.speed_px_per_s[self.table.is_timed]
        return float(np.median(seen if len(seen) else self.table.speed_px_per_s))

    @property
    def usual_step_px(self) -> float:
        """Way from frame to frame at full speed."""
        return self._habits.speed_px_per_s * self.usual.interval_s

    def even(self, trajectory: Trajectory, lanes: Sequence[Lane]) -> Expectations:
        """What would be expected of some lanes if nothing had been noted of them but their times.

        `lanes` are all lanes, from the first on.
        """
        return expected_motion(trajectory, lanes, self.table, self.pitch_px)

    def expected(
        self, trajectory: Trajectory, lanes: Sequence[Lane], fixed_count: int
    ) -> Expectations:
        """What is expected of some lanes; `fixed_count` first ones of all stay where they are."""
        expected = replace(
            self.even(trajectory, lanes),
            read_out_s_per_row=self._read_out_s_per_row,
            ways_px=self._ways,
        )
        if self._lost:
            lost_px = lost_way_px(trajectory, lanes, self._lost, self.usual_step_px)
            expected = replace(expected, along_px=expected.along_px + lost_px)
        if not fixed_count:
            return expected
        return replace(expected, is_pinned=trajectory.lanes < fixed_count)
