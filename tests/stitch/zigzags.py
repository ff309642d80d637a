"""Zigzags made by hand whose turns lie over blank glass."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.expected_motion import expected_motion
from blurryscope.stitch.lane_times import time_lanes
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.stage_habits import StageHabits
from blurryscope.stitch.timetable import Timetable
from blurryscope.stitch.trajectory import Trajectory

INTERVAL_S = 1 / 30
STILL = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)
STAGE = StageHabits(speed_px_per_s=4000.0, rest_s=1.1, ramp_s=0.1, lane_s=1.6, turn_s=1.1)
LANE_S, REST_S = 1.6, 1.1
WIDTH_PX = STAGE.speed_px_per_s * (LANE_S - STAGE.ramp_s)
LANES = 6
PAUSE_S = 7.0
ALL_LINKED = np.ones(LANES - 1, np.bool_)


def even_table(
    start_s: NDArray[np.float64], end_s: NDArray[np.float64], stage: StageHabits = STAGE
) -> Timetable:
    """Lanes of these times on which the stage goes at its usual speed."""
    return Timetable(
        start_s=start_s,
        end_s=end_s,
        ramp_s=stage.ramp_s,
        speed_px_per_s=np.full(len(start_s), stage.speed_px_per_s),
        width_px=WIDTH_PX,
        left_px=0.0,
        lean=0.0,
        turn_sigma_px=np.nan,
        keeps_speed=False,
        is_timed=np.ones(len(start_s), np.bool_),
        told_s=np.full(len(start_s), np.nan),
    )


class MadeUpZigzag:
    """Lanes whose middle part is seen and whose turns lie over blank glass."""

    def __init__(
        self,
        seen: slice,
        blank: tuple[int, ...] = (),
        paused_before: int | None = None,
        lane_count: int = LANES,
    ) -> None:
        self.start_s = np.asarray(0.5 + np.arange(lane_count) * (LANE_S + REST_S), np.float64)
        if paused_before is not None:
            self.start_s[paused_before:] += PAUSE_S
        self.end_s = np.asarray(self.start_s + LANE_S, np.float64)
        self.times_s = np.arange(0, self.end_s[-1] + 0.5, INTERVAL_S)
        self.truth = even_table(self.start_s, self.end_s)
        self.lanes, frames, lanes, x_px, is_seen = [], [], [], [], []
        for number in range(lane_count):
            direction = 1 if number % 2 == 0 else -1
            inside = np.flatnonzero(
                (self.times_s > self.start_s[number]) & (self.times_s < self.end_s[number])
            )
            kept = inside[6:-5]  # the first look does not know where lanes end
            self.lanes.append(
                Lane(first=int(kept[0]), last=int(kept[-1]), direction=direction, evidence=1.0)
            )
            way = self.truth.travelled_px(number, self.times_s[kept])
            frames += kept.tolist()
            lanes += [number] * len(kept)
            x_px += (way if direction > 0 else WIDTH_PX - way).tolist()
            shown = np.zeros(len(kept), np.bool_)
            if number not in blank:
                shown[seen] = True
            is_seen += shown.tolist()
        self.is_seen = np.array(is_seen)
        rows = np.array(frames)
        self.trajectory = Trajectory(
            frames=rows,
            lanes=np.array(lanes),
            times_s=self.times_s[rows],
            positions=np.stack([np.array(lanes) * 400.0, np.array(x_px)], axis=1),
            camera=STILL,
        )

    def moved(self, lane: int, by_px: float) -> "MadeUpZigzag":
        """With this lane and all after it elsewhere along x."""
        positions = self.trajectory.positions.copy()
        positions[self.trajectory.lanes >= lane, 1] += by_px
        self.trajectory = replace(self.trajectory, positions=positions)
        return self

    def table(self, is_linked: NDArray[np.bool_], stage: StageHabits = STAGE) -> Timetable:
        return time_lanes(self.trajectory, self.lanes, is_linked, self.is_seen, stage)


class ToldZigzag:
    """Rows of cores, two lanes each, that only the stage's own starts join; rests are uneven."""

    def __init__(self, late_s: float) -> None:
        rng = np.random.default_rng(5)
        rests_s = np.concatenate([[0.5], REST_S + rng.uniform(-0.2, 0.2, LANES - 1)])
        self.start_s = np.cumsum(rests_s + LANE_S) - LANE_S
        self.told_s = self.start_s + late_s
        even = MadeUpZigzag(slice(8, 25))
        # In the same lanes the stage was at the same places, only at other times; each row of
        # cores has coordinates of its own until the turns are known.
        lanes = even.trajectory.lanes
        self.moved_px = np.array([0.0, 0.0, 700.0, 700.0, -400.0, -400.0])
        self.is_linked = np.array([True, False, True, False, True])
        self.film = replace(
            even.trajectory,
            times_s=even.trajectory.times_s + (self.start_s - even.start_s)[lanes],
            positions=even.trajectory.positions
            + np.stack([np.zeros(len(lanes)), self.moved_px[lanes]], axis=1),
        )
        self.lanes, self.is_seen = even.lanes, even.is_seen

    def table(self, starts_s: tuple[float, ...], lean: float = 0.0) -> Timetable:
        stage = replace(STAGE, starts_s=starts_s, lean=lean)
        return time_lanes(self.film, self.lanes, self.is_linked, self.is_seen, stage)

    def off_px(self, table: Timetable) -> NDArray[np.float64]:
        """By how much each frame is expected beside where it truly lay."""
        expected = expected_motion(self.film, self.lanes, table, pitch_px=400.0)
        begin_px = np.array([0.0 if lane.direction > 0 else table.width_px for lane in self.lanes])
        lanes = self.film.lanes
        true_px = self.film.positions[:, 1] - self.moved_px[lanes]
        return np.asarray(begin_px[lanes] + expected.along_px - true_px)
