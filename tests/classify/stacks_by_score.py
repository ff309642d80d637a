"""A data set in memory whose tissue is the browner the higher the score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.split import Part
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb

_PARTS = (*[Part.TRAIN] * 6, Part.VALIDATE, Part.CALIBRATE, Part.TEST, Part.TEST)


class StacksByScore:
    """One core after another, by turns of scores; crops of an odd seed are lighter."""

    def __init__(self, count: int = 40) -> None:
        self.samples: Sequence[Sample] = [
            Sample(
                slide="S",
                case=f"P{number}",
                core=CoreName(number // 10, number % 10),
                repeat=1,
                score=Score(number % 4),
                path=Path("nowhere.png"),
            )
            for number in range(count)
        ]

    name = "set"
    largest_view_px = 512
    kept_views: Rgb | None = None

    def part(self, part: Part) -> list[int]:
        return [n for n in range(len(self.samples)) if _PARTS[n // 4 % len(_PARTS)] is part]

    def stack(self, index: int, view_px: int, rng: np.random.Generator | None = None) -> Rgb:
        score = self.samples[index].score
        assert score is not None
        own = np.random.default_rng(index)
        density = np.array([0.15, 0.14, 0.09]) + 0.2 * score * np.array([0.35, 0.575, 0.74])
        picture = 250 * 10 ** -np.broadcast_to(density, (5, view_px, view_px, 3))
        picture = picture + own.normal(0, 2, picture.shape)
        if rng is not None:
            picture[:4] += rng.uniform(-3, 3)
        picture[:, : view_px // 6] = 250
        return np.asarray(picture.clip(0, 255), np.uint8)
