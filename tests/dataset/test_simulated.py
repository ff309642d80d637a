"""The simulated training set is repeatable, balanced and does not leak."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.training_set import Lesson, Part, TrainingSet, read_training_set
from blurryscope.basics.errors import MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.dataset import simulated
from blurryscope.dataset.simulated import SimulatedSet, build_simulated_set


def test_a_core_is_the_same_whoever_draws_it() -> None:
    wanted = SimulatedSet(core_count=40, scans_per_core=2, seed=3)
    first, second = (simulated._scans_of_core((wanted, 7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first[0].shape == (5, 128, 128, 3)
    assert (first[0] != first[1]).any()


def test_a_set_on_disk_is_what_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        simulated,
        "_scans_of_core",
        lambda job: [np.full((5, 2, 2, 3), job[1] % 256, np.uint8)] * job[0].scans_per_core,
    )
    build_simulated_set(tmp_path / "set", SimulatedSet(core_count=80, scans_per_core=3), workers=1)
    data = read_training_set(tmp_path / "set")
    assert len(data.lessons) == 240
    assert (data.views[:, 0, 0, 0, 0] == np.repeat(np.arange(80), 3)).all()
    assert Counter(data.scores.tolist()) == dict.fromkeys(range(4), 60)
    for part in Part:
        assert Counter(data.scores[data.part(part)].tolist()).keys() == {0, 1, 2, 3}


def test_a_case_in_two_parts_is_refused() -> None:
    lessons = [
        Lesson(case="a", repeat=repeat, score=Score.ONE, part=part)
        for repeat, part in ((1, Part.TRAIN), (2, Part.TEST))
    ]
    with pytest.raises(ValueError, match="more than one part"):
        TrainingSet(np.zeros((2, 5, 2, 2, 3), np.uint8), lessons)


def test_a_folder_without_a_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="holds no training set"):
        read_training_set(tmp_path)
