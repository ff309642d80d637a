from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurryscope.basics.clock import Clock, SystemClock
from blurryscope.basics.errors import BlurryScopeError, InputError, MissingInputError, OutputError
from blurryscope.basics.her2 import Score, score_of_label
from blurryscope.basics.image import is_unscanned, optical_density, to_uint8
from blurryscope.testing import FakeClock, smooth_picture


@pytest.mark.parametrize("kind", [InputError, MissingInputError, OutputError])
def test_an_error_is_one_line_of_place_problem_and_remedy(kind: type[BlurryScopeError]) -> None:
    error = kind("map.csv, row 7", "the score is 5", "Write 0, 1+, 2+ or 3+")
    assert str(error) == "map.csv, row 7: the score is 5. Write 0, 1+, 2+ or 3+."


def test_errors_are_also_the_builtins_that_a_caller_expects() -> None:
    assert issubclass(MissingInputError, FileNotFoundError)
    assert issubclass(InputError, ValueError)
    assert issubclass(OutputError, OSError)


@pytest.mark.parametrize("score", Score)
def test_a_score_is_read_back_from_its_label(score: Score) -> None:
    assert score_of_label(score.label) is score


def test_2_and_3_are_positive() -> None:
    assert [score.is_positive for score in Score] == [False, False, True, True]


@pytest.mark.parametrize("label", ["", "1", "4+", "0+", "neg"])
def test_a_label_that_is_none_of_the_four_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="0, 1"):
        score_of_label(label)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_stored_values_are_the_nearest_ones_and_never_wrap(values: list[float]) -> None:
    wanted = [min(max(round(value), 0), 255) for value in values]
    assert to_uint8(np.array(values)).tolist() == wanted


def test_density_is_0_for_glass_and_1_for_a_tenth_of_its_light() -> None:
    white = np.array([250.0, 240.0, 200.0])
    rgb = np.array([[[250, 240, 200], [25, 24, 20], [255, 255, 255]]], np.uint8)
    density = optical_density(rgb, white)
    np.testing.assert_allclose(density[0], [[0, 0, 0], [1, 1, 1], [0, 0, 0]], atol=1e-6)
    assert density.dtype == np.float32


def test_black_pixels_have_a_density_that_is_not_infinite() -> None:
    assert optical_density(np.zeros((1, 1, 3), np.uint8), np.array(200.0)).max() < 3


def test_only_a_pixel_that_is_0_in_all_channels_is_unscanned() -> None:
    rgb = np.array([[[0, 0, 0], [0, 0, 1], [255, 0, 0]]], np.uint8)
    assert is_unscanned(rgb).tolist() == [[True, False, False]]


def test_the_clock_of_the_machine_does_not_run_backwards() -> None:
    clock: Clock = SystemClock()
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first
    assert clock.utc_now().utcoffset() == timedelta(0)


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock()
    ticking: Clock = clock
    before = ticking.utc_now()
    clock.advance(3600.0)
    assert ticking.monotonic_s() == 3600.0
    assert ticking.utc_now() - before == timedelta(hours=1)


def test_a_smooth_picture_has_its_size_and_no_unscanned_pixel() -> None:
    picture = smooth_picture(np.random.default_rng(0), (37, 53))
    assert picture.shape == (37, 53, 3)
    assert not is_unscanned(picture).any()
