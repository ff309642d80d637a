"""The lattice of an array: whole-number coordinates for spots, and where any node lies.

Grown from neighbour to neighbour, so that a tilted, sheared or gently bent array keeps its count;
then a smooth map from node to picture. Node coordinates are (column step, row step) from a spot
somewhere inside; which of them is A1 is the business of `placement`.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_TILT_DEG = 25.0
"""Rows within this of x, columns within this of y: a scan is turned by no more."""
_MATCH_PITCHES = 0.34
"""A spot belongs to a node when it lies within this share of the pitch."""
_NEAR_STEPS = 3
"""Nodes up to this many steps away tell how the lattice runs locally."""
_PRIOR_WEIGHT = 3.0
"""What the overall vectors weigh against local neighbours, in neighbours one step away."""
_LEAST_PATCH = 4
"""Spots that make a block of their own; fewer are debris."""
_MOST_PATCHES = 12
_MOST_VAIN_TRIES = 8
"""What grows is no block of its own so many times, twice as often as on any slide seen: the rest is
debris, of which there may be thousands of pieces."""
_STEPS = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]
_LONG_STEPS = [(2, 0), (-2, 0), (0, 2), (0, -2), (3, 0), (-3, 0), (0, 3), (0, -3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeVectors:
    """From a core to its right-hand neighbour, and to the one below; pixels, (x, y)."""

    along_row: Floats
    down_column: Floats

    @property
    def matrix(self) -> Floats:
        """(2, 2): node coordinates as a row vector times this gives pixels."""
        return np.stack([self.along_row, self.down_column])

    @property
    def pitch_px(self) -> float:
        """The smaller of both distances."""
        return float(min(np.hypot(*self.along_row), np.hypot(*self.down_column)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Spots that found a node."""

    spots: Ints
    """(n,) which spots."""
    nodes: Ints
    """(n, 2) their node coordinates, (column step, row step)."""


def lattice_vectors(xy: Floats, weights: Floats, diameter_px: float) -> list[LatticeVectors]:
    """The likeliest pairs of vectors, from the differences between neighbouring spots.

    For a single row or column the vector that no pair of spots shows is the other one turned by
    90 degrees; for a single spot both have 1.6 diameters.
    """
    rows = _modes(xy, weights, diameter_px, turned=False)
    columns = _modes(xy, weights, diameter_px, turned=True)
    if not rows and not columns:
        rows = [np.array([1.6 * diameter_px, 0.0])]
    rows = rows or [np.array([y, -x]) for x, y in columns]
    columns = columns or [np.array([-y, x]) for x, y in rows]
    pairs = [(row, column) for row in rows for column in columns if _fit_together(row, column)]
    pairs = pairs or [(rows[0], np.array([-rows[0][1], rows[0][0]]))]
    return [LatticeVectors(along_row=row, down_column=column) for row, column in pairs]


def _fit_together(row: Floats, column: Floats) -> bool:
    """Nearly at right angles, and of pitches that differ less than twofold."""
    lengths = float(np.hypot(*row)), float(np.hypot(*column))
    cosine = float(row @ column) / (lengths[0] * lengths[1])
    return abs(cosine) < 0.2 and max(lengths) < 2.2 * min(lengths)


def _modes(xy: Floats, weights: Floats, diameter_px: float, *, turned: bool) -> list[Floats]:
    """Most frequent differences near the x axis (or y, if `turned`), shortest first, at most 3."""
    differences, weight = _differences(xy, weights, diameter_px, turned=turned)
    if not len(differences):
        return []
    cell = diameter_px / 8
    reach = int(np.ceil(5.0 * diameter_px / cell)) + 2
    histogram = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    at = np.rint(differences / cell).astype(int) + reach
    np.add.at(histogram, (at[:, 1], at[:, 0]), weight)
    density = cv2.GaussianBlur(histogram, (0, 0), 0.16 * diameter_px / cell)
    around = cv2.dilate(density, np.ones((9, 9), np.uint8))
    rows, columns = np.nonzero((density >= around) & (density > 0.45 * density.max()))
    peaks = np.stack([columns, rows], axis=1) * cell - reach * cell
    refined = [_mean_shifted(peak, differences, weight, 0.25 * diameter_px) for peak in peaks]
    return sorted(refined, key=lambda vector: float(np.hypot(*vector)))[:3]


def _differences(
    xy: Floats, weights: Floats, diameter_px: float, *, turned: bool
) -> tuple[Floats, Floats]:
    difference = (xy[None] - xy[:, None]).reshape(-1, 2)
    weight = np.minimum(weights[None], weights[:, None]).reshape(-1)
    along, across = (difference[:, 1], difference[:, 0]) if turned else difference.T
    slope = np.tan(np.deg2rad(_MOST_TILT_DEG))
    length = np.hypot(along, across)
    keep = (along > 0) & (np.abs(across) <= slope * along)
    keep &= (length > 0.9 * diameter_px) & (length < 5.0 * diameter_px)
    return difference[keep], weight[keep]


def _mean_shifted(start: Floats, points: Floats, weight: Floats, reach_px: float) -> Floats:
    centre = start.astype(np.float64)
    for _ in range(5):
        near = weight * (np.hypot(*(points - centre).T) < reach_px)
        if near.sum() > 0:
            centre = (near[:, None] * points).sum(axis=0) / near.sum()
    return centre


def grow(xy: Floats, weights: Floats, vectors: LatticeVectors) -> Growth:
    """Give spots their nodes, outward from the one with the best neighbours.

    Each step goes to the node with the smallest residual first, and where it leads is predicted
    from the nodes already known around, so errors do not add up.
    """
    grown = _Growing(xy, weights, vectors)
    grown.accept(_best_seed(xy, weights, vectors), (0, 0))
    grown.go_on()
    while grown.leap():
        grown.go_on()
    nodes = grown.node_of_spot
    spots = np.array(sorted(nodes), np.int64)
    return Growth(spots=spots, nodes=np.array([nodes[spot] for spot in spots], np.int64))


class _Growing:
    """Spots with nodes so far, and steps that could be taken next."""

    def __init__(self, xy: Floats, weights: Floats, vectors: LatticeVectors) -> None:
        self._xy, self._weights, self._vectors = xy, weights, vectors
        self.node_of_spot: dict[int, tuple[int, int]] = {}
        self._taken: dict[tuple[int, int], int] = {}
        self._queue: list[tuple[float, int, int, int]] = []

    def accept(self, spot: int, node: tuple[int, int]) -> None:
        self.node_of_spot[spot] = node
        self._taken[node] = spot
        self._look_around(node, _STEPS)

    def go_on(self) -> None:
        """Take steps, the surest first, until there is none left."""
        while self._queue:
            _, spot, column, row = heapq.heappop(self._queue)
            if spot in self.node_of_spot:
                continue
            again = self._spot_for((column, row))  # more is known by now
            if again is not None and again[0] not in self.node_of_spot:
                self.accept(again[0], (column, row))

    def leap(self) -> bool:
        """Look further, across gaps; only where nothing nearer is left. Whether that helps."""
        for node in list(self._taken):
            self._look_around(node, _LONG_STEPS)
        return bool(self._queue)

    def _look_around(self, node: tuple[int, int], steps: list[tuple[int, int]]) -> None:
        for step in steps:
            target = (node[0] + step[0], node[1] + step[1])
            found = self._spot_for(target)
            if found is not None:
                heapq.heappush(self._queue, (found[1], found[0], *target))

    def _spot_for(self, node: tuple[int, int]) -> tuple[int, float] | None:
        return _spot_for(node, self._xy, self._weights, self._taken, self._vectors)


def _best_seed(xy: Floats, weights: Floats, vectors: LatticeVectors) -> int:
    """The spot with the most weight at its four neighbouring places."""
    support = weights.copy()
    for vector in (*vectors.matrix, *-vectors.matrix):
        distance = np.hypot(*(xy[:, None] + vector - xy[None]).transpose(2, 0, 1))
        near = distance < _MATCH_PITCHES * vectors.pitch_px
        support += np.where(near, weights[None], 0.0).max(axis=1)
    return int(np.argmax(support))


def _spot_for(
    node: tuple[int, int],
    xy: Floats,
    weights: Floats,
    taken: dict[tuple[int, int], int],
    vectors: LatticeVectors,
) -> tuple[int, float] | None:
    """The free spot that fits a node best, and its residual in pitches."""
    if node in taken:
        return None
    expected = _predicted(node, xy, taken, vectors)
    distance = np.hypot(*(xy - expected).T) / vectors.pitch_px
    near = np.flatnonzero(distance < _MATCH_PITCHES)
    used = set(taken.values()) if len(near) else set()
    candidates = np.array([spot for spot in near if spot not in used], np.int64)
    if not len(candidates):
        return None
    # Of several pieces in one place the larger counts more than the nearer.
    best = candidates[np.argmin(distance[candidates] - 0.3 * weights[candidates])]
    return int(best), float(distance[best])


def _predicted(
    node: tuple[int, int], xy: Floats, taken: dict[tuple[int, int], int], vectors: LatticeVectors
) -> Floats:
    """Where a node lies by its known neighbours: an affine fit, held by the overall vectors."""
    around = range(-_NEAR_STEPS, _NEAR_STEPS + 1)
    steps = [(i, j) for i in around for j in around if (node[0] + i, node[1] + j) in taken]
    spots = [taken[node[0] + i, node[1] + j] for i, j in steps]
    offsets = np.array(steps, np.float64)
    residuals = xy[spots] - offsets @ vectors.matrix
    weight = 1.0 / (0.5 + (offsets**2).sum(axis=1))
    design = np.concatenate([np.ones((len(steps), 1)), offsets], axis=1)
    normal = (design * weight[:, None]).T @ design + np.diag([0.0, _PRIOR_WEIGHT, _PRIOR_WEIGHT])
    right = (design * weight[:, None]).T @ residuals
    return np.asarray(np.linalg.solve(normal, right)[0])


class NodeMap:
    """Where any node lies in the picture: an affine map plus a smooth, bounded bend."""

    def __init__(self, affine: Floats, bend: RBFInterpolator | None, known: Floats) -> None:
        self._affine = affine
        self._bend = bend
        self._known = known

    @classmethod
    def fit(cls, nodes: Ints, xy: Floats, vectors: LatticeVectors) -> Self:
        """Fit spots at their nodes; few spots or a single row lean on `vectors`."""
        known = nodes.astype(np.float64)
        design = np.concatenate([np.ones((len(known), 1)), known], axis=1)
        centred = design - np.array([0.0, *known.mean(axis=0)])
        residuals = xy - known @ vectors.matrix
        normal = centred.T @ centred + np.diag([0.0, 0.05, 0.05])
        fitted = np.linalg.solve(normal, centred.T @ residuals)
        fitted[0] -= known.mean(axis=0) @ fitted[1:]
        fitted[1:] += vectors.matrix
        left = xy - design @ fitted
        spread = np.ptp(known, axis=0)
        if len(known) < 12 or spread.min() < 2:
            return cls(fitted, None, known)
        # The smoothing makes single cores, which jitter, count little against their neighbours.
        bend = RBFInterpolator(known, left, smoothing=5.0, kernel="thin_plate_spline", degree=1)
        return cls(fitted, bend, known)

    def __call__(self, nodes: NDArray[np.integer] | Floats) -> Floats:
        """(n, 2) nodes, (column step, row step), to (n, 2) pixels, (x, y)."""
        wanted = np.asarray(nodes, np.float64).reshape(-1, 2)
        place: Floats = self._affine[0] + wanted @ self._affine[1:]
        if self._bend is None or not len(wanted):
            return place
        # Beyond the outermost spots the bend stays what it is there: a spline would run away.
        inside = np.clip(wanted, self._known.min(axis=0) - 1, self._known.max(axis=0) + 1)
        return np.asarray(place + self._bend(inside))

    def inverse(self, xy: Floats) -> Floats:
        """(n, 2) pixels to node coordinates, not whole: Newton with the affine part as slope."""
        slope = np.linalg.inv(self.vectors.matrix)
        guess = (xy - self(np.zeros((1, 2)))) @ slope
        for _ in range(4):
            guess = guess + (xy - self(guess)) @ slope
        return np.asarray(guess)

    @property
    def vectors(self) -> LatticeVectors:
        return LatticeVectors(along_row=self._affine[1], down_column=self._affine[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """The lattice that explains the spots best."""

    nodes: NodeMap
    growth: Growth
    patches: tuple[Growth, ...] = ()
    """What grew apart from it, beyond gaps that are no whole number of pitches; in the same count
    of nodes, rounded."""

    @property
    def tilt_deg(self) -> float:
        """Of the rows against x; positive turns from x towards y."""
        x, y = self.nodes.vectors.along_row
        return float(np.degrees(np.arctan2(y, x)))

    @property
    def joined(self) -> Growth:
        """The growth and its patches as one."""
        every = [self.growth, *self.patches]
        spots = np.concatenate([growth.spots for growth in every])
        spots, first = np.unique(spots, return_index=True)
        return Growth(spots=spots, nodes=np.concatenate([g.nodes for g in every])[first])


def fit_lattice(xy: Floats, weights: Floats, diameter_px: float) -> Lattice:
    """Fit a lattice to (n, 2) spots with weights; the coarsest that explains nearly the most."""
    trials = []
    for vectors in lattice_vectors(xy, weights, diameter_px):
        patches = grown_patches(xy, weights, vectors)
        explained = float(sum(weights[patch.spots].sum() for patch in patches))
        trials.append((explained, vectors, patches))
        if explained > 0.93 * weights.sum() and _filled(patches) > 0.5:
            break
    best = max(trial[0] for trial in trials)
    good = [trial for trial in trials if trial[0] >= 0.93 * best]
    # A lattice twice too fine explains everything as well, with half of its nodes empty.
    _, vectors, (growth, *patches) = max(good, key=lambda trial: _filled(trial[2]) * trial[0])
    nodes = NodeMap.fit(growth.nodes, xy[growth.spots], vectors)
    for _ in range(2):
        growth = _matched(nodes, xy, weights)
        nodes = NodeMap.fit(growth.nodes, xy[growth.spots], nodes.vectors)
    return Lattice(nodes=nodes, growth=growth, patches=tuple(patches))


def grown_patches(xy: Floats, weights: Floats, vectors: LatticeVectors) -> list[Growth]:
    """Grow from the best seed, then beside it from what was not reached, as long as that helps."""
    patches = [grow(xy, weights, vectors)]
    rest = np.setdiff1d(np.arange(len(xy)), patches[0].spots)
    tries_left = _MOST_VAIN_TRIES
    while len(rest) >= _LEAST_PATCH and len(patches) < _MOST_PATCHES and tries_left:
        grown = grow(xy[rest], weights[rest], vectors)
        patch = Growth(spots=rest[grown.spots], nodes=grown.nodes)
        rest = np.setdiff1d(rest, patch.spots)
        if len(patch.spots) >= _LEAST_PATCH:
            patch = _counted_on(patches, patch, xy, vectors)
            if _lies_beside(patch, patches):
                patches.append(patch)
                continue
        tries_left -= 1
    return sorted(patches, key=lambda patch: -len(patch.spots))


def _counted_on(
    patches: list[Growth], patch: Growth, xy: Floats, vectors: LatticeVectors
) -> Growth:
    """The patch in the count of its nearest neighbours, rounded to whole nodes."""
    known = np.concatenate([each.spots for each in patches])
    nodes = np.concatenate([each.nodes for each in patches])
    away = xy[patch.spots][:, None] - xy[known][None]
    nearest = np.argmin((away**2).sum(axis=-1), axis=1)
    each = np.arange(len(nearest))
    steps = away[each, nearest] @ np.linalg.inv(vectors.matrix)
    close = np.argsort((steps**2).sum(axis=1))[: max(len(steps) // 3, 3)]
    offset = np.median((nodes[nearest] + steps - patch.nodes)[close], axis=0)
    return Growth(spots=patch.spots, nodes=patch.nodes + np.rint(offset).astype(np.int64))


def _lies_beside(patch: Growth, others: list[Growth]) -> bool:
    """Whether no other lies in the same rows and columns: such a one is a count gone wrong."""
    for other in others:
        least = np.maximum(patch.nodes.min(axis=0), other.nodes.min(axis=0))
        most = np.minimum(patch.nodes.max(axis=0), other.nodes.max(axis=0))
        if (most - least >= 0).all():
            return False
    return True


def _filled(patches: Sequence[Growth]) -> float:
    area = sum(float((np.ptp(patch.nodes, axis=0) + 1).prod()) for patch in patches)
    return sum(len(patch.spots) for patch in patches) / area


def _matched(nodes: NodeMap, xy: Floats, weights: Floats) -> Growth:
    """All spots that lie close to a node of the map, one for each node: the better of two."""
    vectors = nodes.vectors
    guess = np.rint(nodes.inverse(xy)).astype(np.int64)
    distance = np.hypot(*(xy - nodes(guess)).T) / vectors.pitch_px
    cost = distance - 0.3 * weights
    best: dict[tuple[int, int], int] = {}
    for spot in np.flatnonzero(distance < _MATCH_PITCHES):
        node = (int(guess[spot, 0]), int(guess[spot, 1]))
        if node not in best or cost[spot] < cost[best[node]]:
            best[node] = int(spot)
    spots = np.array(sorted(best.values()), np.int64)
    return Growth(spots=spots, nodes=guess[spots])
