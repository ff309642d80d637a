"""How far the picture moved between two frames, under long blur, by a correlation that survives it.

Plain phase correlation locks on the shading or on noise. Here the cross-correlation at every shift
is divided by the energy of just the parts that overlap at that shift: a true correlation
coefficient, which is high only where the two frames show the same tissue.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from blurryscope.basics.image import Grey


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShift:
    """Where the content of one frame went in the next.

    `row_px` and `col_px` are what to add to a position in the earlier frame to find the same
    content in the later one; the stage moved the opposite way. `correlation` is 0 to 1.
    """

    row_px: float
    col_px: float
    correlation: float
    stillness: float
    """Correlation at zero shift: near 1 when the frames are alike."""


class OverlapCorrelator:
    """Finds the shift between one frame and the one before, over all shifts at once.

    Parameters
    ----------
    shape
        (rows, columns) of the detail pictures pushed in.
    least_overlap_fraction
        Shifts that leave a smaller part of the frame in common are not considered.
    noise_sigma
        Detail (natural-log absorbance) that counts as noise; the correlation of two patches with
        less than this is near 0 whatever they show.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        least_overlap_fraction: float = 0.1,
        noise_sigma: float = 0.003,
    ) -> None:
        rows, columns = shape
        self._padded = (
            scipy.fft.next_fast_len(2 * rows, real=True),
            scipy.fft.next_fast_len(2 * columns, real=True),
        )
        self._row_shifts = np.fft.fftfreq(self._padded[0], 1 / self._padded[0]).astype(int)
        self._column_shifts = np.fft.fftfreq(self._padded[1], 1 / self._padded[1]).astype(int)
        common = np.outer(
            np.clip(rows - np.abs(self._row_shifts), 0, None),
            np.clip(columns - np.abs(self._column_shifts), 0, None),
        )
        self._floor = (noise_sigma**2 * common + 1e-9).astype(np.float32)
        self._is_allowed = common >= least_overlap_fraction * rows * columns
        self._windows_later = _windows(shape, self._row_shifts, self._column_shifts)
        self._windows_earlier = _windows(shape, -self._row_shifts, -self._column_shifts)
        self._earlier: tuple[NDArray[np.complex64], NDArray[np.float64]] | None = None

    def push(self, detail: Grey) -> PairShift | None:
        """Compare with the frame pushed before; None for the first."""
        later = (
            scipy.fft.rfft2(detail, self._padded),
            np.pad(np.cumsum(np.cumsum(detail.astype(np.float64) ** 2, 0), 1), ((1, 0), (1, 0))),
        )
        earlier, self._earlier = self._earlier, later
        return None if earlier is None else self._peak(self._correlation(earlier, later))

    def _correlation(
        self,
        earlier: tuple[NDArray[np.complex64], NDArray[np.float64]],
        later: tuple[NDArray[np.complex64], NDArray[np.float64]],
    ) -> NDArray[np.float32]:
        product = scipy.fft.irfft2(later[0] * np.conj(earlier[0]), self._padded)
        energy_later = _window_sums(later[1], self._windows_later) + self._floor
        energy_earlier = _window_sums(earlier[1], self._windows_earlier) + self._floor
        correlation = product / np.sqrt(energy_later * energy_earlier)
        return np.where(self._is_allowed, correlation, 0).astype(np.float32)

    def _peak(self, correlation: NDArray[np.float32]) -> PairShift:
        row, column = np.unravel_index(np.argmax(correlation), correlation.shape)
        d_row, d_column = peak_offset(correlation, int(row), int(column))
        return PairShift(
            row_px=float(self._row_shifts[row]) + d_row,
            col_px=float(self._column_shifts[column]) + d_column,
            correlation=float(np.clip(correlation[row, column], 0, 1)),
            stillness=float(np.clip(correlation[0, 0], 0, 1)),
        )


def _windows(
    shape: tuple[int, int], row_shifts: NDArray[np.int_], column_shifts: NDArray[np.int_]
) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]]:
    """First and last (exclusive) row and column that a frame shares at each shift."""
    rows, columns = shape
    return (
        np.clip(row_shifts, 0, rows),
        np.clip(rows + row_shifts, 0, rows),
        np.clip(column_shifts, 0, columns),
        np.clip(columns + column_shifts, 0, columns),
    )


def _window_sums(
    summed_area: NDArray[np.float64],
    windows: tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]],
) -> NDArray[np.float32]:
    top, bottom, left, right = windows
    of_rows = summed_area[bottom] - summed_area[top]
    return np.maximum(of_rows[:, right] - of_rows[:, left], 0).astype(np.float32)


def peak_offset(surface: Grey, row: int, column: int) -> tuple[float, float]:
    """Sub-pixel place of a maximum, by a parabola along each axis; wraps around at the borders."""
    rows, columns = surface.shape
    centre = float(surface[row, column])

    def vertex(before: float, after: float) -> float:
        curvature = before - 2 * centre + after
        return (
            0.0 if curvature >= 0 else float(np.clip((before - after) / (2 * curvature), -0.5, 0.5))
        )

    return (
        vertex(float(surface[row - 1, column]), float(surface[(row + 1) % rows, column])),
        vertex(float(surface[row, column - 1]), float(surface[row, (column + 1) % columns])),
    )


def match_patch(patch: Grey, region: Grey) -> tuple[float, float, float]:
    """Find `patch` in the larger `region` by correlation coefficient.

    Returns
    -------
    Row and column of the patch's top left corner in `region`, sub-pixel, and the correlation. A
    maximum on the border of the search is no maximum: its correlation is given as 0.
    """
    surface = np.asarray(cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED), np.float32)
    _, best, _, (column, row) = cv2.minMaxLoc(surface)
    rows, columns = surface.shape
    if not (0 < row < rows - 1 and 0 < column < columns - 1):
        return float(row), float(column), 0.0
    d_row, d_column = peak_offset(surface, row, column)
    return row + d_row, column + d_column, float(best)
