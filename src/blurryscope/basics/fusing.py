"""Several answers about one core become one: the mean of their log-probabilities, normed."""

import numpy as np
from numpy.typing import NDArray

_SMALLEST_PROBABILITY = 1e-6
"""An answer that holds a class for impossible must not outweigh all others."""


def log_average(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(class,), which sums to 1, from (answer, class). One answer by itself stays as it is."""
    if len(answers) == 1:
        only: NDArray[np.float64] = answers[0]
        return only
    means = np.log(np.maximum(answers, _SMALLEST_PROBABILITY)).mean(axis=0)
    weights = np.exp(means - means.max())
    fused: NDArray[np.float64] = weights / weights.sum()
    return fused
