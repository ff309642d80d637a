"""Quantiles of many rows of numbers at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantiles(rows: NDArray[np.floating[Any]], fractions: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles of each row, (fraction, row), as `np.quantile` gives them; several times as fast.

    Sorting runs on vectors of numbers at once, which looking for a few of them does not.
    """
    ordered = np.sort(rows, axis=1)
    places = np.asarray(fractions) * (rows.shape[1] - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, rows.shape[1] - 1)
    share = places - below
    return np.asarray((ordered[:, below] * (1 - share) + ordered[:, above] * share).T, np.float64)
