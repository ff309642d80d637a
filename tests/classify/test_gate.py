import cv2
import numpy as np
import pytest

from blurryscope.basics.image import Rgb
from blurryscope.classify.gate import objection, stack_quality
from blurryscope.dataset.simulated import SimulatedCores, simulated_pictures
from blurryscope.dataset.spoiled import FAULTS
from blurryscope.dataset.views import make_stack
from blurryscope.tma.toy_slides import ToySlide

REASONS = {
    "blank": "hardly any tissue",
    "H&E": "not the colours of haematoxylin and DAB",
    "inverted": "inverted",
    "grey": "no colour",
    "noise of 20 levels": "noise of",
    "only noise": "grain without structure: noise",
    "uniform": "straight edge",
    "out of focus": "out of focus",
    "colour cast": "colour cast",
    "lost blocks": "black: frames were lost",
    "the same strip": "repeats itself",
}
"""Pen ink is told as a straight edge or, where it is broad, as out of focus."""


@pytest.fixture(scope="module")
def stack() -> Rgb:
    """A drawn core as a moving microscope sees it, not refused."""
    wanted = SimulatedCores(core_count=1, scans_per_core=1, pixel_size_um=1.4, seed=2)
    picture = next(iter(simulated_pictures(wanted, workers=1)))
    stack = make_stack(picture.pixels, pixel_size_um=1.4)
    assert objection(stack_quality(stack)) is None
    return stack


@pytest.mark.parametrize("fault", REASONS)
def test_a_spoiled_stack_is_refused_for_what_is_wrong_with_it(stack: Rgb, fault: str) -> None:
    spoiled = FAULTS[fault](stack, np.random.default_rng(0))
    assert spoiled.shape == stack.shape
    assert spoiled.dtype == np.uint8
    assert REASONS[fault] in (objection(stack_quality(spoiled)) or "not refused")


def test_a_pen_stroke_is_refused(stack: Rgb) -> None:
    spoiled = FAULTS["pen ink"](stack, np.random.default_rng(0))
    assert objection(stack_quality(spoiled)) is not None


@pytest.mark.parametrize("pixel_size_um", [0.4, 0.72, 1.4, 3.0])
def test_a_picture_of_a_whole_array_is_refused_as_one(pixel_size_um: float) -> None:
    array = ToySlide(rows=8, columns=10, brown=frozenset({"A1", "C4"}), tilt_deg=3.0).draw()
    quality = stack_quality(make_stack(array, pixel_size_um=pixel_size_um))
    assert 6 <= quality.spots <= 80
    assert objection(quality) == (
        f"a picture of many cores, not of one: {quality.spots} separate round pieces of tissue"
    )


def test_one_core_in_pieces_is_not_taken_for_an_array() -> None:
    shattered = ToySlide(rows=1, columns=1, shattered=frozenset({"A1"}), diameter_px=300.0)
    assert stack_quality(make_stack(shattered.draw(), pixel_size_um=2.0)).spots < 6


def test_a_fine_pattern_is_not_called_noise_alone() -> None:
    stack = np.random.default_rng(0).integers(228, 236, (5, 128, 128, 3), np.uint8)
    stack[:, 20:108:2, 20:108] -= np.array((80, 110, 140), np.uint8)
    assert "noise, or no picture of tissue" in (objection(stack_quality(stack)) or "")


def test_relief_falls_as_the_contrast_does_and_not_with_motion_blur(stack: Rgb) -> None:
    relief = stack_quality(stack).relief
    half = (0.5 * stack + 0.5 * 250).astype(np.uint8)
    assert stack_quality(half).relief == pytest.approx(0.5 * relief, rel=0.25)
    moved = np.stack([cv2.blur(view, (20, 1)) for view in stack])
    assert stack_quality(moved).relief > 0.75 * relief


def test_likeness_is_the_best_correlation_with_itself_moved_by_70_um_or_more() -> None:
    rng = np.random.default_rng(3)
    stack = rng.integers(120, 240, (5, 128, 128, 3), np.uint8)
    stack[1, 40:] = stack[1, :-40]
    best = 0.0
    for view in stack[:-1].min(axis=-1).astype(np.float32):
        flat = view - cv2.blur(view, (31, 31))
        for along in (flat, flat.T):
            for shift in range(24, 65):
                one, other = along[shift:].ravel(), along[:-shift].ravel()
                best = max(best, float(one @ other / np.sqrt((one @ one) * (other @ other))))
    assert 0.4 < best < 0.6
    assert stack_quality(stack).likeness == pytest.approx(best, abs=1e-5)
