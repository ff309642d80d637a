"""What a slide shows before anything has a name: glass, tissue, spots as large as cores."""

from dataclasses import dataclass

import numpy as np

from blurryscope.basics.errors import InputError
from blurryscope.basics.image import Grey
from blurryscope.tma.picture import SlidePicture, WorkingPicture, working_picture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.tissue import (
    Spots,
    TissueMap,
    disc_response,
    find_spots,
    map_tissue,
    usual_diameter,
    without_edges,
    without_uneven_light,
)
from blurryscope.tma.white_balance import WhiteBalance, find_white_balance

_DIAMETERS_UM = (300.0, 3000.0)
"""Cores of microarrays have 0.6 to 2 mm."""
_DIAMETERS_PX = (9.0, 300.0)
"""What is looked for where the size of a pixel is not known, in working pixels."""
_LEAST_RESPONSE = 0.12
_LEAST_OF_STRONG = 0.28
"""Of the upper quartile of responses; what is weaker gets its second look at a node."""
_SURELY_TISSUE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSight:
    """A slide as the search for cores sees it; lengths are pixels of the working picture."""

    working: WorkingPicture
    white: WhiteBalance
    tissue_map: TissueMap
    diameter_px: float
    response: Grey
    spots: Spots


def look_at_slide(picture: SlidePicture, settings: TmaSettings) -> SlideSight:
    """Find glass, tissue and core-like spots; an `InputError` says that there is no tissue."""
    working = working_picture(picture)
    white = find_white_balance(working.rgb)
    tissue_map, diameter_px = _tissue_and_diameter(picture, working, white, settings)
    response = disc_response(tissue_map.tissue, diameter_px, tissue_map.scanned)
    return SlideSight(
        working=working,
        white=white,
        tissue_map=tissue_map,
        diameter_px=diameter_px,
        response=response,
        spots=_strong_spots(response, diameter_px),
    )


def _tissue_and_diameter(
    picture: SlidePicture, working: WorkingPicture, white: WhiteBalance, settings: TmaSettings
) -> tuple[TissueMap, float]:
    """Tissue on even glass, and the usual core diameter in working pixels."""
    tissue_map = map_tissue(working.rgb, white.white)
    pixel_um = None if picture.pixel_size_um is None else picture.pixel_size_um * working.shrink
    if settings.core_diameter_um is not None and pixel_um is not None:
        diameter_px = settings.core_diameter_um / pixel_um
    else:
        low, high = (
            _DIAMETERS_PX if pixel_um is None else tuple(um / pixel_um for um in _DIAMETERS_UM)
        )
        high = min(high, min(working.rgb.shape[:2]) / 1.5)
        if high <= low:
            raise InputError(
                "the picture", "is too small to show a core", "Give a scan of the whole slide"
            )
        diameter_px = usual_diameter(tissue_map, (low, high))
    tissue_map = without_uneven_light(tissue_map, diameter_px)
    return without_edges(tissue_map, diameter_px), diameter_px


def _strong_spots(response: Grey, diameter_px: float) -> Spots:
    spots = find_spots(response, diameter_px, _LEAST_RESPONSE)
    if not len(spots.response) or spots.response[0] < _SURELY_TISSUE:
        raise InputError(
            "the slide",
            "shows no tissue, only glass",
            "Check that the slide has tissue, that it is in focus and that the scan covers it",
        )
    strong = spots.response > _LEAST_OF_STRONG * np.quantile(spots.response, 0.75)
    return Spots(xy_px=spots.xy_px[strong], response=spots.response[strong])
