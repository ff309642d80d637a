"""What the stitcher measured and how well: the figures of `stitch.json`."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.stitched import Stitched
from blurryscope.stitch.trajectory import lane_heights, usual_interval_s

_SPEED_BIAS = 0.004
"""By which links may all take the steps for too short, whatever lanes agree on: shading and dirt do
not move. Simulated scans gave 0.1 to 0.6 %."""
_READ_OUT_DOUBT = 2.4
"""How far the read-out is off, in standard deviations by what links say of each other: the root
mean square of 22 films of real tissue."""
_TRUSTED_WEIGHT = 0.3
"""Links that keep less than this are taken for wrong."""


class ScaleSource(StrEnum):
    """Where the size of a mosaic pixel is known from."""

    GIVEN = "given"
    RECORDED_SPEED = "speed of the stage as recorded"
    ASSUMED_SPEED = "speed of the stage assumed as in the paper"


def measured(
    stitched: Stitched, pixel_size_um: float, scale_source: ScaleSource
) -> dict[str, object]:
    """Give the figures of a stitched slide, ready for JSON."""
    trajectory, solution = stitched.solution.trajectory, stitched.solution
    camera = trajectory.camera
    rows_count = stitched.frame_shape[0]
    is_good = solution.weights > _TRUSTED_WEIGHT
    residual = np.median(np.abs(solution.residuals[is_good]), axis=0) if is_good.any() else [0, 0]
    readout_s = camera.readout_s_per_row * rows_count
    return {
        "pixel_size_um": _rounded(pixel_size_um),
        "pixel_size_source": scale_source,
        "speed_um_per_s": _rounded(stitched.speed_px_per_s * pixel_size_um),
        "camera_rotation_deg": _rounded(float(np.rad2deg(camera.scan_angle_rad))),
        "readout_s": _rounded(readout_s),
        "readout_along_columns_s": _rounded(camera.readout_s_per_column * stitched.frame_shape[1]),
        "readout_ratio": _rounded(stitched.speed_px_per_s * camera.readout_s_per_row),
        "uncertainty": _uncertainties(stitched, pixel_size_um, scale_source),
        "lane_count": len(stitched.lanes),
        "lane_pitch_um": _rounded(_pitch_px(stitched) * pixel_size_um),
        "overlap_fraction": _rounded(_overlap_fraction(stitched)),
        "linked_lane_pairs": int(stitched.is_lane_linked.sum()),
        "link_count": len(stitched.links),
        "link_outlier_fraction": _rounded(1 - float(is_good.mean()) if len(is_good) else 0.0),
        "link_residual_px": {"y": _rounded(float(residual[0])), "x": _rounded(float(residual[1]))},
        "repeated_frame_count": len(stitched.repeated),
        "dropped_frame_count": _dropped(stitched.times_s),
        "second_scan_from_s": stitched.second_scan_from_s,
        "shading_fraction": _rounded(_shading_fraction(stitched.gain)),
        "lanes": [_lane_figures(stitched, number) for number in range(len(stitched.lanes))],
    }


def _uncertainties(
    stitched: Stitched, pixel_size_um: float, scale_source: ScaleSource
) -> dict[str, object]:
    """One standard deviation of what was estimated; null where the film does not tell."""
    trajectory, table = stitched.solution.trajectory, stitched.table
    angle, *read_out = stitched.solution.camera_sigma.tolist()
    per_row, per_column = (_READ_OUT_DOUBT * sigma for sigma in read_out)
    rows_count, columns_count = stitched.frame_shape
    pitches = np.diff(lane_heights(trajectory))[stitched.is_lane_linked]
    speeds = table.speed_px_per_s[table.is_timed] / stitched.speed_px_per_s
    # Rows of cores that no tissue joins lie where two turns say, one on each side; between two
    # rows that makes as much as one turn misleads.
    seen = np.flatnonzero(table.is_timed)
    is_whole = bool(stitched.is_lane_linked[seen[0] : seen[-1]].all()) if len(seen) else True
    apart_um = np.nan if is_whole else table.turn_sigma_px * pixel_size_um
    # A size that was given is not measured, and how wrong an assumed speed is nobody knows.
    is_measured = scale_source is ScaleSource.RECORDED_SPEED
    scale = float(np.hypot(_of_mean(speeds), _SPEED_BIAS)) if is_measured else np.nan
    return {
        "pixel_size_um": _known(pixel_size_um * scale),
        "camera_rotation_deg": _known(float(np.rad2deg(angle))),
        "readout_s": _known(per_row * rows_count),
        "readout_along_columns_s": _known(per_column * columns_count),
        "readout_ratio": _known(per_row * stitched.speed_px_per_s),
        "lane_pitch_um": _known(pixel_size_um * _of_mean(pitches)),
        "lanes_joined_by_turns_only_um": _known(float(apart_um)),
    }


def _of_mean(values: NDArray[np.float64]) -> float:
    """Standard deviation of the mean."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 2 else np.nan


def _known(value: float) -> float | None:
    return _rounded(value) if np.isfinite(value) else None


def _lane_figures(stitched: Stitched, number: int) -> dict[str, object]:
    lane = stitched.lanes[number]
    trajectory = stitched.solution.trajectory
    in_lane = trajectory.frames[trajectory.lanes == number]
    touches = np.isin(stitched.links.later, in_lane) | np.isin(stitched.links.earlier, in_lane)
    good = touches & (stitched.solution.weights > _TRUSTED_WEIGHT)
    return {
        "lane": number,
        "first_frame": lane.first,
        "last_frame": lane.last,
        "direction": lane.direction,
        "links": int(good.sum()),
        "is_linked_to_next": bool(
            number < len(stitched.is_lane_linked) and stitched.is_lane_linked[number]
        ),
    }


def _pitch_px(stitched: Stitched) -> float:
    return float(np.median(np.diff(lane_heights(stitched.solution.trajectory))))


def _overlap_fraction(stitched: Stitched) -> float:
    turn = np.abs(stitched.solution.trajectory.camera.turn)
    across_px = float((turn @ np.array(stitched.frame_shape))[0])
    return max(1 - _pitch_px(stitched) / across_px, 0.0)


def _dropped(times_s: NDArray[np.float64]) -> int:
    """Frames that the times have a gap for."""
    intervals = np.diff(times_s) / usual_interval_s(times_s)
    return int(np.maximum(np.rint(intervals) - 1, 0).sum())


def _shading_fraction(gain: NDArray[np.float32]) -> float:
    """How much darker the darkest part of the field is than the brightest."""
    return float(1 - gain.min() / gain.max())


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
