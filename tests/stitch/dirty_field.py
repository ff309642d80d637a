"""Tissue blurred by a moving stage, seen through a field that is neither even nor clean."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.shading import lasting_shading

ROWS, COLUMNS = 96, 128
BLUR_PX = 25


def blurred_tissue() -> Grey:
    """Transmission of a piece of slide, blurred along x as by a moving stage."""
    noise = np.random.default_rng(1).normal(size=(300, 600)).astype(np.float32)
    grains = cv2.GaussianBlur(noise, (0, 0), 2.5)
    blurred = cv2.blur(grains, (BLUR_PX, 1))
    return np.asarray(np.exp(-0.25 - 0.12 * blurred / blurred.std()), np.float32)


def dirty_shading() -> Grey:
    """Dark corners and specks on the sensor: the same in every frame."""
    rng = np.random.default_rng(2)
    row, column = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    light = 235 * (1 - 0.15 * (row**2 + column**2))
    for centre_row, centre_column in rng.uniform(-0.9, 0.9, (12, 2)):
        away = np.hypot((row - centre_row) * ROWS, (column - centre_column) * COLUMNS)
        light *= 1 - 0.35 * np.exp(-((away / 4) ** 2))
    return np.asarray(light, np.float32)


def frame_of(tissue: Grey, shading: Grey, top: int, left: int, seed: int) -> NDArray[np.uint8]:
    """What the camera makes of a piece of it, with noise."""
    light = tissue[top : top + ROWS, left : left + COLUMNS] * shading
    noise = np.random.default_rng(seed).normal(0, 2.0, light.shape)
    return np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)


def seen_shading(tissue: Grey, shading: Grey) -> Grey:
    """What many frames tell of the shading."""
    places = np.random.default_rng(3).integers(0, (200, 470), (60, 2))
    frames = [frame_of(tissue, shading, int(y), int(x), n) for n, (y, x) in enumerate(places)]
    return lasting_shading(np.stack(frames))
