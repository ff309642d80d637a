"""Lanes laid beside one another: the image of each lane, and the offset of neighbours."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Grey
from blurryscope.stitch.features import is_dust
from blurryscope.stitch.opencv_affine import opencv_affine
from blurryscope.stitch.spectra import (
    Spectrum,
    lagged_products,
    padded_shape,
    spectrum_of,
    transform_length,
)

ALONG_REDUCTION = 2
"""Strips are this much coarser along the lanes, where motion blur leaves no finer detail."""


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
    details: list[Grey],
    positions: NDArray[np.float64],
    matrices: NDArray[np.float64],
    between: tuple[float, float] = (-np.inf, np.inf),
) -> Strip:
    """Average the frames of a lane on a common grid; dust counts as not covered.

    Parameters
    ----------
    details
        Detail pictures (row, col) of the frames.
    positions
        (n, 2) centres (y, x) in lane coordinates, pixels of the detail pictures.
    matrices
        (n, 2, 2) from frame offsets to lane offsets.
    between
        Lane coordinates y of the rows that are wanted, both included; at least one is laid.
    """
    rows, columns = details[0].shape
    centre = np.array([(rows - 1) / 2, (columns - 1) / 2])
    origin, end = extent_of(positions, matrices, (rows, columns))
    origin[0] = min(max(origin[0], np.floor(between[0])), end[0])
    end[0] = max(min(end[0], np.ceil(between[1])), origin[0])
    extent = end - origin + 1
    shape = (int(extent[0]), int(np.ceil(extent[1] / ALONG_REDUCTION)) + 1)
    shrink = np.array([1.0, 1.0 / ALONG_REDUCTION])
    scaled = shrink[:, None] * matrices
    offsets = (positions - origin) * shrink - scaled @ centre
    lefts, widths = _columns_covered(scaled[:, 1], offsets[:, 1], (rows, columns), shape[1])
    offsets[:, 1] -= lefts
    affines = opencv_affine(scaled, offsets)
    # A pixel's detail and whether it is covered, side by side.
    total = np.zeros((*shape, 2), np.float32)
    pair = np.ones((rows, columns, 2), np.float32)
    for detail, affine, left, width in zip(
        details, affines, lefts.tolist(), widths.tolist(), strict=True
    ):
        pair[..., 0] = detail
        laid = cv2.warpAffine(pair, affine, (width, shape[0]))
        cv2.accumulate(laid, total[:, left : left + width])
    weight = total[..., 1]
    mean = np.asarray(total[..., 0] / np.maximum(weight, 0.5), np.float32)
    # Two specks of dust would count for as much as all tissue around them.
    covered = (weight > 0.5) & ~is_dust(mean)
    mean[~covered] = 0
    return Strip(detail=mean, weight=covered.astype(np.float32), origin=origin)


def extent_of(
    positions: NDArray[np.float64], matrices: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last pixel, (y, x) in whole numbers, of a strip of frames of this shape."""
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * (np.array(shape) - 1) / 2
    reach = positions[:, None, :] + np.einsum("nij,kj->nki", matrices, corners)
    reach = reach.reshape(-1, 2)
    return np.floor(reach.min(axis=0)), np.ceil(reach.max(axis=0))


def _columns_covered(
    along: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, int], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First column and number of columns of each frame, (n,), from the matrices' second rows."""
    corners = along @ np.array([[0, 0, shape[0], shape[0]], [0, shape[1], 0, shape[1]]])
    low, high = corners.min(axis=1) + offset, corners.max(axis=1) + offset
    left = np.clip(np.floor(low) - 1, 0, width - 1)
    right = np.clip(np.ceil(high) + 2, left + 1, width)
    return left.astype(np.int64), (right - left).astype(np.int64)


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

    def turned(self) -> "OffsetSurface":
        """The same for strips that are both turned by 180 degrees."""
        return replace(self, dy_px=-self.dy_px, dx_px=-self.dx_px)

    def expecting(self, dx_px: float, sigma_px: float) -> "OffsetSurface":
        """The same where dx is thought to be known: how unlikely an offset is counts against it."""
        against = 0.5 * ((self.dx_px - dx_px) / sigma_px) ** 2
        return replace(self, score=np.maximum(self.score - against, 0).astype(np.float32))

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

    def rival(
        self, around_dy_px: float, tolerance_px: float, dx_px: float, apart_px: float
    ) -> float:
        """Best score near one dy of offsets that lie so far from one dx; 0 if there is none."""
        near = np.abs(self.dy_px - around_dy_px) <= tolerance_px
        far = np.abs(self.dx_px - dx_px) > apart_px
        return float(self.score[np.ix_(near, far)].max(initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class StripSpectra:
    """A strip, transformed: of three strips one below the other, the middle one is used twice."""

    strip: Strip
    padded: tuple[int, int]
    """Shape that every shift of two such strips fits into."""
    detail: Spectrum
    energy: Spectrum
    weight: Spectrum


def spectra_of(strip: Strip, padded: tuple[int, int]) -> StripSpectra:
    """Transform a strip for comparisons with others, all padded alike."""
    return StripSpectra(
        strip=strip,
        padded=padded,
        detail=spectrum_of(strip.detail, padded),
        energy=spectrum_of(strip.detail**2, padded),
        weight=spectrum_of(strip.weight, padded),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What counts when strips are compared."""

    noise_sigma: float
    """Detail (natural-log absorbance) that counts as noise."""
    cell_px: float
    """Pixels of a strip that carry one independent value."""
    least_rows: int
    """Overlaps of fewer rows score nothing."""


def compare_strips(first: Strip, second: Strip, scoring: Scoring) -> OffsetSurface:
    """Correlate two strips at every offset, normalised by what overlaps there.

    The score is -n/2 log(1 - r^2), with r the correlation and n the number of independent cells of
    tissue in the overlap: long good agreement beats short perfect one.
    """
    padded = padded_shape([first.detail.shape, second.detail.shape])
    return compare_spectra(spectra_of(first, padded), spectra_of(second, padded), scoring)


def compare_spectra(first: StripSpectra, second: StripSpectra, scoring: Scoring) -> OffsetSurface:
    """As `compare_strips`, of strips that are transformed already."""
    rows, columns = first.padded
    lags = (
        np.fft.fftfreq(rows, 1 / rows).astype(np.int64),
        np.fft.fftfreq(columns, 1 / columns).astype(np.int64),
    )
    rule = _Rule.of(first.strip, second.strip, scoring)
    return rule.surface(_correlated(first, second), lags)


def compare_near(
    first: Strip,
    second: Strip,
    scoring: Scoring,
    *,
    around: tuple[float, float],
    reach: tuple[float, float],
) -> OffsetSurface:
    """As `compare_strips`, but only at offsets up to `reach` from `around`, both (dy, dx).

    Only what can overlap there is transformed. A surface without offsets says that nothing can.
    """
    rule = _Rule.of(first, second, scoring)
    lags, parts, padded = [], [], []
    for axis, scale in ((0, 1), (1, ALONG_REDUCTION)):
        shift = first.origin[axis] - second.origin[axis]
        low = int(np.ceil((around[axis] - reach[axis] - shift) / scale))
        high = int(np.floor((around[axis] + reach[axis] - shift) / scale))
        shared = _shared(first.detail.shape[axis], second.detail.shape[axis], low, high)
        if shared is None:
            return rule.surface(_Sums.nothing(), (_NO_LAGS, _NO_LAGS))
        lags.append(np.arange(low, high + 1))
        parts.append(shared)
        padded.append(_unambiguous(*shared, low, high))
    here, there = (
        Strip(
            detail=strip.detail[parts[0][n], parts[1][n]],
            weight=strip.weight[parts[0][n], parts[1][n]],
            origin=strip.origin,
        )
        for n, strip in enumerate((first, second))
    )
    fast = padded[0], padded[1]
    # Beside dark cores that cannot be reached, faint tissue would count for little.
    rule = replace(rule, strong=_strong_energy(here, there, scoring))
    sums = _correlated(spectra_of(here, fast), spectra_of(there, fast))
    places = [
        (lag - (part[0].start - part[1].start)) % length
        for lag, part, length in zip(lags, parts, fast, strict=True)
    ]
    return rule.surface(sums.at(places[0], places[1]), (lags[0], lags[1]))


_NO_LAGS = np.zeros(0, np.int64)


def _shared(first: int, second: int, low: int, high: int) -> tuple[slice, slice] | None:
    """What two runs of pixels can share at lags from `low` to `high`; None if nothing.

    At a lag, pixel i of the second lies on pixel i + lag of the first.
    """
    here = slice(max(low, 0), min(first, second + high))
    there = slice(max(-high, 0), min(second, first - low))
    if high < low or here.stop <= here.start or there.stop <= there.start:
        return None
    return here, there


def _unambiguous(here: slice, there: slice, low: int, high: int) -> int:
    """Length of a transform in which none of the lags falls together with another overlap."""
    begun = here.start - there.start
    rows_here, rows_there = here.stop - here.start, there.stop - there.start
    needed = max(rows_here - (low - begun), rows_there + (high - begun), rows_here, rows_there)
    return transform_length(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Sums over what overlaps at every lag, (row lag, column lag)."""

    product: NDArray[np.float32]
    energy_first: NDArray[np.float32]
    energy_second: NDArray[np.float32]
    common: NDArray[np.float32]
    """Pixels."""

    @classmethod
    def nothing(cls) -> "_Sums":
        none = np.zeros((0, 0), np.float32)
        return cls(product=none, energy_first=none, energy_second=none, common=none)

    def at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> "_Sums":
        chosen = np.ix_(rows, columns)
        return _Sums(
            product=self.product[chosen],
            energy_first=self.energy_first[chosen],
            energy_second=self.energy_second[chosen],
            common=self.common[chosen],
        )


def _correlated(first: StripSpectra, second: StripSpectra) -> _Sums:
    return _Sums(
        product=lagged_products(first.detail, second.detail),
        energy_first=lagged_products(first.energy, second.weight),
        energy_second=lagged_products(first.weight, second.energy),
        common=lagged_products(first.weight, second.weight),
    )


def _strong_energy(first: Strip, second: Strip, scoring: Scoring) -> float:
    """Energy of detail that counts as tissue: that of the richer strip."""
    energies = (float(np.square(strip.detail).mean()) for strip in (first, second))
    return max(*energies, scoring.noise_sigma**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What makes a score of sums for two strips."""

    heights: tuple[int, int]
    shift: NDArray[np.float64]
    """Offset (dy, dx) of lag 0."""
    strong: float
    """Energy of detail that counts as tissue: the strips' own."""
    scoring: Scoring

    @classmethod
    def of(cls, first: Strip, second: Strip, scoring: Scoring) -> "_Rule":
        return cls(
            heights=(first.detail.shape[0], second.detail.shape[0]),
            shift=first.origin - second.origin,
            strong=_strong_energy(first, second, scoring),
            scoring=scoring,
        )

    def surface(
        self, sums: _Sums, lags: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> OffsetSurface:
        energy_first = np.maximum(sums.energy_first, 0)
        energy_second = np.maximum(sums.energy_second, 0)
        common = np.maximum(sums.common, 0)
        floor = self.scoring.noise_sigma**2 * common + 1e-9
        norm = np.sqrt((energy_first + floor) * (energy_second + floor))
        correlation = np.clip(sums.product / norm, 0, 0.999)
        # Cells that hold tissue: energy in units of the strips' own strong detail.
        tissue_px = np.minimum(np.minimum(energy_first, energy_second) / self.strong, common)
        cells = tissue_px / self.scoring.cell_px
        dy, dx = lags
        cells[sum(self.heights) / 2 - np.abs(dy) < self.scoring.least_rows] = 0
        return OffsetSurface(
            score=(-0.5 * cells * np.log1p(-(correlation**2))).astype(np.float32),
            correlation=correlation.astype(np.float32),
            dy_px=dy + int(self.shift[0]),
            dx_px=dx * float(ALONG_REDUCTION) + self.shift[1],
        )
