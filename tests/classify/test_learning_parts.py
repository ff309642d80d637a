"""The parts of training by themselves: losses, schedules, draws, configs, TensorBoard's format."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from blurryscope.artifacts.split import Part
from blurryscope.basics.errors import InputError
from blurryscope.classify.batches import EpochBatches, Lessons, class_of_score
from blurryscope.classify.calibrate import fitted_temperature, threshold_withholding
from blurryscope.classify.losses import LOSSES, cross_entropy
from blurryscope.classify.networks import class_probabilities
from blurryscope.classify.schedules import learning_rate
from blurryscope.classify.tensorboard_log import TensorBoardLog, crc32c
from blurryscope.classify.training_config import (
    DataConfig,
    TrainingConfig,
    config_fingerprint,
    read_training_config,
)
from tests.classify.stacks_by_score import StacksByScore

_PAPER = TrainingConfig.model_validate({"data": {"set": "x"}})


def test_what_is_not_said_is_as_in_the_paper() -> None:
    assert (_PAPER.network.kind, _PAPER.network.view_px, _PAPER.network.width) == ("efin", 512, 7)
    assert _PAPER.optimiser.betas == (0.5, 0.999)
    assert (_PAPER.optimiser.learning_rate, _PAPER.optimiser.weight_decay) == (1e-3, 1e-4)
    assert (_PAPER.optimiser.batch, _PAPER.data.stacks_per_epoch) == (2, 500)


def test_the_learning_rate_is_that_of_torch_with_warm_restarts() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, 2, 2)
    for epoch in range(40):
        assert learning_rate(_PAPER, epoch, 0.7) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_one_cycle_rises_and_falls_to_nearly_nothing() -> None:
    config = TrainingConfig.model_validate(
        {"data": {"set": "x"}, "optimiser": {"schedule": "one-cycle"}, "run": {"epochs": 10}}
    )
    rates = [learning_rate(config, epoch, 0.0) for epoch in range(10)]
    assert rates[3] == pytest.approx(1e-3)
    assert max(rates) == rates[3]
    assert learning_rate(config, 9, 1.0) < 1e-8


def test_cross_entropy_is_that_of_torch() -> None:
    logits, classes = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])
    for smoothing in (0.0, 0.1):
        ours = cross_entropy(functional.log_softmax(logits, dim=1), classes, smoothing)
        theirs = functional.cross_entropy(
            logits, classes, reduction="none", label_smoothing=smoothing
        )
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["ordinal", "earth-mover"])
def test_ordinal_losses_mind_how_far_a_miss_is(name: str) -> None:
    near = torch.tensor([[0.1, 0.8, 0.05, 0.05]]).log()
    far = torch.tensor([[0.1, 0.05, 0.05, 0.8]]).log()
    truth = torch.tensor([0])
    assert float(LOSSES[name](far, truth, 0.0)) > float(LOSSES[name](near, truth, 0.0)) + 0.1
    right = torch.tensor([[1 - 3e-7, 1e-7, 1e-7, 1e-7]]).log()
    assert float(LOSSES[name](right, truth, 0.0)) < 1e-4


def test_the_stacks_of_an_epoch_are_drawn_anew_and_the_same_each_time() -> None:
    lessons = _lessons(stacks_per_epoch=10)
    first, second = lessons.order(0), lessons.order(1)
    assert first != second
    assert len(set(first)) == 10
    assert _lessons(stacks_per_epoch=10).order(1) == second


def test_processes_share_each_batch_between_them() -> None:
    lessons = _lessons(stacks_per_epoch=12)
    alone = list(EpochBatches(lessons, 4, 0, 1))
    shared = [list(EpochBatches(lessons, 4, rank, 2)) for rank in range(2)]
    for whole, one, other in zip(alone, *shared, strict=True):
        assert sorted(whole) == sorted(one + other)
        assert len(one) == len(other) == 2


@pytest.mark.parametrize("crops", ["drawn", "fixed"])
def test_crops_are_drawn_afresh_where_wanted(crops: str) -> None:
    lessons = _lessons(crops=crops, augmentation="none")
    first, _, _ = lessons[(0, 0, 0)]
    same, _, _ = lessons[(0, 0, 0)]
    later, _, _ = lessons[(1, 0, 0)]
    assert torch.equal(first, same)
    assert torch.equal(first, later) == (crops == "fixed")


def test_rare_scores_count_more_or_come_more_often_where_wanted() -> None:
    data = StacksByScore(80)
    data.samples = [sample for sample in data.samples if sample.score != 3 or sample.core.row == 0]
    rare = [n for n in data.part(Part.TRAIN) if data.samples[n].score == 3]
    by_weight = Lessons(data, _data(balance="loss"), classes=4, view_px=32, seed=1)
    weights = {by_weight[(0, 0, n)][1]: by_weight[(0, 0, n)][2] for n in by_weight.indices}
    assert weights[3] > 2 * weights[0]
    drawn = Lessons(
        data, _data(balance="sampling", stacks_per_epoch=4000), classes=4, view_px=32, seed=1
    ).order(0)
    share = sum(n in set(rare) for n in drawn) / len(drawn)
    assert share == pytest.approx(0.25, abs=0.03)


def test_two_classes_are_negative_and_positive() -> None:
    scores = np.arange(4, dtype=np.int64)
    assert class_of_score(scores, 2).tolist() == [0, 0, 1, 1]
    assert class_of_score(scores, 4).tolist() == [0, 1, 2, 3]


def test_a_config_is_read_with_its_set_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\nset = "set"\n[run]\nepochs = 3\n', encoding="utf-8")
    config = read_training_config(path)
    assert config.data.set == tmp_path / "set"
    longer = config.model_copy(update={"run": config.run.model_copy(update={"epochs": 9})})
    assert config_fingerprint(longer) == config_fingerprint(config)
    other = config.model_copy(update={"run": config.run.model_copy(update={"seed": 9})})
    assert config_fingerprint(other) != config_fingerprint(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[data]\n", r"run.toml, data.set: is missing"),
        ('[data]\nset = "s"\n[optimiser]\nbathc = 4\n', "optimiser.bathc"),
        ('[data]\nset = "s"\n[network]\nview_px = 100\n', "100 is no size of a view"),
        ('[data]\nset = "s"\n[network]\nkind = "corenet"\n', "views of 128"),
        ("data = = 1", "is no TOML"),
    ],
)
def test_a_config_that_cannot_be_used_says_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_training_config(path)


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4


def test_events_are_records_with_their_length_and_checksums(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, started_s=1.5)
    log.write(300, 2.5, {"loss": 0.25})
    content = next(tmp_path.iterdir()).read_bytes()
    events = []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(content[12 : 12 + length])
        content = content[12 + length + 4 :]
    assert events[0].endswith(b"brain.Event:2")
    assert struct.unpack("<d", events[1][1:9])[0] == 2.5
    assert events[1][9:12] == b"\x10\xac\x02"  # field 2, the varint of 300
    assert events[1].endswith(b"\x0a\x04loss\x15" + struct.pack("<f", 0.25))


def test_a_temperature_that_was_applied_is_found_again() -> None:
    rng = np.random.default_rng(0)
    place = rng.normal(0, 3, 4000)
    honest = (place[:, None] - np.array([-2.0, 0.0, 2.0])).astype(np.float32)
    probabilities = class_probabilities(torch.from_numpy(honest).double()).numpy()
    scores = np.array([rng.choice(4, p=row / row.sum()) for row in probabilities])
    found = fitted_temperature(3 * honest, scores, lambda raw: class_probabilities(raw).log())
    assert found == pytest.approx(3.0, rel=0.1)


def test_the_threshold_withholds_the_share_that_it_should() -> None:
    confidences = np.linspace(0.3, 1.0, 1001)
    threshold = threshold_withholding(0.15, confidences)
    assert (confidences < threshold).mean() == pytest.approx(0.15, abs=0.002)


def _lessons(**changed: object) -> Lessons:
    return Lessons(StacksByScore(), _data(**changed), classes=4, view_px=32, seed=1)


def _data(**changed: object) -> DataConfig:
    return DataConfig.model_validate({"set": "x"} | changed)
