import numpy as np
import pytest
import scipy.sparse

from blurryscope.stitch.normal_matrix import NormalMatrix


@pytest.mark.parametrize("seed", range(3))
def test_a_normal_matrix_is_the_plain_product_for_any_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(30, 9)) * (rng.random((30, 9)) < 0.3)
    rows[np.arange(9), np.arange(9)] = 1.0  # every unknown occurs
    rows[20] = 0.0  # an equation that asks nothing
    rows[21] = rng.normal(size=9)  # and one that asks of all
    matrix = NormalMatrix(scipy.sparse.csr_array(rows))
    for _ in range(2):
        weights = rng.random(30)
        plain = rows.T @ np.diag(weights) @ rows
        assert matrix.weighted(weights).toarray() == pytest.approx(plain, abs=1e-12)
        wanted = rng.normal(size=9)
        assert plain @ matrix.factors(weights).solve(wanted) == pytest.approx(wanted, abs=1e-8)
