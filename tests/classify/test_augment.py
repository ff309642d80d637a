"""Augmented stacks stay stacks; the paper's forms do what they should, ours keep the blur."""

import pytest
import torch
from torch import Generator

from blurryscope.classify.augment import (
    AUGMENTATIONS,
    _erased,
    keeping_the_blur,
    paper_four_class,
    paper_two_class,
    some_views,
)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_stacks_stay_stacks_and_the_input_is_not_changed(name: str) -> None:
    stack = 255 * torch.rand(5, 3, 16, 16)
    before = stack.clone()
    for seed in range(20):
        changed = AUGMENTATIONS[name](stack, _generator(seed))
        assert changed.shape == stack.shape
        assert 0 <= changed.min() <= changed.max() <= 255
        torch.testing.assert_close(changed, AUGMENTATIONS[name](stack, _generator(seed)))
    torch.testing.assert_close(stack, before)


def test_for_two_classes_all_views_are_turned_alike() -> None:
    stack = (255 * torch.rand(1, 3, 32, 32)).expand(5, 3, 32, 32)
    for seed in range(10):
        changed = paper_two_class(stack, _generator(seed))
        assert (changed == changed[:1]).all()


def test_for_four_classes_each_view_is_changed_by_itself() -> None:
    stack = (255 * torch.rand(1, 3, 32, 32)).expand(5, 3, 32, 32)
    changed = paper_four_class(stack, _generator(0))
    assert (changed != changed[:1]).any()


def test_half_of_the_views_lose_a_box_of_at_most_a_third() -> None:
    white = torch.full((3, 64, 64), 200.0)
    black = [float((_erased(white, _generator(seed)) == 0).float().mean()) for seed in range(300)]
    boxes = [share for share in black if share > 0]
    assert len(boxes) / len(black) == pytest.approx(0.5, abs=0.1)
    assert 0.01 < min(boxes) < 0.1 < max(boxes) < 0.34


def test_blur_stays_along_x() -> None:
    rows = torch.rand(5, 3, 16, 1).expand(5, 3, 16, 16)  # nothing changes along x
    for seed in range(10):
        changed = keeping_the_blur(rows, _generator(seed))
        assert (changed == changed[..., :1]).all()


def test_three_to_all_views_are_left_and_are_the_same_for_all_cores() -> None:
    numbers = torch.arange(5.0).expand(4, 5)
    counts = set()
    for seed in range(40):
        left = some_views(numbers, _generator(seed))
        counts.add(left.shape[1])
        assert (left == left[:1]).all()
        assert len(set(left[0].tolist())) == left.shape[1]
    assert counts == {3, 4, 5}


def _generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)
