"""The picture that shows why: evidence for and against a higher score, over the core in grey."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.view_places import WeighedView
from blurryscope.basics.image import Grey, Mask, Rgb, to_uint8

FULL_COLOUR = 6.0
"""Log-odds at which the colour is as strong as it gets; the same for all cores, so that two maps
can be compared and a core without evidence stays grey."""
_FOR = (205.0, 60.0, 0.0)
_AGAINST = (0.0, 95.0, 175.0)
"""Orange and blue: told apart by colour-blind readers too."""
_HATCH_PX = 8
"""Between the lines over what speaks for a lower score: in grey the two colours look alike."""
_HATCH_DARKENS = 0.45
"""By how much a line is darker than its ground, where the colour is full."""
_STRONGEST = 0.75
"""Share of the colour where it is strongest: the tissue stays visible below."""
_SOFT_RIM_PX = 7
"""Over which colour fades where tissue ends."""
_FAINTEST_GREY = 70.0
"""Grey of the darkest tissue: dark ground would swallow the colours."""


def why_picture(
    core_rgb: Rgb, tissue: Mask, evidence: Grey, views: Sequence[WeighedView], reduction: float
) -> Rgb:
    """Lay a core's map over its picture, and outline its crops.

    Parameters
    ----------
    core_rgb
        The core's picture, (row, col, rgb) uint8, `reduction` times smaller than at first.
    tissue
        (row, col) of the same size: what may have a colour. The network's last maps are so coarse
        that evidence spills over the rim, and a colour on empty glass explains nothing.
    evidence
        (row, col) of any size, over the whole of the picture; log-odds.
    views
        Where the views lie in the picture at full size, the overview last.
    reduction
        At least 1.

    Returns
    -------
    (row, col, rgb) uint8 of the size of `core_rgb`.
    """
    rows, columns = core_rgb.shape[:2]
    resized = cv2.resize(evidence, (columns, rows), interpolation=cv2.INTER_LINEAR)
    covered = cv2.blur(tissue.astype(np.float32), (_SOFT_RIM_PX, _SOFT_RIM_PX))
    fine = np.asarray(resized * covered, np.float32)[..., None]
    grey = core_rgb.astype(np.float32).mean(axis=2, keepdims=True)
    grey = _FAINTEST_GREY + grey * (255 - _FAINTEST_GREY) / 255
    strength = np.clip(np.abs(fine) / FULL_COLOUR, 0.0, 1.0) * _STRONGEST
    colour = np.where(fine > 0, np.asarray(_FOR, np.float32), np.asarray(_AGAINST, np.float32))
    # Multiplied in, as a dye would lie over it: texture shows through.
    dyed = grey * (1 - strength + strength * colour / 255.0)
    picture = to_uint8(dyed * (1 - _HATCH_DARKENS * _hatching(fine)))
    for number, view in enumerate(views[:-1], start=1):
        _outline(picture, view, number, reduction)
    return picture


def _hatching(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slanted lines over what speaks for a lower score, (row, col, 1) like the evidence, 0 to 1.

    They come up from a tenth of the full colour to its half.
    """
    row_px, col_px = np.indices(evidence.shape[:2])
    is_line = ((row_px + col_px) % _HATCH_PX == 0)[..., None]
    strength = np.clip((-evidence / FULL_COLOUR - 0.1) / 0.4, 0.0, 1.0)
    return np.asarray(np.where(is_line, strength, 0.0), np.float32)


def _outline(picture: Rgb, view: WeighedView, number: int, reduction: float) -> None:
    place = view.place
    left, top = (round(start / reduction) for start in (place.left_px, place.top_px))
    side = round(place.side_px / reduction)
    ink = (40, 40, 40)
    cv2.rectangle(picture, (left, top), (left + side, top + side), ink, 1)
    corner = (max(left, 0) + 4, max(top, 0) + 15)
    cv2.putText(picture, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
