"""Dirt is told from stain by having no colour and being far denser than any tissue of its core."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.basics.dirt import find_dirt, without_dirt
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.dataset.views import VIEW_PIXEL_SIZE_UM, make_stack

SIDE = 900
GLASS = np.array([236, 235, 233], np.uint8)
BLUE, BROWN = (0.683, 0.623, 0.382), (0.350, 0.575, 0.740)
"""Optical density of haematoxylin and DAB in red, green and blue (Ruifrok & Johnston 2001)."""
SPECK = (200, 640)
"""(row, col): on the rim of the tissue."""


def _core(blue: float, brown: float) -> NDArray[np.float64]:
    """Optical density, (row, col, rgb), of a disc of tissue with cells in it."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    tissue = (np.hypot(rows, columns) < 0.4 * SIDE)[..., None]
    cells = cv2.GaussianBlur(rng.random((SIDE, SIDE)), (0, 0), 4)
    cells = np.clip((cells - cells.mean()) / cells.std() + 1, 0, 3)[..., None]
    return np.asarray(tissue * cells * (blue * np.array(BLUE) + brown * np.array(BROWN)))


def _blob(centre: tuple[int, int], radius_px: float) -> NDArray[np.float64]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    disc = (np.hypot(rows - centre[0], columns - centre[1]) < radius_px).astype(np.float64)
    smeared = np.asarray(cv2.blur(disc, (54, 1)), np.float64)  # by the motion of the stage
    return smeared[..., np.newaxis]


def _picture(density: NDArray[np.float64]) -> Rgb:
    noise = np.random.default_rng(4).normal(0, 1, density.shape)
    return to_uint8(GLASS * 10**-density + noise)


def test_a_speck_is_found_with_all_that_it_is_smeared_over_and_nothing_else() -> None:
    speck = _blob(SPECK, 14) * 0.8
    dirt = find_dirt(_picture(_core(0.03, 0.01) + speck), GLASS, VIEW_PIXEL_SIZE_UM)
    assert dirt[speck[..., 0] > 0.02].all()
    rows, columns = np.nonzero(dirt)
    assert np.ptp(rows) * VIEW_PIXEL_SIZE_UM < 60
    assert np.ptp(columns) * VIEW_PIXEL_SIZE_UM < 180


@pytest.mark.parametrize("stain", [BLUE, BROWN], ids=["blue", "brown"])
def test_cells_that_alone_are_strongly_stained_are_no_dirt(stain: tuple[float, ...]) -> None:
    nest = _blob((450, 450), 14) * 0.8 * np.array(stain)
    assert not find_dirt(_picture(_core(0.03, 0.0) + nest), GLASS, VIEW_PIXEL_SIZE_UM).any()


def test_brown_cells_with_blue_nuclei_are_no_dirt_where_there_are_many() -> None:
    nests = sum(_blob((row, 450), 30) for row in range(250, 700, 90))
    both = np.asarray(nests) * (0.4 * np.array(BLUE) + 0.4 * np.array(BROWN))
    assert not find_dirt(_picture(_core(0.03, 0.0) + both), GLASS, VIEW_PIXEL_SIZE_UM).any()


def test_glass_alone_holds_no_dirt() -> None:
    assert not find_dirt(_picture(np.zeros((SIDE, SIDE, 3))), GLASS, VIEW_PIXEL_SIZE_UM).any()


def test_a_picture_without_dirt_is_left_as_it_is() -> None:
    picture = _picture(_core(0.2, 0.3))
    assert without_dirt(picture, GLASS, VIEW_PIXEL_SIZE_UM) is picture


def test_no_view_shows_a_speck() -> None:
    core, speck = _core(0.03, 0.01), _blob(SPECK, 14) * 0.8
    clean, dirty = (
        make_stack(_picture(density), pixel_size_um=VIEW_PIXEL_SIZE_UM)
        for density in (core, core + speck)
    )
    assert _picture(core + speck).min() < 100
    assert dirty.min() > clean.min() - 10
