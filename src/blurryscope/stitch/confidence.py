"""How far the place of a frame can be believed."""

import numpy as np
from numpy.typing import NDArray

from blurryscope.stitch.links import Links
from blurryscope.stitch.solve import Solution

_BEST_TRUST = 0.5
"""Of a pair of frames that correlates perfectly and agrees with the rest. With it, confidence on
recorded scans is the share of frames within 2 px of the truth (`benchmarks/confidence.py`)."""


def place_confidence(solution: Solution, links: Links) -> NDArray[np.float64]:
    """How likely each placed frame lies right to its neighbours, 0 to 1, (frames,).

    One less the product of the doubts that the frames linked with it leave. Patches of one pair of
    frames share their errors, so a pair counts once, however many of its patches were found again.
    It knows nothing of groups of lanes that no link joins: right to its neighbours is not right to
    the whole slide.
    """
    trajectory = solution.trajectory
    doubt = np.ones(len(trajectory.frames))
    ends = np.stack([trajectory.rows_of(links.earlier), trajectory.rows_of(links.later)])
    pairs, number = np.unique(ends, axis=1, return_inverse=True)
    trust = _BEST_TRUST * links.correlation * solution.weights
    mean = np.bincount(number, trust, pairs.shape[1]) / np.bincount(number)
    for rows in pairs:
        np.multiply.at(doubt, rows, 1 - mean)
    return np.asarray(1 - doubt)
