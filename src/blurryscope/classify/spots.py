"""Pictures of many cores where one should be: separate round pieces of tissue, alike in size."""

import cv2
import numpy as np
from numpy.typing import NDArray

_DENSE = 0.6
"""Of the median density of tissue: cores that touch by their pale rims come apart there."""
_LEAST_PX = 9
_MOST_SHARE = 0.06
"""Of a view: of larger pieces too few fit beside each other to tell an array from a torn core."""
_LEAST_ROUND = 0.6
"""Area against that of the disc around it."""
_LEAST_ASPECT = 0.7
_ALIKE = 2.5
"""Times smaller or larger than the median piece."""
_MOST_OF_TISSUE = 0.4
"""Share of a view's tissue that such pieces make up in an array; crumbs beside a core make up
less."""


def spot_count(grey: NDArray[np.float32], glass: float, tissue_density: float) -> int:
    """How many round pieces of tissue, alike in size, make up what a view shows.

    `grey` is (view, row, col) in grey levels, `glass` what clear glass has, `tissue_density` the
    optical density from which a place counts as tissue. The view with the most of them counts; 0
    where they are not most of the tissue. One core, whole or torn, gives 0 or 1.
    """
    sparse = grey[:, ::2, ::2]
    tissue = sparse[sparse < glass * 10**-tissue_density]
    if tissue.size == 0:
        return 0
    median = float(np.log10(glass / max(float(np.median(tissue)), 1.0)))
    darkest_glass = glass * 10 ** -max(tissue_density, _DENSE * median)
    return max(_spots((view < darkest_glass).astype(np.uint8)) for view in grey)


def _spots(tissue: NDArray[np.uint8]) -> int:
    side = len(tissue)
    _, _, pieces, _ = cv2.connectedComponentsWithStats(tissue, connectivity=4)
    left, top, width, height, area = pieces[1:].T  # the first is the glass
    longest = np.maximum(width, height)
    whole = (left > 0) & (top > 0) & (left + width < side) & (top + height < side)
    is_round = (area >= _LEAST_ROUND * np.pi / 4 * longest**2) & (
        np.minimum(width, height) >= _LEAST_ASPECT * longest
    )
    spots = area[whole & is_round & (area >= _LEAST_PX) & (area <= _MOST_SHARE * side**2)]
    if spots.size == 0:
        return 0
    median = np.median(spots)
    alike = spots[(spots > median / _ALIKE) & (spots < median * _ALIKE)]
    in_pieces = area[(area >= _LEAST_PX / 2) | ~whole].sum()
    return len(alike) if alike.sum() >= _MOST_OF_TISSUE * in_pieces else 0
