"""What is said of a core must follow from what its picture shows."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.tma.quality import _outline, measure_core, status_of


def test_a_core_with_a_hole_that_was_never_filmed_is_told_from_one_cut_by_the_edge() -> None:
    rgb = np.full((300, 300, 3), 240, np.uint8)
    rgb[_disc_mask(300, 100)] = (170, 150, 140)
    white = np.array([240.0, 240.0, 240.0])
    holed = rgb.copy()
    holed[120:170, 130:190] = 0
    cut = rgb.copy()
    cut[:, :110] = 0
    found = [
        status_of(measure_core(each, white, 200.0), 5.0, is_expected=True) for each in (holed, cut)
    ]
    assert found == [CoreStatus.HOLED, CoreStatus.EDGE_CUT]


@pytest.mark.parametrize(
    ("scanned_px", "status"), [(0, CoreStatus.NOT_SCANNED), (260, CoreStatus.MISSING)]
)
def test_a_place_that_was_not_scanned_is_unknown_and_not_missing(
    scanned_px: int, status: CoreStatus
) -> None:
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[:, :scanned_px] = 240
    measures = measure_core(rgb, np.array([240.0, 240.0, 240.0]), 200.0)
    assert status_of(measures, -4.0, is_expected=True) is status


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 39)), min_size=1, max_size=30))
def test_the_outline_of_tissue_is_the_hull_of_all_its_pixels(xy: list[tuple[int, int]]) -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[tuple(np.transpose(xy)[::-1])] = True
    moments = cv2.moments(cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8))))
    centre, diameter_px = _outline(mask, (0.0, 0.0))
    assert diameter_px == 2.0 * np.sqrt(moments["m00"] / np.pi)
    if moments["m00"] > 0:
        assert centre == (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])


def _disc_mask(side_px: int, radius_px: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:side_px, :side_px]
    return np.asarray(np.hypot(rows - side_px / 2, columns - side_px / 2) <= radius_px)
