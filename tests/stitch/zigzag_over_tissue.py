"""A zigzag made by hand whose turns show tissue."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.lanes import Lane
from blurryscope.stitch.trajectory import Trajectory

RATE_HZ, SPEED_PX_PER_S, LANES = 30.0, 3500.0, 4
CRUISE_S = 0.6
JITTER_S = 0.001


class ZigzagOverTissue:
    """Lanes whose tissue reaches into the turns, filmed with frame times that jitter."""

    def __init__(self, ramp_s: float, rest_s: float, *, stuck: bool = False) -> None:
        lane_s = CRUISE_S + 2 * ramp_s
        self.start_s = 0.4 + np.arange(LANES) * (lane_s + rest_s)
        self.end_s = self.start_s + lane_s
        film_s = np.arange(0.0, float(self.end_s[-1]) + 0.4, 1 / RATE_HZ)
        taken_s = film_s + np.random.default_rng(3).normal(0, JITTER_S, len(film_s))
        lane_of = np.clip(np.searchsorted(self.start_s - rest_s / 2, film_s) - 1, 0, LANES - 1)
        since_s = taken_s - self.start_s[lane_of]
        if stuck:  # it goes at two fifths of its speed for six frames, then on
            since_s = since_s - 0.6 * np.clip(since_s - ramp_s - 0.2, 0, 0.2)
        way_px = _way_px(since_s, ramp_s)
        width_px = SPEED_PX_PER_S * (CRUISE_S + ramp_s)
        x_px = np.where(lane_of % 2 == 0, way_px, width_px - way_px)
        self.trajectory = Trajectory(
            frames=np.arange(len(film_s)),
            lanes=lane_of,
            times_s=film_s,
            positions=np.stack([400.0 * lane_of, x_px], axis=1),
            camera=CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0),
        )
        self.lanes = [
            Lane(first=0, last=1, direction=1 if number % 2 == 0 else -1, evidence=9.0)
            for number in range(LANES)
        ]
        self.is_seen = (since_s > 0) & (film_s < self.end_s[lane_of])


def _way_px(since_s: NDArray[np.float64], ramp_s: float) -> NDArray[np.float64]:
    """Even ramps on both sides of an even speed."""
    gained = np.clip(since_s, 0, ramp_s) ** 2 / (2 * ramp_s)
    even = np.clip(since_s - ramp_s, 0, CRUISE_S)
    left_s = ramp_s - np.clip(since_s - ramp_s - CRUISE_S, 0, ramp_s)
    return np.asarray(SPEED_PX_PER_S * (gained + even + (ramp_s - left_s**2 / ramp_s) / 2))
