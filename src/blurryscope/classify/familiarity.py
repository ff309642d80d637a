"""How far a core lies from those that a network learnt from, by its pooled features.

Mahalanobis distance to the nearest class's centre (Lee et al. 2018), with one covariance for all
classes. It notices what changes the network's own view of a core; it cannot notice what that view
leaves out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHRINKAGE = 0.1
"""Of the correlations towards none: there are hardly more cores than features."""
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiarity:
    """Where the features of training cores lie."""

    centres: NDArray[np.float32]
    """(class, feature): mean features of each score."""
    spread: NDArray[np.float32]
    """(feature,): standard deviation within a class."""
    whitening: NDArray[np.float32]
    """(feature, feature): takes standardised features to independent ones of unit variance."""

    def __post_init__(self) -> None:
        features = self.spread.shape
        shapes = (self.centres.shape[1:], features, self.whitening.shape)
        if len(features) != 1 or shapes != (features, features, 2 * features):
            raise ValueError(f"centres, spread and whitening must be of as many features: {shapes}")
        arrays = (self.centres, self.spread, self.whitening)
        if not all(np.isfinite(array).all() for array in arrays) or (self.spread <= 0).any():
            raise ValueError("centres, spread and whitening must be numbers, spread above 0")

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(row,) from (row, feature): root mean square in standard deviations; 0 is a centre."""
        apart = features[:, None, :].astype(np.float64) - self.centres
        white = (apart / self.spread) @ self.whitening.astype(np.float64)
        nearest: NDArray[np.float64] = np.sqrt((white**2).mean(axis=2)).min(axis=1)
        return nearest


def fitted_familiarity(
    features: NDArray[np.float32], scores: NDArray[np.int64], classes: int = 4
) -> Familiarity:
    """Fit to the training cores' features, (row, feature), and scores, (row,).

    Every class must occur, since a class without a centre would be unfamiliar as a whole.
    """
    missing = sorted(set(range(classes)) - set(scores.tolist()))
    if missing:
        raise ValueError(f"scores must hold every class, none is {missing[0]}")
    wide = features.astype(np.float64)
    centres = np.stack([wide[scores == of].mean(axis=0) for of in range(classes)])
    within = wide - centres[scores]
    spread = np.maximum(within.std(axis=0), _LEAST_SPREAD)
    standardised = within / spread
    correlation = standardised.T @ standardised / len(standardised)
    steady = (1 - _SHRINKAGE) * correlation + _SHRINKAGE * np.eye(len(correlation))
    variances, directions = np.linalg.eigh(steady)
    return Familiarity(
        centres=centres.astype(np.float32),
        spread=spread.astype(np.float32),
        whitening=(directions / np.sqrt(variances)).astype(np.float32),
    )
