"""Specks of dirt in a stack that comes as a file decide no score."""

import numpy as np
import pytest

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.classify.clean_views import without_dirt_in_views

SIDE = 128
GLASS = 236


@pytest.fixture
def stack() -> Rgb:
    """Five views of pale tissue with glass around it."""
    rng = np.random.default_rng(11)
    views = GLASS - 12 * rng.random((5, SIDE, SIDE, 1)) * np.array([1.0, 0.9, 0.6])
    views[:, :, :12] = GLASS
    return to_uint8(views)


def test_a_clean_stack_stays_as_it_is(stack: Rgb) -> None:
    np.testing.assert_array_equal(without_dirt_in_views(stack), stack)


@pytest.mark.parametrize("view", [2, 4], ids=["crop", "overview"])
def test_a_speck_is_taken_out_of_the_view_that_shows_it(stack: Rgb, view: int) -> None:
    dirty = stack.copy()
    dirty[view, 40:46, 60:66] = 70
    clean = without_dirt_in_views(dirty)
    assert clean[view].min() >= stack[view].min()
    assert (clean != dirty)[view].any(axis=2).mean() < 0.05
    others = [number for number in range(5) if number != view]
    np.testing.assert_array_equal(clean[others], stack[others])


def test_strong_brown_in_one_crop_is_no_dirt(stack: Rgb) -> None:
    stained = stack.copy()
    stained[1, 30:60, 30:60] = (150, 110, 80)
    np.testing.assert_array_equal(without_dirt_in_views(stained), stained)
