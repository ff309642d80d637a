"""The mean of log-probabilities, against cases worked by hand."""

import numpy as np
import pytest

from blurryscope.basics.fusing import log_average


def test_the_geometric_mean_is_normed() -> None:
    fused = log_average(np.array([[0.8, 0.2], [0.2, 0.8], [0.8, 0.2]]))
    assert fused[0] / fused[1] == pytest.approx(4 ** (1 / 3))
    assert fused.sum() == pytest.approx(1.0)


def test_one_answer_stays_as_it_is() -> None:
    np.testing.assert_array_equal(log_average(np.array([[1.0, 0.0]])), [1.0, 0.0])


def test_one_answer_that_rules_a_class_out_does_not_outweigh_all_others() -> None:
    sure_of_the_first = [[0.999999, 0.000001]] * 3
    assert log_average(np.array([*sure_of_the_first, [0.0, 1.0]]))[0] > 0.99
