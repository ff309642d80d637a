"""Sets of scores that hold the true one as often as promised: split conformal, class by class.

Fitted on calibration cores, valid for cores drawn like them, whatever the network (Vovk 2005; the
class-conditional, or Mondrian, form). Several scans of one core are not independent, so each core
counts once, its scans sharing its weight (hierarchical form of Lee, Barber and Willett 2023).
"""

import numpy as np
from numpy.typing import NDArray


def class_cutoffs(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    miscoverage: float,
    groups: NDArray[np.str_] | NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """The largest 1 − p at which a class still belongs to the set, for each class.

    Parameters
    ----------
    probabilities
        (row, class), of calibration rows.
    labels
        (row,), class indices.
    miscoverage
        Share of cores whose set may miss the true class, above 0 and below 1.
    groups
        (row,), which core a row belongs to; each row by itself if None.

    Returns
    -------
    (class,). 1 where there are too few calibration cores to promise anything: the class is then in
    every set.
    """
    if not 0.0 < miscoverage < 1.0:
        raise ValueError(f"miscoverage must be above 0 and below 1, got {miscoverage}")
    owners = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    return np.array(
        [
            _cutoff(1.0 - probabilities[labels == of, of], owners[labels == of], miscoverage)
            for of in range(probabilities.shape[1])
        ]
    )


def score_sets(
    probabilities: NDArray[np.float64], cutoffs: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which classes belong to each row's set, (row, class); a set may be empty."""
    kept: NDArray[np.bool_] = 1.0 - probabilities <= cutoffs
    return kept


def _cutoff(misfits: NDArray[np.float64], owners: NDArray[np.intp], miscoverage: float) -> float:
    count = len(np.unique(owners))
    # Of count + 1 cores, the new one among them, a share of 1 − miscoverage must lie within.
    wanted = (1.0 - miscoverage) * (count + 1)
    if wanted > count:
        return 1.0
    rows_of_owner = np.bincount(owners)
    order = np.argsort(misfits, kind="stable")
    reached = np.cumsum(1.0 / rows_of_owner[owners[order]])
    return float(misfits[order][np.searchsorted(reached, wanted - 1e-9)])
