"""How far the picture moved between two frames, under long blur, by a correlation that survives it.

Plain phase correlation locks on the shading or on noise. Here the cross-correlation at every shift
is divided by the energy of just the parts that overlap at that shift: a true correlation
coefficient, which is high only where the two frames show the same tissue.
"""

from dataclasses import dataclass
from functools import cached_property
from math import hypot
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.spectra import Spectrum, lagged_products, padded_shape, spectrum_of


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

    def enlarged(self, factor: int) -> "PairShift":
        """The same in pixels that are so many times smaller."""
        return PairShift(
            row_px=self.row_px * factor,
            col_px=self.col_px * factor,
            correlation=self.correlation,
            stillness=self.stillness,
        )


NOTHING_SEEN = PairShift(row_px=0.0, col_px=0.0, correlation=0.0, stillness=0.0)
"""Of two frames that tell nothing of each other."""


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
        self.shape = shape
        rows, columns = shape
        self._padded = padded_shape([shape, shape])
        self._row_shifts = np.fft.fftfreq(self._padded[0], 1 / self._padded[0]).astype(int)
        self._column_shifts = np.fft.fftfreq(self._padded[1], 1 / self._padded[1]).astype(int)
        common = np.outer(
            np.clip(rows - np.abs(self._row_shifts), 0, None),
            np.clip(columns - np.abs(self._column_shifts), 0, None),
        )
        self._noise_sigma = noise_sigma
        # An energy without end where shifts are not allowed: nothing correlates there.
        is_allowed = common >= least_overlap_fraction * rows * columns
        floor = np.where(is_allowed, noise_sigma**2 * common + 1e-9, np.inf)
        self._floor = floor.astype(np.float32)
        self._earlier: PreparedDetail | None = None

    def push(self, detail: Grey) -> PairShift | None:
        """Compare with the frame pushed before; None for the first."""
        later = self.prepared(detail)
        earlier, self._earlier = self._earlier, later
        return None if earlier is None else self.between(earlier, later)

    def prepared(self, detail: Grey) -> "PreparedDetail":
        """A detail picture to compare `between` others, each of which is transformed only once."""
        energy = cv2.norm(detail, cv2.NORM_L2SQR) / detail.size
        is_blank = energy < _BLANK * self._noise_sigma**2
        return PreparedDetail(detail, self._padded, self._floor, is_blank=is_blank)

    def between(self, earlier: "PreparedDetail", later: "PreparedDetail") -> PairShift:
        """Compare any two frames."""
        if earlier.is_blank or later.is_blank:
            return NOTHING_SEEN
        return self._peak(_correlation(earlier, later))

    def _peak(self, correlation: NDArray[np.float32]) -> PairShift:
        _, highest, _, (column, row) = cv2.minMaxLoc(correlation)
        d_row, d_column = peak_offset(correlation, row, column)
        return PairShift(
            row_px=float(self._row_shifts[row]) + d_row,
            col_px=float(self._column_shifts[column]) + d_column,
            correlation=min(max(highest, 0.0), 1.0),
            stillness=min(max(float(correlation[0, 0]), 0.0), 1.0),
        )


class PreparedDetail:
    """What comparing a frame with others needs, worked out when first needed: never of blank ones.

    Parameters
    ----------
    padded
        Shape that every shift of two frames fits into.
    floor
        The noise's energy at every shift, (padded).
    """

    def __init__(
        self,
        detail: Grey,
        padded: tuple[int, int],
        floor: NDArray[np.float32],
        *,
        is_blank: bool,
    ) -> None:
        self._detail, self._padded, self._floor = detail, padded, floor
        self.is_blank = is_blank

    @cached_property
    def spectrum(self) -> Spectrum:
        return spectrum_of(self._detail, self._padded)

    @cached_property
    def energy_as_earlier(self) -> NDArray[np.float32]:
        """Its energy and the noise's over what it shares with a later frame, at every shift."""
        return self._energy(is_later=False)

    @cached_property
    def energy_as_later(self) -> NDArray[np.float32]:
        """The same with an earlier frame."""
        return self._energy(is_later=True)

    @cached_property
    def _summed_area(self) -> NDArray[np.float32]:
        return np.asarray(cv2.integral(self._detail**2, sdepth=cv2.CV_64F), np.float32)

    def _energy(self, *, is_later: bool) -> NDArray[np.float32]:
        energy = shared_energy(self._summed_area, self._padded, is_later=is_later)
        energy += self._floor
        return energy


def _correlation(earlier: PreparedDetail, later: PreparedDetail) -> NDArray[np.float32]:
    product = lagged_products(later.spectrum, earlier.spectrum)
    energies = later.energy_as_later * earlier.energy_as_earlier
    np.sqrt(energies, out=energies)
    return np.asarray(np.divide(product, energies, out=energies), np.float32)


_BLANK = 1.5
"""Times the noise's energy: detail with less than this cannot correlate noticeably."""


def shared_energy(
    summed_area: NDArray[np.float32], padded: tuple[int, int], *, is_later: bool
) -> NDArray[np.float32]:
    """Sum a frame over the part that it shares with another, at every shift between the two.

    Parameters
    ----------
    summed_area
        Summed-area table of the frame's squares, (rows + 1, columns + 1).
    padded
        Shape of the result; shifts are in the order of an FFT of that length.
    is_later
        Whether the frame is the later one: at a positive shift its far end is shared, and the
        near end of the earlier one.
    """
    of_rows = np.empty((padded[0], summed_area.shape[1]), np.float32)
    _sum_windows(summed_area, of_rows, is_later)
    energy = np.empty(padded, np.float32)
    _sum_windows(of_rows.T, energy.T, is_later)
    return np.maximum(energy, 0, out=energy)


def _sum_windows(summed: NDArray[np.float32], sums: NDArray[np.float32], is_later: bool) -> None:
    """Fill `sums` with differences of a running sum, between the ends of the shared window.

    Both along the first axis. Filled in place, so that it lies in memory as other pictures do.
    """
    count, length = summed.shape[0] - 1, sums.shape[0]
    whole = summed[count]
    positive, negative = min(count, (length + 1) // 2), min(count, length // 2)
    sums[positive : length - negative] = 0
    if is_later:
        np.subtract(whole, summed[:positive], out=sums[:positive])
        sums[length - negative :] = summed[count - negative : count]
    else:
        sums[:positive] = summed[count : count - positive : -1]
        np.subtract(whole, summed[negative:0:-1], out=sums[length - negative :])


def peak_offset(surface: Grey, row: int, column: int) -> tuple[float, float]:
    """Sub-pixel place of a maximum, by a parabola along each axis; wraps around at the borders."""
    rows, columns = surface.shape
    centre = float(surface[row, column])

    def vertex(before: float, after: float) -> float:
        curvature = before - 2 * centre + after
        if curvature >= 0:
            return 0.0
        return min(max((before - after) / (2 * curvature), -0.5), 0.5)

    return (
        vertex(float(surface[row - 1, column]), float(surface[(row + 1) % rows, column])),
        vertex(float(surface[row, column - 1]), float(surface[row, (column + 1) % columns])),
    )


class PatchMatch(NamedTuple):
    """Where a patch was found in a larger region."""

    row: float
    """Of the patch's top left corner, sub-pixel."""
    column: float
    correlation: float
    """A maximum on the border of the search is no maximum: its correlation is given as 0."""
    sharpness: float
    """By how much the correlation falls to either side of the maximum, 1/px^2, in the direction in
    which it falls least: along an edge that runs straight through the patch not at all."""


def match_patch(patch: Grey, region: Grey) -> PatchMatch:
    """Find `patch` in the larger `region` by correlation coefficient."""
    surface = np.asarray(cv2.matchTemplate(region, patch, cv2.TM_CCOEFF_NORMED), np.float32)
    _, best, _, (column, row) = cv2.minMaxLoc(surface)
    rows, columns = surface.shape
    if not (0 < row < rows - 1 and 0 < column < columns - 1):
        return PatchMatch(float(row), float(column), 0.0, 0.0)
    d_row, d_column = peak_offset(surface, row, column)
    sharpness = _least_curvature(surface, row, column)
    return PatchMatch(row + d_row, column + d_column, float(best), sharpness)


def _least_curvature(surface: Grey, row: int, column: int) -> float:
    """Of a maximum: the lesser eigenvalue of minus its Hessian, over what noise leaves smooth."""
    rows, columns = surface.shape
    around = surface[_around(row, rows), _around(column, columns)]
    (a, b, c), (d, e, f), (g, h, i) = around.tolist()
    down, along, both = 2 * e - b - h, 2 * e - d - f, (c + g - a - i) / 4
    least = (down + along) / 2 - hypot((down - along) / 2, both)
    return float(least) / _AROUND_PX**2


def _around(place: int, count: int) -> slice:
    """A place and one on either side; a little farther in at the border."""
    middle = min(max(place, _AROUND_PX), count - 1 - _AROUND_PX)
    return slice(middle - _AROUND_PX, middle + _AROUND_PX + 1, _AROUND_PX)


_AROUND_PX = 2
"""To either side; noise alone makes the nearest neighbours of a maximum lower."""
