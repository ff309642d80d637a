"""Stacks that no network should see: blank, nearly blank, or out of focus."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.image import Rgb

_MEASURED_PX = 128
"""Side of a view as it is measured: 2.9 µm a pixel."""
_MOST_BLANK = 0.6
"""A core's disc fills about half of its picture; the rest may rightly be blank."""
_LEAST_OVERVIEW_TISSUE = 0.04
_LEAST_CROP_TISSUE = 0.10
_LEAST_FOCUS = 0.17
"""Thirteen stacks of the authors and seven real cores lie at 0.24 to 0.79; defocused by 12 µm they
lie at 0.11 to 0.16."""
_TISSUE_DENSITY = 0.02
_GLASS_QUANTILE = 98
_DARKEST_GLASS = 150.0
_NEAR_PX = 1
_FAR_PX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StackQuality:
    """What can be said of a stack before it is scored."""

    blank: float
    """Share of the overview that is pure white: masked, or never scanned."""
    overview_tissue: float
    """Share of the overview that is denser than glass, 0 to 1."""
    crop_tissue: float
    """The same for the crops together."""
    focus: float
    """Brightness change across the scan axis over 3 µm against that over 30 µm, where there is
    tissue: 0 is a blur without detail. Motion blur, along x, leaves it alone."""


def stack_quality(stack: Rgb) -> StackQuality:
    """Measure a stack, (view, row, col, rgb) uint8, the overview last; full or reduced."""
    small = reduced_views(stack[None], max(stack.shape[1] // _MEASURED_PX, 1))[0]
    grey = small.min(axis=-1).astype(np.float32)
    glass = max(float(np.percentile(grey, _GLASS_QUANTILE)), _DARKEST_GLASS)
    smooth = np.stack([cv2.blur(view, (5, 5)) for view in grey])
    tissue = smooth < glass * 10**-_TISSUE_DENSITY
    return StackQuality(
        blank=float((grey[-1] == np.iinfo(np.uint8).max).mean()),
        overview_tissue=float(tissue[-1].mean()),
        crop_tissue=float(tissue[:-1].mean()),
        focus=_focus(grey[:-1], tissue[:-1]),
    )


def objection(quality: StackQuality) -> str | None:
    """Why a stack of this quality is not scored, in words; None if it may be."""
    if quality.blank > _MOST_BLANK:
        return f"{quality.blank:.0%} of the overview is blank"
    if quality.crop_tissue < _LEAST_CROP_TISSUE:
        return f"hardly any tissue: {quality.crop_tissue:.0%} of the crops"
    if quality.overview_tissue < _LEAST_OVERVIEW_TISSUE:
        return f"mostly glass: tissue on {quality.overview_tissue:.0%} of the overview"
    if quality.focus < _LEAST_FOCUS:
        return "out of focus: no detail across the scan direction"
    return None


def _focus(grey: NDArray[np.float32], tissue: NDArray[np.bool_]) -> float:
    far = _mean_step(grey, tissue, _FAR_PX)
    return _mean_step(grey, tissue, _NEAR_PX) / far if far > 0 else 0.0


def _mean_step(grey: NDArray[np.float32], tissue: NDArray[np.bool_], rows: int) -> float:
    both = tissue[:, rows:] & tissue[:, :-rows]
    if not both.any():
        return 0.0
    return float(np.abs(grey[:, rows:] - grey[:, :-rows])[both].mean())
