"""The focus as a plane over the slide, from a few places where it was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blurryscope.scan.plausible import PlaceUm, SlopeUmPerUm

FEWEST_POINTS, MOST_POINTS = 3, 9
_THINNEST = 0.05
"""Points whose cloud is thinner than this share of its length lie on a line: any tilt fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusPlane:
    """z = `z_um` + `slope_x` x + `slope_y` y, in µm; the slopes are µm per µm."""

    z_um: PlaceUm
    slope_x: SlopeUmPerUm = 0.0
    slope_y: SlopeUmPerUm = 0.0
    residual_um: float = 0.0
    """Root mean square distance of the measured points; 0 for three, which always fit."""

    def z_at_um(self, x_um: float, y_um: float) -> float:
        """Where the focus lies over a place of the stage."""
        return self.z_um + self.slope_x * x_um + self.slope_y * y_um


LEVEL = FocusPlane(z_um=0.0)
"""Where the stage stands after homing."""


def fit_focus_plane(points_um: Sequence[tuple[float, float, float]]) -> FocusPlane:
    """Least squares through 3 to 9 points (x, y, z).

    Raises `ValueError` for too few or too many points, and where they lie on a line.
    """
    if not FEWEST_POINTS <= len(points_um) <= MOST_POINTS:
        raise ValueError(
            f"a focus plane needs {FEWEST_POINTS} to {MOST_POINTS} points, got {len(points_um)}"
        )
    points = np.asarray(points_um, np.float64)
    middle = points.mean(axis=0)
    away = points - middle
    spread = np.linalg.svd(away[:, :2], compute_uv=False)
    if spread[1] < _THINNEST * spread[0]:
        raise ValueError("the focus points lie on a line, which leaves the tilt across it open")
    slopes = np.linalg.lstsq(away[:, :2], away[:, 2], rcond=None)[0]
    off_um = away[:, 2] - away[:, :2] @ slopes
    return FocusPlane(
        z_um=float(middle[2] - middle[:2] @ slopes),
        slope_x=float(slopes[0]),
        slope_y=float(slopes[1]),
        residual_um=float(np.sqrt(np.mean(off_um**2))),
    )
