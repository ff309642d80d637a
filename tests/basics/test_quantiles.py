import numpy as np
import pytest
from numpy.typing import DTypeLike

from blurryscope.basics.quantiles import quantiles


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 7, 4800])
def test_quantiles_by_sorting_are_the_plain_ones(count: int, dtype: DTypeLike) -> None:
    rows = np.random.default_rng(83).normal(size=(3, count)).astype(dtype)
    plain = np.percentile(rows.astype(np.float64), [90, 50], axis=1)
    assert quantiles(rows, (0.9, 0.5)) == pytest.approx(plain, abs=1e-6)
