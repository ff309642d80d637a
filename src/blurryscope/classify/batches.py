"""Which stacks come when, and how each is changed: all of it follows from seed, epoch and place.

Nothing here remembers anything, so a run that was killed goes on as if it had not been, and two
processes see between them what one would.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import LabelledStacks, drawn_views, scores_of
from blurryscope.classify.augment import AUGMENTATIONS, CHANGES, apply_change
from blurryscope.classify.kept_views import KeptViews
from blurryscope.classify.learners import as_views
from blurryscope.classify.training_config import DataConfig

_ORDER, _STACK, _STEP = range(3)
"""What a draw is for; keeps the streams of random numbers apart."""


class Batch(NamedTuple):
    """What a process works on at once."""

    stacks: Tensor
    """(stack, view, rgb, row, col) float32 in 0..255"""
    classes: Tensor
    weights: Tensor
    """(stack,): how much each counts; 1 on average over the training part."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    index: int
    place: int
    """In the epoch's order, which with seed and epoch decides how the stack is changed."""


class Lessons(Dataset[tuple[Tensor, int, float]]):
    """The training stacks as they are learnt from; can be sent to other processes."""

    def __init__(
        self, data: LabelledStacks, config: DataConfig, *, classes: int, view_px: int, seed: int
    ) -> None:
        self._data = data
        self._config = config
        self._view_px = view_px
        self._seed = seed
        self.indices = list(data.part(Part.TRAIN))
        scores = scores_of(data, self.indices)
        self._classes = dict(zip(self.indices, class_of_score(scores, classes), strict=True))
        self._weights = _balancing_weights(np.array(list(self._classes.values())))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[Tensor, int, float]:
        """A stack, its class and its weight, for (epoch, place in the epoch, sample)."""
        epoch, place, index = key
        rng = _rng(self._seed, _STACK, epoch, place)
        draws_crops = self._config.crops == "drawn"
        stack = self._data.stack(index, self._view_px, rng if draws_crops else None)
        changed = AUGMENTATIONS[self._config.augmentation](as_views(stack), _generator(rng))
        return changed, int(self._classes[index]), self._weight(index)

    def put_together(self, keys: Sequence[tuple[int, int, int]], kept: KeptViews) -> Batch:
        """What `__getitem__` gives for each of the keys, made at once from a packed set."""
        picks, changes = [], []
        array = self._data.kept_views
        if array is None:
            raise ValueError("keys can be put together from a packed set only")
        draw = CHANGES[self._config.augmentation]
        for epoch, place, _ in keys:
            rng = _rng(self._seed, _STACK, epoch, place)
            picks.append(
                drawn_views(array.shape[1], rng if self._config.crops == "drawn" else None)
            )
            changes.append(draw(len(picks[-1]), _generator(rng)))
        indices = [index for _, _, index in keys]
        return Batch(
            apply_change(kept.stacks(indices, picks), changes),
            torch.tensor([int(self._classes[index]) for index in indices]),
            torch.tensor([self._weight(index) for index in indices]),
        )

    @property
    def can_be_put_together(self) -> bool:
        """Whether batches can be made at once."""
        return self._data.kept_views is not None and self._config.augmentation in CHANGES

    def _weight(self, index: int) -> float:
        if self._config.balance != "loss":
            return 1.0
        return float(self._weights[int(self._classes[index])])

    def order(self, epoch: int) -> list[int]:
        """The samples of an epoch, drawn anew each time."""
        rng = _rng(self._seed, _ORDER, epoch)
        wanted = self._config.stacks_per_epoch or len(self.indices)
        if self._config.balance == "sampling":
            chances = np.array([self._weights[self._classes[index]] for index in self.indices])
            drawn = rng.choice(self.indices, wanted, p=chances / chances.sum())
            return [int(index) for index in drawn]
        rounds = math.ceil(wanted / len(self.indices))
        shuffled = np.concatenate([rng.permutation(self.indices) for _ in range(rounds)])
        return [int(index) for index in shuffled[:wanted]]


class EpochBatches(Sampler[list[tuple[int, int, int]]]):
    """One process's part of each batch of an epoch; `epoch` and `first` are set from outside."""

    def __init__(self, lessons: Lessons, batch: int, rank: int, count: int) -> None:
        self._lessons = lessons
        self._batch = batch
        self._rank = rank
        self._count = count
        self.epoch = 0
        self.first = 0
        """The batch to begin with, in a run that goes on within an epoch."""

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        order = list(enumerate(self._lessons.order(self.epoch)))
        for start in range(self.first * self._batch, len(order) - self._batch + 1, self._batch):
            mine = order[start : start + self._batch][self._rank :: self._count]
            yield [(self.epoch, place, index) for place, index in mine]

    def __len__(self) -> int:
        return len(self._lessons.order(self.epoch)) // self._batch


class BatchesOfKept:
    """Batches from a packed set, put together where they are learnt from."""

    def __init__(self, lessons: Lessons, batches: EpochBatches, kept: KeptViews) -> None:
        self._lessons, self._batches, self._kept = lessons, batches, kept

    def __iter__(self) -> Iterator[Batch]:
        for keys in self._batches:
            yield self._lessons.put_together(keys, self._kept)


def loader_of(
    lessons: Lessons, batches: EpochBatches, processes: int, kept: KeptViews | None = None
) -> Iterable[Batch]:
    """Load batches: from `kept` views if there are any, else in further processes if any."""
    if kept is not None and lessons.can_be_put_together:
        return BatchesOfKept(lessons, batches, kept)
    return DataLoader(
        lessons,
        batch_sampler=batches,  # keys need not be numbers
        collate_fn=_collated,
        num_workers=processes,
        persistent_workers=processes > 0,
    )


def class_of_score(scores: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Scores as classes: themselves, or negative (0, 1+) and positive (2+, 3+)."""
    return scores if classes == 4 else (scores >= 2).astype(np.int64)


def step_generator(seed: int, epoch: int, step: int, rank: int) -> Generator:
    """For what is drawn once a step in a process."""
    return _generator(_rng(seed, _STEP, epoch, step, rank))


def _balancing_weights(classes: NDArray[np.int64]) -> dict[int, float]:
    """By class: rare ones count more, and all stacks together as many as there are."""
    present, counts = np.unique(classes, return_counts=True)
    return {
        int(one): len(classes) / (len(present) * int(count))
        for one, count in zip(present, counts, strict=True)
    }


def _collated(items: Sequence[tuple[Tensor, int, float]]) -> Batch:
    stacks, classes, weights = zip(*items, strict=True)
    return Batch(torch.stack(stacks), torch.tensor(classes), torch.tensor(weights))


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def _generator(rng: np.random.Generator) -> Generator:
    return Generator().manual_seed(int(rng.integers(2**62)))
