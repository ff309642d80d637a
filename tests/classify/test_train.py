"""Training learns what there is to learn, repeatably, and calibration does what it should."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blurryscope.artifacts.training_set import Lesson, Part, TrainingSet
from blurryscope.basics.her2 import Score
from blurryscope.classify.augment import augmented
from blurryscope.classify.calibrate import fitted_temperature, threshold_withholding
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.model_file import read_model
from blurryscope.classify.networks import class_probabilities
from blurryscope.classify.train import TrainingSettings, train_model

_PARTS = [*[Part.TRAIN] * 16, *[Part.VALIDATE] * 3, *[Part.CALIBRATE] * 3, *[Part.TEST] * 3]
_SETTINGS = TrainingSettings(epochs=12, batch_size=8, width=8)


def test_training_learns_scores_that_are_colours(tmp_path: Path) -> None:
    told: list[float] = []
    report = train_model(
        _brown_by_score(),
        _SETTINGS,
        tmp_path / "model.safetensors",
        progress=lambda _, fraction: told.append(fraction),
    )
    assert report.validation_losses[-1] < report.validation_losses[0]
    assert report.test_two_class_accuracy >= 0.9
    assert told[-1] == 1.0
    model = read_model(tmp_path / "model.safetensors")
    assert model.settings.temperature == pytest.approx(report.temperature)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    data = _brown_by_score()
    short = TrainingSettings(epochs=1, batch_size=8, width=4)
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        train_model(data, short, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_colour_alone_tells_scores_that_are_colours() -> None:
    data = _brown_by_score()
    test = data.part(Part.TEST)
    said = ColourBaseline(data).predict(data.views[test]).argmax(axis=1)
    assert (said == data.scores[test]).mean() >= 0.9


def test_augmented_views_stay_pictures_and_the_input_is_not_changed() -> None:
    views = 255 * torch.rand(4, 5, 3, 16, 16)
    before = views.clone()
    for seed in range(5):
        changed = augmented(views, torch.Generator().manual_seed(seed))
        assert 3 <= changed.shape[1] <= 5
        assert 0 <= changed.min() <= changed.max() <= 255
    torch.testing.assert_close(views, before)


def test_a_temperature_that_was_applied_is_found_again() -> None:
    rng = np.random.default_rng(0)
    place = rng.normal(0, 3, 4000)
    honest = (place[:, None] - np.array([-2.0, 0.0, 2.0])).astype(np.float32)
    probabilities = class_probabilities(torch.from_numpy(honest).double()).numpy()
    scores = np.array([rng.choice(4, p=row / row.sum()) for row in probabilities])
    assert fitted_temperature(3 * honest, scores) == pytest.approx(3.0, rel=0.1)


def test_the_threshold_withholds_the_share_that_it_should() -> None:
    confidences = np.linspace(0.3, 1.0, 1001)
    threshold = threshold_withholding(0.15, confidences)
    assert (confidences < threshold).mean() == pytest.approx(0.15, abs=0.002)


def _brown_by_score() -> TrainingSet:
    """A hundred cases whose tissue is the browner the higher the score."""
    rng = np.random.default_rng(1)
    views, lessons = [], []
    for number in range(100):
        score, part = Score(number % 4), _PARTS[number // 4]
        density = np.array([0.15, 0.14, 0.09]) + 0.2 * score * np.array([0.35, 0.575, 0.74])
        picture = 250 * 10 ** -np.broadcast_to(density, (5, 32, 32, 3))
        picture = picture + rng.normal(0, 2, picture.shape)
        picture[:, :6] = 250
        views.append(picture.clip(0, 255).astype(np.uint8))
        lessons.append(Lesson(case=str(number), repeat=1, score=score, part=part))
    return TrainingSet(np.stack(views), lessons)
