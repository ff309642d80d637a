"""Stacks that no network should see: blank, nearly blank, or out of focus."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.image import Rgb

_LEAST_OVERVIEW_TISSUE = 0.06
_LEAST_CROP_TISSUE = 0.10
"""Shares of the area; a core cut to a tenth of its disc still passes."""
_LEAST_FOCUS = 0.012
_TISSUE_DENSITY = 0.02
_GLASS_QUANTILE = 98
_DARKEST_GLASS = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackQuality:
    """What can be said of a stack before it is scored."""

    overview_tissue: float
    """Share of the overview that is denser than glass, 0 to 1."""
    crop_tissue: float
    """The same for the crops together."""
    focus: float
    """Relative brightness step between rows 3 µm apart, where there is tissue. Motion blur lies
    along x and leaves it alone; a stack out of focus has next to none."""


def stack_quality(stack: Rgb) -> StackQuality:
    """Measure one stack, (view, row, col, rgb) uint8, the overview last."""
    small = reduced_views(stack[None])[0]
    grey = small.min(axis=-1).astype(np.float32)
    glass = max(float(np.percentile(grey, _GLASS_QUANTILE)), _DARKEST_GLASS)
    smooth = np.stack([cv2.blur(view, (5, 5)) for view in grey])
    tissue = smooth < glass * 10**-_TISSUE_DENSITY
    return StackQuality(
        overview_tissue=float(tissue[-1].mean()),
        crop_tissue=float(tissue[:-1].mean()),
        focus=_focus(grey[:-1], tissue[:-1]),
    )


def objection(quality: StackQuality) -> str | None:
    """Why a stack of this quality is not scored, in words; None if it may be."""
    if quality.crop_tissue < _LEAST_CROP_TISSUE:
        return f"hardly any tissue: {quality.crop_tissue:.0%} of the crops"
    if quality.overview_tissue < _LEAST_OVERVIEW_TISSUE:
        return f"mostly glass: tissue on {quality.overview_tissue:.0%} of the overview"
    if quality.focus < _LEAST_FOCUS:
        return "out of focus: no detail across the scan direction"
    return None


def _focus(grey: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float:
    both = tissue[:, 1:] & tissue[:, :-1]
    if not both.any():
        return 0.0
    steps = np.abs(np.diff(grey, axis=1))[both] / grey[:, 1:][both].clip(min=1.0)
    return float(steps.mean())
