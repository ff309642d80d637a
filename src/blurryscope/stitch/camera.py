"""How the camera sits on the stage and reads its rows, measured from lanes in both directions.

The stage moves while the rows of a frame are read one after another. With the stage velocity `v`
in mosaic pixels per second, content at the point `p` = (row, col) from the centre of the frame lies
in the mosaic at

    X(t) + M p + v * (readout_s_per_row * p_row + readout_s_per_column * p_col)

where X(t) is the centre of the field at mid read-out and M turns camera axes into mosaic axes
(y down, x along the lanes). The second read-out term is 0 for a picture that is stored as it is
read; it takes up one that was turned before it was stored. One pass stretches or shears a frame,
the pass back does the opposite.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraModel:
    """Mounting and read-out of the camera."""

    scan_angle_rad: float
    """Direction, in the frame, of a stage move along +x of the mosaic: 0 along the columns to the
    right, pi/2 along the rows downward."""
    readout_s_per_row: float
    """Time between the exposures of neighbouring rows; negative if the last row comes first."""
    readout_s_per_column: float = 0.0

    @property
    def turn(self) -> NDArray[np.float64]:
        """M, the (2, 2) rotation from frame (row, col) to mosaic (y, x)."""
        sine, cosine = np.sin(self.scan_angle_rad), np.cos(self.scan_angle_rad)
        return np.array([[cosine, -sine], [sine, cosine]])

    @property
    def turn_rate(self) -> NDArray[np.float64]:
        """DM / d(scan angle)."""
        sine, cosine = np.sin(self.scan_angle_rad), np.cos(self.scan_angle_rad)
        return np.array([[-sine, -cosine], [cosine, -sine]])

    def read_out_s(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k,) when points, (k, 2) as (row, col) from the centre of a frame, are read out.

        Counted from mid read-out.
        """
        readout = np.array([self.readout_s_per_row, self.readout_s_per_column])
        return np.asarray(points_px @ readout)

    def frame_matrices(self, velocities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices from frame offsets to mosaic offsets, for (n, 2) velocities (y, x) in px/s.

        Returns (n, 2, 2).
        """
        matrices = np.broadcast_to(self.turn, (len(velocities), 2, 2)).copy()
        matrices[:, :, 0] += velocities * self.readout_s_per_row
        matrices[:, :, 1] += velocities * self.readout_s_per_column
        return matrices


def camera_from_steps(
    forward_px: NDArray[np.float64],
    backward_px: NDArray[np.float64],
    interval_s: float,
    row_count: int,
) -> tuple[CameraModel, float]:
    """Measure angle, read-out along the scan and speed from the usual step of each direction.

    Parameters
    ----------
    forward_px, backward_px
        (row, col) by which the stage moves between two frames, as seen in the frame: the content
        moves the opposite way. Read-out along the scan makes one longer than the other.
    interval_s
        Time between the frames.
    row_count
        Of a frame, as it is stored.

    Returns
    -------
    The camera, and the speed in mosaic pixels per second. With the rows along the scan the two
    steps are equal, but for a camera a little askew, and the read-out cannot be told from them; it
    is then returned as 0 and has to be found from neighbouring lanes. Unless they differ by more
    than rows can: then the picture was turned before it was stored, and its columns were read one
    after another.

    Notes
    -----
    With a = speed * readout_s_per_row and the row component w of the scan direction, the steps are
    D / (1 + a w) and D / (1 - a w), so D = 2pq / (p + q) and a w = (q - p) / (p + q). Columns do
    the same by their own component. A frame is read in the time to the next one at most.
    """
    p, q = float(np.hypot(*forward_px)), float(np.hypot(*backward_px))
    direction = forward_px / p - backward_px / q
    direction /= np.hypot(*direction)
    step_px = 2 * p * q / (p + q)
    speed = step_px / interval_s
    along_rows, along_columns = direction.tolist()
    readout = (q - p) / (p + q) / speed
    camera = CameraModel(
        scan_angle_rad=float(np.arctan2(along_rows, along_columns)), readout_s_per_row=0.0
    )
    if is_readout_along(direction):
        return replace(camera, readout_s_per_row=readout / along_rows), speed
    most_by_rows = interval_s / row_count * abs(along_rows)
    if abs(readout) > most_by_rows + _LEAST_UNLIKE / speed:
        return replace(camera, readout_s_per_column=readout / along_columns), speed
    return camera, speed


_LEAST_UNLIKE = 0.02
"""By which (q - p) / (p + q) must be more than that: of 26 films whose rows were read along the
lanes, 25 were less than 0.007 off from what their read-out makes of it, and one 0.017."""


def is_readout_along(direction: NDArray[np.float64]) -> bool:
    """Whether rows follow one another along the scan rather than across it."""
    return bool(abs(direction[0]) > np.sqrt(0.5))


def rim_sigma_px(
    camera_sigma: NDArray[np.float64], frame_shape: tuple[int, int], speed_px_per_s: float
) -> float:
    """How uncertain the rim of a frame is, mosaic pixels.

    `camera_sigma` is what is known of the angle (rad) and the read-out (s per row, s per column).
    """
    angle, per_row, per_column = camera_sigma
    half_rows, half_columns = (np.array(frame_shape) - 1) / 2
    parts = [
        angle * np.hypot(half_rows, half_columns),
        per_row * half_rows * speed_px_per_s,
        per_column * half_columns * speed_px_per_s,
    ]
    return float(np.hypot.reduce(parts))
