"""Batches put together from a packed set are the stacks that come one by one."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import drawn_views, reduced_views
from blurryscope.basics.image import Rgb
from blurryscope.classify.batches import EpochBatches, Lessons, loader_of
from blurryscope.classify.kept_views import KeptViews
from blurryscope.classify.training_config import DataConfig
from tests.classify.stacks_by_score import StacksByScore

_CPU = torch.device("cpu")


class PackedByScore(StacksByScore):
    """The same cores with seven views of each kept, twice as wide as they are learnt from."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_views = np.stack(
            [
                np.concatenate([self._seen(n, seed)[:3] for seed in (1, 3)] + [self._seen(n)[4:]])
                for n in range(len(self.samples))
            ]
        )

    def _seen(self, index: int, seed: int | None = None) -> Rgb:
        rng = None if seed is None else np.random.default_rng(seed)
        return super().stack(index, 32, rng)

    def stack(self, index: int, view_px: int, rng: np.random.Generator | None = None) -> Rgb:
        assert self.kept_views is not None
        picked = self.kept_views[index][drawn_views(7, rng)]
        return np.asarray(reduced_views(picked[None], 32 // view_px)[0])


@pytest.mark.parametrize("augmentation", ["colour", "stain"])
@pytest.mark.parametrize("crops", ["drawn", "fixed"])
def test_a_batch_put_together_is_the_same_as_one_by_one(
    augmentation: Literal["colour", "stain"], crops: Literal["drawn", "fixed"]
) -> None:
    data = PackedByScore()
    config = DataConfig(
        set=Path(), augmentation=augmentation, crops=crops, balance="loss", stacks_per_epoch=None
    )
    lessons = Lessons(data, config, classes=4, view_px=16, seed=2)
    assert data.kept_views is not None
    kept = KeptViews(data.kept_views, 16, _CPU)
    plain = loader_of(lessons, EpochBatches(lessons, 8, 0, 1), 0)
    fast = loader_of(lessons, EpochBatches(lessons, 8, 0, 1), 0, kept)
    batches = list(zip(plain, fast, strict=True))
    assert len(batches) == len(data.part(Part.TRAIN)) // 8
    for one_by_one, at_once in batches:
        torch.testing.assert_close(one_by_one.stacks, at_once.stacks)
        assert one_by_one.classes.tolist() == at_once.classes.tolist()
        torch.testing.assert_close(one_by_one.weights.float(), at_once.weights)


def test_views_of_a_size_that_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="view_px must divide 32, got 64"):
        KeptViews(np.zeros((1, 5, 32, 32, 3), np.uint8), 64, _CPU)
