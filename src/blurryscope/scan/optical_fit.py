"""What moves and frames tell of the microscope: pixel size, rotation, read-out, frame rate.

Signs: the camera is turned by `turn_deg` if its x axis, turned by that from x towards y, is that
of the stage. Content moves against the stage: a stage step d shows as -R(-turn) d / pixel size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_OUTLIER_FRACTION = 0.08
"""Of the usual speed: beyond it the stage stuck, or a frame was taken for another."""
_ASIDE_FRACTION = 0.03
"""Of the usual speed, across it: neither jerks nor the beat of the camera turn the motion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFit:
    """How stage steps show in the frames."""

    pixel_size_um: float
    turn_deg: float
    residual_px: float
    """Root mean square of what the fit leaves."""
    anisotropy_fraction: float
    """How much longer a µm of one axis is than of the other: unequal steps per mm show here."""
    skew_deg: float
    """How far the axes of the stage are from a right angle."""
    is_mirrored: bool
    count: int

    def displacement_px(self, x_um: float, y_um: float) -> tuple[float, float]:
        """How the content moves, (x, y) px, when the stage goes (x, y) µm."""
        turn = math.radians(self.turn_deg)
        cosine, sine = math.cos(turn), math.sin(turn)
        return (
            -(cosine * x_um + sine * y_um) / self.pixel_size_um,
            -(-sine * x_um + cosine * y_um) / self.pixel_size_um,
        )

    def step_um(self, x_px: float, y_px: float) -> tuple[float, float]:
        """How far the stage went, (x, y) µm, when the content moved (x, y) px."""
        turn = math.radians(self.turn_deg)
        cosine, sine = math.cos(turn), math.sin(turn)
        return (
            -(cosine * x_px - sine * y_px) * self.pixel_size_um,
            -(sine * x_px + cosine * y_px) * self.pixel_size_um,
        )


def fit_pixels(
    steps_um: Sequence[tuple[float, float]], displacements_px: Sequence[tuple[float, float]]
) -> PixelFit:
    """Fit stage steps (x, y) to the displacements of content (x, y); along both axes, please."""
    steps = np.asarray(steps_um, np.float64)
    moved = -np.asarray(displacements_px, np.float64)
    if len(steps) < 4 or np.linalg.matrix_rank(steps, tol=1.0) < 2:
        raise ValueError("steps along both axes are needed, at least four in all")
    to_pixels = np.linalg.lstsq(steps, moved, rcond=None)[0].T  # columns: what a µm of x, of y does
    left = moved - steps @ to_pixels.T
    x_axis, y_axis = to_pixels[:, 0], to_pixels[:, 1]
    determinant = float(np.linalg.det(to_pixels))
    lengths = np.hypot(*x_axis), np.hypot(*y_axis)
    # The scan runs along x: its direction in the frame is the one that matters.
    x_deg = math.degrees(math.atan2(x_axis[1], x_axis[0]))
    y_deg = math.degrees(math.atan2(y_axis[1], y_axis[0]))
    between_deg = _half_turn(y_deg - x_deg) * (1 if determinant > 0 else -1)
    return PixelFit(
        pixel_size_um=1 / math.sqrt(abs(determinant)),
        turn_deg=-x_deg,
        residual_px=float(np.sqrt(np.mean(np.sum(left**2, axis=1)))),
        anisotropy_fraction=float(lengths[0] / lengths[1] - 1),
        skew_deg=between_deg - 90.0,
        is_mirrored=determinant < 0,
        count=len(steps),
    )


def _half_turn(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameClock:
    """How regularly frames come."""

    frame_rate_hz: float
    jitter_s: float
    """Deviation of frames from the beat."""
    lost_count: int


_LATE_ROUNDS = 3
_LATE_SIGMAS = 3.0
_LEAST_LATE_S = 1e-4
"""However regular the others are."""


def fit_frame_clock(times_s: Sequence[float]) -> FrameClock:
    """Find the true frame rate from the times of frames, of which some may be missing, or late.

    A frame that a busy computer took late tells nothing of the beat, and is left out of the fit.
    """
    times = np.asarray(times_s, np.float64)
    if len(times) < 10:
        raise ValueError(f"ten frames at least tell a frame rate, got {len(times)}")
    period_s = float(np.median(np.diff(times)))
    for _ in range(2):
        # A late frame is followed by one that comes too soon, so that both together are two.
        gone = np.rint(np.diff(times) / period_s)
        beat = np.concatenate([[0.0], np.cumsum(gone)])
        period_s, start_s = (float(value) for value in np.polyfit(beat, times, 1))
    for _ in range(_LATE_ROUNDS):
        off_s = times - (start_s + beat * period_s)
        off_s -= np.median(off_s)
        is_late = np.abs(off_s) > _LATE_SIGMAS * 1.4826 * np.median(np.abs(off_s)) + _LEAST_LATE_S
        fit = np.polyfit(beat[~is_late], times[~is_late], 1)
        period_s, start_s = (float(value) for value in fit)
    off_s = times - (start_s + beat * period_s)
    return FrameClock(
        frame_rate_hz=1 / period_s,
        jitter_s=float(off_s.std()),
        lost_count=int(beat[-1]) + 1 - len(times),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedFit:
    """How fast content moves while the stage runs one way."""

    x_px_per_s: float
    y_px_per_s: float
    spread_fraction: float
    """Deviation of single steps from the usual one: jerks and the beat of the camera."""
    count: int


def fit_speed(moves: Sequence[tuple[float, float, float]]) -> SpeedFit | None:
    """Fit the usual speed of content to moves (seconds, x px, y px); None where there are too few.

    Steps far from the usual are left out, and the rest is taken together, so that the jitter of
    single frames cancels.
    """
    if len(moves) < 4:
        return None
    seconds, x_px, y_px = (np.asarray(column, np.float64) for column in zip(*moves, strict=True))
    velocity = np.stack([x_px, y_px], axis=1) / seconds[:, None]
    middle = np.median(velocity, axis=0)
    usual = float(np.hypot(*middle))
    along = velocity @ middle / usual
    aside = (velocity[:, 0] * middle[1] - velocity[:, 1] * middle[0]) / usual
    kept = np.abs(along - usual) < _OUTLIER_FRACTION * usual
    kept &= np.abs(aside) < _ASIDE_FRACTION * usual
    if np.count_nonzero(kept) < 4:
        return None
    total_s = seconds[kept].sum()
    return SpeedFit(
        x_px_per_s=float(x_px[kept].sum() / total_s),
        y_px_per_s=float(y_px[kept].sum() / total_s),
        spread_fraction=float(along[kept].std() / usual),
        count=int(np.count_nonzero(kept)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StripFit:
    """What one strip forth and back at speed tells."""

    row_time_s: float | None
    """From the exposure of one row to that of the next; below 0 it reads from the bottom up."""
    readout_ratio: float | None
    """Rows of motion per row of read-out; above 0 lanes towards greater x are stretched.

    None where content moves along the rows: then nothing is stretched, and nothing tells.
    """
    pixel_size_um: float
    turn_deg: float
    spread_fraction: float
    count: int


def fit_strip(forth: SpeedFit, back: SpeedFit, speed_um_per_s: float) -> StripFit:
    """Take apart motion and read-out from the two directions of a strip.

    Content that moves w rows per second meets the next row's exposure later: it is seen to move
    w / (1 - w t) for a row time t. Forth and back have opposite w and the same t.
    """
    row_time_s, rows_per_s = _read_out(forth, back)
    true_x = [
        speed.x_px_per_s / (1 + (row_time_s or 0.0) * speed.y_px_per_s) for speed in (forth, back)
    ]
    columns_per_s = 0.5 * (true_x[0] - true_x[1])
    return StripFit(
        row_time_s=row_time_s,
        readout_ratio=None if row_time_s is None else rows_per_s * row_time_s,
        pixel_size_um=speed_um_per_s / math.hypot(columns_per_s, rows_per_s),
        turn_deg=math.degrees(math.atan2(rows_per_s, -columns_per_s)),
        spread_fraction=max(forth.spread_fraction, back.spread_fraction),
        count=min(forth.count, back.count),
    )


def _read_out(forth: SpeedFit, back: SpeedFit) -> tuple[float | None, float]:
    """Seconds from row to row, and the true speed of content along the rows' axis, rows/s."""
    p, q = forth.y_px_per_s, back.y_px_per_s
    if abs(p) < abs(forth.x_px_per_s):
        return None, 0.5 * (p - q)
    return -0.5 * (1 / p + 1 / q), 2 / (1 / p - 1 / q)


def peak_of(places: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Where values peak, by a parabola through the five around the highest, and the peak's bend.

    Raises `ValueError` where the highest lies at an end: the peak may lie beyond.
    """
    top = int(values.argmax())
    if not 1 <= top <= len(values) - 2:
        raise ValueError("the highest value lies at an end of the search")
    around = slice(max(top - 2, 0), top + 3)
    bend, slope, _ = np.polyfit(places[around] - places[top], values[around], 2)
    if bend >= 0:
        raise ValueError("the values have no peak")
    reach = float(np.abs(places[around] - places[top]).max())
    return float(places[top] + np.clip(-slope / (2 * bend), -reach, reach)), float(-bend)
