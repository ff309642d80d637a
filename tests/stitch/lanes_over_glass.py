"""Lanes that run to and fro across two cores and the glass between them, solved."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.camera import CameraModel
from blurryscope.stitch.links import Links, gathered
from blurryscope.stitch.solve import Solution
from blurryscope.stitch.trajectory import Trajectory

STEP_PX = 100.0
FRAMES, GLASS = 12, slice(4, 8)
"""Of each lane; tissue before the glass and after it."""
STILL = CameraModel(scan_angle_rad=0.0, readout_s_per_row=0.0)


def ways_px(longer_steps: Sequence[float]) -> NDArray[np.float64]:
    """(frames,) how far along x if each lane goes so many steps farther over the glass."""
    lanes, place = np.divmod(np.arange(len(longer_steps) * FRAMES), FRAMES)
    sense = np.where(lanes % 2 == 0, 1.0, -1.0)
    longer = np.asarray(longer_steps)[lanes]
    return np.asarray(sense * STEP_PX * (place + longer * (place >= GLASS.stop)))


def solved(way_px: NDArray[np.float64], turn_px: float) -> tuple[Solution, Links]:
    """Frames `way_px` on from 0, or back from `turn_px`; links tie the frames of each core."""
    frames = np.arange(len(way_px))
    lanes = frames // FRAMES
    begun_px = np.where(lanes % 2 == 0, 0.0, turn_px)
    trajectory = Trajectory(
        frames=frames,
        lanes=lanes,
        times_s=frames / 30,
        positions=np.stack([200.0 * lanes, way_px + begun_px], axis=1),
        camera=STILL,
    )
    tied = [
        frame
        for frame in frames[:-1].tolist()
        if frame % FRAMES not in range(GLASS.start - 1, GLASS.stop) and frame % FRAMES != FRAMES - 1
    ]
    links = gathered((frame, frame + 1, (0.0, 50.0), (0.0, -50.0), 0.97) for frame in tied)
    solution = Solution(
        trajectory=trajectory, residuals=np.zeros((len(tied), 2)), weights=np.ones(len(tied))
    )
    return solution, links
