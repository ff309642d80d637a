"""What a network learns from: many stacks, reduced to what it looks at, with their scores.

A folder with `views.npy`, (stack, view, row, col, rgb) uint8, and `stacks.csv`, one row a stack.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.whole import whole_folder
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score, score_of_label
from blurryscope.basics.image import Rgb

REDUCTION = 4
"""Pixels of a view per pixel that our network sees, along each side."""

_COLUMNS = ("case", "repeat", "score", "part")


class Part(StrEnum):
    """What a case is for. All its stacks are in one part."""

    TRAIN = "train"
    VALIDATE = "validate"
    """Chooses between epochs."""
    CALIBRATE = "calibrate"
    """Sets temperature and threshold."""
    TEST = "test"
    """Looked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One stack of the training set."""

    case: str
    repeat: int
    score: Score
    part: Part


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Reduced stacks and what they are; `views[i]` belongs to `lessons[i]`."""

    views: NDArray[np.uint8]
    """(stack, view, row, col, rgb), perhaps mapped from disk."""
    lessons: list[Lesson]

    def __post_init__(self) -> None:
        if len(self.views) != len(self.lessons):
            raise ValueError(f"{len(self.views)} stacks, but {len(self.lessons)} rows")
        parts: dict[str, Part] = {}
        for lesson in self.lessons:
            if parts.setdefault(lesson.case, lesson.part) is not lesson.part:
                raise ValueError(f"case {lesson.case} is in more than one part")

    def part(self, part: Part) -> NDArray[np.intp]:
        """Indices of the stacks of a part."""
        return np.flatnonzero([lesson.part is part for lesson in self.lessons])

    @property
    def scores(self) -> NDArray[np.int64]:
        return np.array([lesson.score for lesson in self.lessons], np.int64)


def reduced_views(stacks: Rgb) -> NDArray[np.uint8]:
    """Average stacks, (stack, view, row, col, rgb) uint8, over `REDUCTION` x `REDUCTION` pixels."""
    count, views, rows, columns, _ = stacks.shape
    small = (columns // REDUCTION, rows // REDUCTION)
    flat = stacks.reshape(count * views, rows, columns, 3)
    reduced = [cv2.resize(view, small, interpolation=cv2.INTER_AREA) for view in flat]
    return np.asarray(reduced, np.uint8).reshape(count, views, small[1], small[0], 3)


def write_training_set(
    folder: Path, views: Sequence[NDArray[np.uint8]], lessons: Sequence[Lesson]
) -> None:
    """Write the folder, whole or not at all."""
    with whole_folder(folder) as partial:
        np.save(partial / "views.npy", np.stack(views), allow_pickle=False)
        with (partial / "stacks.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(_COLUMNS)
            rows.writerows(
                [lesson.case, lesson.repeat, lesson.score.label, lesson.part] for lesson in lessons
            )


def read_training_set(folder: Path) -> TrainingSet:
    """Read the folder; an `InputError` says what cannot be used. Views stay on disk until used."""
    table = folder / "stacks.csv"
    if not table.is_file():
        raise MissingInputError(folder, "holds no training set", "Build the training set first")
    try:
        views = np.load(folder / "views.npy", mmap_mode="r", allow_pickle=False)
        with table.open(encoding="utf-8", newline="") as file:
            lessons = [_lesson_of_row(row) for row in csv.DictReader(file)]
        return TrainingSet(views, lessons)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            folder, f"cannot be read ({error})", "Build the training set again"
        ) from error


def _lesson_of_row(row: dict[str, str]) -> Lesson:
    return Lesson(
        case=row["case"],
        repeat=int(row["repeat"]),
        score=score_of_label(row["score"]),
        part=Part(row["part"]),
    )
