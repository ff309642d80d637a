"""The slide is known again by what lies on it, and never by the dust on the sensor."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from blurryscope.devices.contracts import CameraFrame, StagePoint
from blurryscope.devices.jpeg import JpegPicture, to_jpeg
from blurryscope.scan.landmark import FILE, find_landmark

PLACE = StagePoint(x_um=0.0, y_um=0.0, z_um=0.0)
ROWS, COLUMNS = 160, 212


def field_with_dust() -> NDArray[np.float32]:
    """Four spots of dust as big as some nuclei, mean 1."""
    flat = np.ones((ROWS, COLUMNS), np.float32)
    for row, column in ((95, 80), (100, 138), (70, 60), (105, 115)):
        cv2.circle(flat, (column, row), 9, 0.6, -1)
    soft = cv2.GaussianBlur(flat, (0, 0), 2.0)
    return np.asarray(soft / soft.mean(), np.float32)


def seen_at(shift_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The rim of a core after the stage moved the slide by so much, (row, col) grey."""
    rng = np.random.default_rng(5)
    tissue = cv2.GaussianBlur(rng.uniform(120, 250, (600, 600)).astype(np.float32), (0, 0), 3.0)
    slide = np.full((600, 600), 230.0, np.float32)
    inside = np.hypot(*(np.indices(slide.shape) - np.array([[[120]], [[400]]]))) < 190
    slide[inside] = tissue[inside] + 25
    row, column = 220 + shift_px[0], 180 + shift_px[1]
    lit = slide[row : row + ROWS, column : column + COLUMNS] * field_with_dust()
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def photographed(luma: NDArray[np.uint8]) -> CameraFrame:
    jpeg = to_jpeg(np.repeat(luma[..., None], 3, axis=2))
    picture = JpegPicture(0, 0.0, jpeg)
    return CameraFrame(index=0, time_s=0.0, picture=picture, jpeg=jpeg)


@pytest.mark.parametrize(
    ("shift_px", "is_in_place"),
    [((0, 0), True), ((4, -3), True), ((0, 30), False), ((55, 50), False), ((-60, 40), False)],
)
def test_a_rim_of_tissue_among_dust_is_found_where_it_is_and_nowhere_else(
    tmp_path: Path, shift_px: tuple[int, int], is_in_place: bool
) -> None:
    cv2.imwrite(str(tmp_path / FILE), seen_at((0, 0)))
    frame = photographed(seen_at(shift_px))
    found = find_landmark(PLACE, tmp_path, field_with_dust(), 2.16, lambda _: frame)
    assert found.is_in_place == is_in_place
    if is_in_place:
        assert found.off_um == pytest.approx(2.16 * np.hypot(*shift_px), abs=1.0)
