"""What is fixed on calibration cores and never on test cores: temperature and threshold."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

LEAST_CALIBRATION_CORES = 20
"""Fewer tell nothing of a temperature: of five cores drawn from 48, one time in four they ask for
one below 0.3, which makes every answer look certain."""
_LOG_TEMPERATURE_BOUNDS = (-2.5, 2.5)


def fitted_temperature(
    raw: NDArray[np.float32],
    classes: NDArray[np.int64],
    log_probabilities: Callable[[Tensor], Tensor],
) -> float:
    """The divisor of a network's log-odds, (core, …), that makes the labels most likely.

    `log_probabilities` takes log-odds to (core, class).
    """
    logits = torch.from_numpy(raw).double()
    labels = torch.from_numpy(classes)

    def loss(log_temperature: float) -> float:
        told = log_probabilities(logits / float(np.exp(log_temperature)))
        return float(-told.gather(1, labels[:, None]).mean())

    best = minimize_scalar(loss, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(best.x))


def threshold_withholding(share: float, confidences: NDArray[np.float64]) -> float:
    """The confidence below which `share` of the calibration cores lie, 0 to 1."""
    if not 0.0 <= share < 1.0:
        raise ValueError(f"share must be 0 to below 1, got {share}")
    return float(np.quantile(confidences, share))
