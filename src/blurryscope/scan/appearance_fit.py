"""What single frames tell: how even the light is, where tissue is, how sharp it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb

TISSUE_LOSS = 0.04
"""Share of the light that a smoothed pixel must lose to count as tissue."""
_FLAT_SIGMA_PX = 1.5
_NOISE_LAG_PX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatField:
    """The field over empty glass: what lamp, lens and sensor make of even light."""

    gain: NDArray[np.float32]
    """(row, col, rgb), the mean of each colour is 1; a frame divided by it is even."""
    white: tuple[float, float, float]
    """What glass gives, red, green, blue, on average."""
    falloff_fraction: float
    """How much darker the darkest part is than the brightest, dirt left out."""
    uncertainty_fraction: float
    """Deviation between two halves of the frames it was made from."""

    def luma(self) -> NDArray[np.float32]:
        """The same for brightness, (row, col), mean 1."""
        grey = self.gain @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.asarray(grey / grey.mean(), np.float32)


def fit_flat_field(frames: Sequence[Rgb]) -> FlatField:
    """Median of frames of glass taken at different places, so that dust on the slide drops out."""
    if len(frames) < 6:
        raise ValueError(f"a flat field needs six frames at least, got {len(frames)}")
    every, other = _level(frames[::2]), _level(frames[1::2])
    both = (every + other) / 2
    white = both.mean(axis=(0, 1))
    smooth = cv2.GaussianBlur(both.mean(axis=2), (0, 0), max(both.shape[0] / 24, 1.0))
    return FlatField(
        gain=np.asarray(both / white, np.float32),
        white=(float(white[0]), float(white[1]), float(white[2])),
        falloff_fraction=float(1 - smooth.min() / smooth.max()),
        uncertainty_fraction=float(np.std((every - other) / 2 / white)),
    )


def _level(frames: Sequence[Rgb]) -> NDArray[np.float32]:
    middle = np.median(np.stack(frames), axis=0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(middle, (0, 0), _FLAT_SIGMA_PX))


def tissue_fraction(luma: NDArray[np.uint8], glass: NDArray[np.float32] | float) -> float:
    """Share of a frame that is tissue; `glass` is what empty glass gives, (row, col) or even."""
    light = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 2.0) / glass
    return float(np.mean(light < 1 - TISSUE_LOSS))


def sharpness(
    luma: NDArray[np.uint8],
    flat: NDArray[np.float32],
    *,
    along_rows: bool,
    lag_px: int = _NOISE_LAG_PX,
) -> float:
    """How much fine detail there is across the scan, where motion blurs nothing.

    Parameters
    ----------
    luma
        (row, col) of a frame.
    flat
        The field over glass, (row, col), mean 1.
    along_rows
        Whether the axis across the scan is that of the frame's rows of pixels, that is, whether
        the camera is in portrait.
    lag_px
        Between the two pixels of a slope.

    Returns
    -------
    Mean square of the slope, in units of the mean brightness. Noise of single pixels, which is
    another in neighbours, cancels.
    """
    light = luma.astype(np.float32) / flat
    light /= max(float(light.mean()), 1.0)
    if not along_rows:
        light = light.T
    slope = light[:, lag_px:] - light[:, :-lag_px]
    # The same slope in the next line: detail goes on there, noise does not.
    return float(np.mean(slope[:-1] * slope[1:]))


def crispness(
    luma: NDArray[np.uint8], flat: NDArray[np.float32], lag_px: int, *, along_rows: bool
) -> float:
    """How much of the slope across the scan is as steep as the lens can make it, as `sharpness`.

    Slopes over `lag_px` against slopes over twice as much: 0 where everything is smooth, whatever
    its contrast. All tissue in focus has steep edges, and much the same share of them.
    """
    near = sharpness(luma, flat, along_rows=along_rows, lag_px=lag_px)
    far = sharpness(luma, flat, along_rows=along_rows, lag_px=2 * lag_px)
    return max(near / max(far, 1e-9) - 0.25, 0.0)
