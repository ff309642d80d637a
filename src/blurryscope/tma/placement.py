"""Which node of the lattice is A1: every way to lay the map onto the cores, weighed.

The evidence, in nats of log-likelihood: tissue seen or not seen where the map wants a core, a
free place, or nothing (`presence`); where the array lies in the scan (`scan`); brown stain against
the map's scores (`stain`). Stain may choose among equals and may raise an alarm, but never makes
a placement certain: names that follow the scores could not be used to judge scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from blurryscope.artifacts.slide_map import Presence, SlideMap
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.tma.nodes import NodeTable
from blurryscope.tma.orientation import Orientation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_EXPECTED: dict[Presence, float] = {
    Presence.SCORED: 0.92,
    Presence.UNSCORED: 0.92,
    Presence.NOT_EVALUABLE: 0.6,
    Presence.LOST: 0.1,
    Presence.EMPTY: 0.03,
}
"""Probability of tissue at a place, by what the map says of it."""
_UNLISTED = _EXPECTED[Presence.EMPTY]
_OUTSIDE = 0.02
"""Probability of tissue at a node that is not part of the array: debris."""
_OUT_OF_SCAN = -1.5
"""For each core that would lie outside the scan: people scan the whole array."""
_CENTRE_SPREAD_PITCHES = 2.0
"""How far the middle of an array usually lies from the middle of the scan."""
_LEAST_COVERED = 0.4
"""Placements that leave out more of the cores seen are not worth weighing."""
_MOST_STAIN = 8.0
_STAIN_LEVELS = {Score.ZERO: 0.0, Score.ONE: 0.1, Score.TWO: 0.45, Score.THREE: 1.0}
"""Brown stain by score, relative to 3+: only the order and rough distances matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One way to lay the map onto the lattice."""

    orientation: Orientation
    top: int
    """Row of the node table at which the laid map's first row lies; `left` likewise."""
    left: int
    presence: float
    scan: float
    stain: float

    @property
    def score(self) -> float:
        return self.presence + self.scan + self.stain

    @property
    def score_without_stain(self) -> float:
        return self.presence + self.scan


def all_placements(
    seen: NodeTable, slide_map: SlideMap, orientations: tuple[Orientation, ...]
) -> list[Placement]:
    """Weigh every offset and orientation that covers a good part of the cores; best first."""
    placements = [
        placement
        for orientation in orientations
        for placement in _placements_of(seen, _LaidMap.of(slide_map, orientation))
    ]
    return sorted(placements, key=lambda placement: -placement.score)


def names_of_nodes(
    placement: Placement, rows: int, columns: int
) -> dict[CoreName, tuple[int, int]]:
    """The (row, column) of the node table at which each place of the map lies."""
    indices = np.arange(rows * columns).reshape(rows, columns)
    laid = placement.orientation.laid(indices)
    return {
        CoreName(int(index) // columns, int(index) % columns): (
            placement.top + row,
            placement.left + column,
        )
        for row, line in enumerate(laid)
        for column, index in enumerate(line)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _LaidMap:
    """The map as the scan would show it."""

    orientation: Orientation
    expected: Floats
    """Probability of tissue."""
    is_wanted: Bools
    stain: Floats
    """Relative stain by the map's score; NaN without a score."""

    @classmethod
    def of(cls, slide_map: SlideMap, orientation: Orientation) -> "_LaidMap":
        expected = np.full((slide_map.rows, slide_map.columns), _UNLISTED)
        is_wanted = np.zeros(expected.shape, bool)
        stain = np.full(expected.shape, np.nan)
        for name, entry in slide_map.entries.items():
            expected[name.row, name.column] = _EXPECTED[entry.presence]
            is_wanted[name.row, name.column] = entry.presence.expects_tissue
            if entry.score is not None:
                stain[name.row, name.column] = _STAIN_LEVELS[entry.score]
        return cls(
            orientation=orientation,
            expected=np.asarray(orientation.laid(expected), np.float64),
            is_wanted=np.asarray(orientation.laid(is_wanted), bool),
            stain=np.asarray(orientation.laid(stain), np.float64),
        )


def _placements_of(seen: NodeTable, laid: _LaidMap) -> Iterator[Placement]:
    """Every offset at once: sums over windows are correlations of tables."""
    if np.any(np.array(laid.expected.shape) > seen.tissue.shape):
        return
    cores = np.maximum(seen.tissue, 0.0)
    covered = _window_sums(cores, np.ones(laid.expected.shape))
    presence = _presence_evidence(seen.tissue, laid.expected)
    scan = _scan_evidence(seen, laid)
    stain = _stain_evidence(seen.brown, laid.stain)
    for top, left in zip(*np.nonzero(covered >= _LEAST_COVERED * cores.sum()), strict=True):
        yield Placement(
            orientation=laid.orientation,
            top=int(top),
            left=int(left),
            presence=float(presence[top, left]),
            scan=float(scan[top, left]),
            stain=float(stain[top, left]),
        )


def _window_sums(table: Floats, weights: Floats) -> Floats:
    """At every offset of `weights` within `table` the sum of their products.

    Rounded far below what matters, so that placements that are equally likely come out equal.
    """
    around = irfft2(rfft2(table) * np.conj(rfft2(weights, table.shape)), table.shape)
    within = tuple(slice(n - m + 1) for n, m in zip(table.shape, weights.shape, strict=True))
    return np.asarray(np.round(around[within], 7), np.float64)


def _presence_evidence(tissue: Floats, expected: Floats) -> Floats:
    """At every offset, against calling everything seen debris."""
    outside = _log_likelihood(_OUTSIDE, tissue)
    gains = [
        _window_sums(_log_likelihood(level, tissue) - outside, (expected == level).astype(float))
        for level in np.unique(expected)
    ]
    return np.asarray(np.sum(gains, axis=0))


def _log_likelihood(probability: float, ratio: Floats) -> Floats:
    """Of what was seen, against no tissue, if tissue has this probability."""
    return np.asarray(np.log(probability * np.exp(ratio) + 1.0 - probability))


def _scan_evidence(seen: NodeTable, laid: _LaidMap) -> Floats:
    cut_off = _window_sums((~seen.in_scan).astype(float), laid.is_wanted.astype(float))
    shape = np.array(laid.expected.shape)
    corners = np.moveaxis(np.indices(cut_off.shape), 0, -1)
    away = corners + (shape - 1) / 2 - np.array(seen.middle_of_scan)
    return np.asarray(
        _OUT_OF_SCAN * cut_off - 0.5 * ((away / _CENTRE_SPREAD_PITCHES) ** 2).sum(axis=-1)
    )


def _stain_evidence(brown: Floats, wanted: Floats) -> Floats:
    """Profile likelihood of a straight line from score to stain, against no relation.

    Halved and capped, since stain differs within a score and the line is a guess.
    """
    is_seen, is_wanted = np.isfinite(brown).astype(float), np.isfinite(wanted).astype(float)
    seen, level = np.nan_to_num(brown), np.nan_to_num(wanted)
    count = np.rint(_window_sums(is_seen, is_wanted))
    seen_sum, level_sum = _window_sums(seen, is_wanted), _window_sums(is_seen, level)
    covariance = count * _window_sums(seen, level) - seen_sum * level_sum
    spread = (count * _window_sums(seen**2, is_wanted) - seen_sum**2) * (
        count * _window_sums(is_seen, level**2) - level_sum**2
    )
    tells = (count >= 4) & (spread > 1e-6) & (covariance > 0)
    correlation = np.where(tells, covariance / np.sqrt(np.where(tells, spread, 1.0)), 0.0)
    gain = -0.5 * count * np.log(1.0 - np.minimum(correlation, 0.999) ** 2)
    return np.asarray(np.minimum(0.5 * gain, _MOST_STAIN))
