"""What is fixed on calibration cores and never on test cores: temperature and threshold."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from blurryscope.classify.networks import class_probabilities

_LOG_TEMPERATURE_BOUNDS = (-2.5, 2.5)


def fitted_temperature(cumulative_logits: NDArray[np.float32], scores: NDArray[np.int64]) -> float:
    """The divisor of the log-odds, (core, 3), that makes the labels most likely."""
    logits = torch.from_numpy(cumulative_logits).double()
    labels = torch.from_numpy(scores)

    def loss(log_temperature: float) -> float:
        probabilities = class_probabilities(logits / float(np.exp(log_temperature)))
        picked = probabilities.gather(1, labels[:, None])
        return float(-picked.log().mean())

    best = minimize_scalar(loss, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(best.x))


def threshold_withholding(share: float, confidences: NDArray[np.float64]) -> float:
    """The confidence below which `share` of the calibration cores lie, 0 to 1."""
    if not 0.0 <= share < 1.0:
        raise ValueError(f"share must be 0 to below 1, got {share}")
    return float(np.quantile(confidences, share))
