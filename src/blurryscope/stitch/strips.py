"""Lanes laid beside one another: the image of each lane, and the offset of neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from blurryscope.basics.image import Grey

ALONG_REDUCTION = 2
"""Strips are this much coarser along the lanes, where motion blur leaves no finer detail."""

_WORKERS = 2
"""Threads of a transform; while the first lanes are laid out nothing else is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The detail picture of one lane; `detail` is 0 where `weight` is 0."""

    detail: Grey
    weight: Grey
    origin: NDArray[np.float64]
    """Lane coordinates (y, x) of the first pixel, in pixels of the frames it was made from."""

    @property
    def bottom(self) -> float:
        """Lane coordinate y below the last row."""
        return float(self.origin[0] + len(self.detail))


def rows_between(strip: Strip, top: float, bottom: float) -> Strip:
    """The rows of a strip between two lane coordinates y; at least one row is left."""
    rows = strip.detail.shape[0]
    first = int(np.clip(np.floor(top - strip.origin[0]), 0, rows - 1))
    last = int(np.clip(np.ceil(bottom - strip.origin[0]), first + 1, rows))
    return Strip(
        detail=strip.detail[first:last],
        weight=strip.weight[first:last],
        origin=strip.origin + np.array([first, 0]),
    )


def lay_strip(
    details: list[Grey], positions: NDArray[np.float64], matrices: NDArray[np.float64]
) -> Strip:
    """Average the frames of a lane on a common grid.

    Parameters
    ----------
    details
        Detail pictures (row, col) of the frames.
    positions
        (n, 2) centres (y, x) in lane coordinates, pixels of the detail pictures.
    matrices
        (n, 2, 2) from frame offsets to lane offsets.
    """
    rows, columns = details[0].shape
    centre = np.array([(rows - 1) / 2, (columns - 1) / 2])
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * centre
    reach = positions[:, None, :] + np.einsum("nij,kj->nki", matrices, corners)
    origin = np.floor(reach.reshape(-1, 2).min(axis=0))
    extent = np.ceil(reach.reshape(-1, 2).max(axis=0)) - origin + 1
    shape = (int(extent[0]), int(np.ceil(extent[1] / ALONG_REDUCTION)) + 1)
    total, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    shrink = np.array([1.0, 1.0 / ALONG_REDUCTION])
    ones = np.ones((rows, columns), np.float32)
    for detail, position, matrix in zip(details, positions, matrices, strict=True):
        scaled = shrink[:, None] * matrix
        offset = (position - origin) * shrink - scaled @ centre
        left, width = _columns_covered(scaled, offset, (rows, columns), shape[1])
        offset = offset - np.array([0, left])
        # OpenCV's matrix is in (x, y) order.
        affine = np.array(
            [
                [scaled[1, 1], scaled[1, 0], offset[1]],
                [scaled[0, 1], scaled[0, 0], offset[0]],
            ]
        )
        size = (width, shape[0])
        total[:, left : left + width] += cv2.warpAffine(detail, affine, size)
        weight[:, left : left + width] += cv2.warpAffine(ones, affine, size)
    covered = weight > 0.5
    mean = np.where(covered, total / np.maximum(weight, 0.5), 0).astype(np.float32)
    return Strip(detail=mean, weight=covered.astype(np.float32), origin=origin)


def _columns_covered(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, int], width: int
) -> tuple[int, int]:
    corners = np.array([[0, 0], [0, shape[1]], [shape[0], 0], [shape[0], shape[1]]]) @ matrix.T
    left = int(np.clip(np.floor(corners[:, 1].min() + offset[1]) - 1, 0, width - 1))
    right = int(np.clip(np.ceil(corners[:, 1].max() + offset[1]) + 2, left + 1, width))
    return left, right - left


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetSurface:
    """How well two strips agree at every offset of the second against the first."""

    score: NDArray[np.float32]
    """Evidence (log-likelihood gain), (dy, dx)."""
    correlation: NDArray[np.float32]
    dy_px: NDArray[np.int64]
    dx_px: NDArray[np.float64]
    """Offsets of lane coordinates, in pixels of the detail pictures: add to a position in the
    second lane to have it in the first lane's coordinates."""

    def within(self, most_dx_px: float) -> "OffsetSurface":
        """The part of the surface with |dx| up to a limit."""
        near = np.abs(self.dx_px) <= most_dx_px
        return OffsetSurface(
            score=self.score[:, near],
            correlation=self.correlation[:, near],
            dy_px=self.dy_px,
            dx_px=self.dx_px[near],
        )

    def turned(self) -> "OffsetSurface":
        """The same for strips that are both turned by 180 degrees."""
        return replace(self, dy_px=-self.dy_px, dx_px=-self.dx_px)

    def best(self, around_dy_px: float, tolerance_px: float) -> tuple[float, float, float, float]:
        """Best offset near one dy: dy, dx, correlation and score, which is 0 if there is none."""
        if not self.score.size:
            return around_dy_px, 0.0, 0.0, 0.0
        near = np.abs(self.dy_px - around_dy_px) <= tolerance_px
        score = np.where(near[:, None], self.score, -1)
        row, column = np.unravel_index(int(np.argmax(score)), score.shape)
        return (
            float(self.dy_px[row]),
            float(self.dx_px[column]),
            float(self.correlation[row, column]),
            float(score[row, column]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StripSpectra:
    """A strip, transformed: of three strips one below the other, the middle one is used twice."""

    strip: Strip
    padded: tuple[int, int]
    """Shape that every shift of two such strips fits into."""
    detail: NDArray[np.complex64]
    energy: NDArray[np.complex64]
    weight: NDArray[np.complex64]


def padded_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Shape that every shift of any two pictures of these shapes fits into."""
    rows, columns = (sum(sorted(shape[axis] for shape in shapes)[-2:]) for axis in (0, 1))
    fast = scipy.fft.next_fast_len
    return fast(rows, real=True), fast(columns, real=True)


def spectra_of(strip: Strip, padded: tuple[int, int]) -> StripSpectra:
    """Transform a strip for comparisons with others, all padded alike."""
    detail, energy, weight = (
        np.asarray(scipy.fft.rfft2(values, padded, workers=_WORKERS))
        for values in (strip.detail, strip.detail**2, strip.weight)
    )
    return StripSpectra(strip=strip, padded=padded, detail=detail, energy=energy, weight=weight)


def compare_strips(
    first: Strip, second: Strip, *, noise_sigma: float, cell_px: float, least_rows: int
) -> OffsetSurface:
    """Correlate two strips at every offset, normalised by what overlaps there.

    The score is -n/2 log(1 - r^2), with r the correlation and n the number of independent cells of
    tissue in the overlap (`cell_px` pixels each): long good agreement beats short perfect one.
    """
    padded = padded_shape([first.detail.shape, second.detail.shape])
    spectra = spectra_of(first, padded), spectra_of(second, padded)
    return compare_spectra(
        *spectra, noise_sigma=noise_sigma, cell_px=cell_px, least_rows=least_rows
    )


def compare_spectra(
    first: StripSpectra,
    second: StripSpectra,
    *,
    noise_sigma: float,
    cell_px: float,
    least_rows: int,
) -> OffsetSurface:
    """As `compare_strips`, of strips that are transformed already."""

    def correlated(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> NDArray[np.float32]:
        return np.asarray(scipy.fft.irfft2(a * np.conj(b), first.padded, workers=_WORKERS))

    product = correlated(first.detail, second.detail)
    energy_a = np.maximum(correlated(first.energy, second.weight), 0)
    energy_b = np.maximum(correlated(first.weight, second.energy), 0)
    common = np.maximum(correlated(first.weight, second.weight), 0)
    floor = noise_sigma**2 * common + 1e-9
    correlation = np.clip(product / np.sqrt((energy_a + floor) * (energy_b + floor)), 0, 0.999)
    # Cells that hold tissue: energy in units of the strips' own strong detail.
    above, below = first.strip, second.strip
    strong = max(float((above.detail**2).mean()), float((below.detail**2).mean()), noise_sigma**2)
    cells = np.minimum(np.minimum(energy_a, energy_b) / strong, common) / cell_px
    rows, columns = first.padded
    dy = np.fft.fftfreq(rows, 1 / rows).astype(np.int64)
    dx = np.fft.fftfreq(columns, 1 / columns).astype(np.int64)
    rows_common = (above.detail.shape[0] + below.detail.shape[0]) / 2 - np.abs(dy)
    cells[rows_common < least_rows] = 0
    shift = above.origin - below.origin
    return OffsetSurface(
        score=(-0.5 * cells * np.log1p(-(correlation**2))).astype(np.float32),
        correlation=correlation.astype(np.float32),
        dy_px=dy + int(shift[0]),
        dx_px=dx * float(ALONG_REDUCTION) + shift[1],
    )
