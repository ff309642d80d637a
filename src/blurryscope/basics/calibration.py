"""Putting the sharpness of probabilities right with one number, the temperature.

Dividing log-probabilities by it and norming again is what dividing a network's logits does (Guo et
al. 2017), so it works on any table of probabilities, whatever made them.
"""

import numpy as np
from numpy.typing import NDArray

_SMALLEST_PROBABILITY = 1e-12
_LOG_SHARPNESS_BOUNDS = (-3.0, 3.0)
_HALVINGS = 40


def tempered(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(row, class) made blunter by a temperature above 1, sharper below; rows sum to 1."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    return _normed(_logs(probabilities) / temperature)


def fitted_temperature(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature at which the labels, (row,), are most likely; between 0.05 and 20.

    The log-likelihood is concave in its inverse, so halving the interval finds the one best.
    """
    if len(labels) == 0:
        raise ValueError("labels must not be empty")
    logs = _logs(probabilities)
    of_label = logs[np.arange(len(labels)), labels].mean()
    low, high = _LOG_SHARPNESS_BOUNDS
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (_normed(logs * np.exp(middle)) * logs).sum(axis=1).mean()
        low, high = (middle, high) if expected < of_label else (low, middle)
    return float(np.exp(-(low + high) / 2))


def _logs(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(probabilities, _SMALLEST_PROBABILITY))
    return logs


def _normed(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    normed: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normed
