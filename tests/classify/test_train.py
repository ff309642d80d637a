"""A run learns, is repeatable, goes on where it was killed, and is the same in two processes."""

import csv
import errno
import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import fixed_stacks, scores_of
from blurryscope.basics.errors import InputError, OutputError
from blurryscope.classify import train as train_module
from blurryscope.classify.colour_baseline import ColourBaseline
from blurryscope.classify.model_file import read_model, save_model
from blurryscope.classify.predict import load_model
from blurryscope.classify.predict_part import colour_predicted_part, predicted_part
from blurryscope.classify.run_folder import keep_config
from blurryscope.classify.shipped import SHIPPED
from blurryscope.classify.train import train
from blurryscope.classify.training_config import TrainingConfig
from tests.classify.stacks_by_score import StacksByScore

_Sections = dict[str, dict[str, object]]

_EFIN: _Sections = {
    "data": {"set": "x", "stacks_per_epoch": 4},
    "network": {"view_px": 32, "width": 1},
    "run": {"epochs": 2, "threads": 1, "seed": 7},
}
_CORENET: _Sections = {
    "data": {"set": "x", "augmentation": "colour", "stacks_per_epoch": None},
    "network": {"kind": "corenet", "view_px": 128, "width": 8},
    "optimiser": {
        "schedule": "one-cycle", "learning_rate": 5e-3, "betas": [0.9, 0.999], "batch": 8,
        "averaging": 0.9, "clip_norm": 1.0,
    },
    "loss": {"kind": "ordinal"},
    "run": {"epochs": 5, "threads": 1},
}  # fmt: skip

_SMALL: _Sections = {
    "data": {"set": "x", "augmentation": "colour", "stacks_per_epoch": 12},
    "network": {"kind": "corenet", "view_px": 128, "width": 2},
    "optimiser": {"batch": 2, "accumulate": 2, "averaging": 0.9},
    "run": {"epochs": 2, "threads": 1, "seed": 7},
}

_SHORT = _SMALL | {"run": _SMALL["run"] | {"epochs": 1}}
"""Where it does not matter what is learnt."""

_KILLED = 9


@pytest.fixture(autouse=True)
def _tests_can_be_imported_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def test_training_learns_scores_that_are_colours(tmp_path: Path) -> None:
    data, told = StacksByScore(), list[float]()
    # With some seeds so few steps do not learn yet, and rounding decides which; not with this one.
    report = train(
        data,
        _config(_CORENET, run={"seed": 1}),
        tmp_path,
        progress=lambda stage, fraction: told.append(fraction) if stage == "train" else None,
    )
    losses = [figures.judged_loss for figures in report.history]
    assert losses[-1] < losses[0]
    assert told[-1] == 1.0
    said: dict[int, list[float]] = {score: [] for score in range(4)}
    for prediction, sample, _ in predicted_part(data, Part.TEST, load_model(report.model)):
        said[int(sample.score or 0)].append(prediction.p_positive or 0.0)
    assert max(said[0]) < min(said[3])
    assert read_model(report.model).settings.temperature == pytest.approx(report.temperature)


def test_a_processor_without_bfloat16_learns_in_float32_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    told: list[str] = []
    half = _config(_SHORT, run={"precision": "bfloat16"})
    report = train(StacksByScore(), half, tmp_path / "half", tell=told.append)
    plain = train(StacksByScore(), _config(_SHORT), tmp_path / "plain")
    assert "float32" in told[0]
    ours, theirs = (load_file(each.model) for each in (report, plain))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_run_tells_how_it_came_about(tmp_path: Path) -> None:
    report = train(StacksByScore(), _config(_EFIN), tmp_path, data_sha256="abc")
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[0]["stacks_per_s"]) > 0
    note = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert note["config"]["optimiser"]["betas"] == [0.5, 0.999]
    assert note["data_sha256"] == "abc"
    assert json.loads((tmp_path / "result.json").read_text("utf-8"))["best_epoch"] >= 1
    assert list((tmp_path / "tensorboard").iterdir())
    assert load_model(report.model).view_px == 32


def test_a_run_that_dies_within_an_epoch_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(config: TrainingConfig, out: Path, steps: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(train_module._Run, "_step", _dying_after(steps, _raise_died))
            with pytest.raises(_Died):
                train(StacksByScore(), config, out)

    _assert_ends_as_undisturbed(die, tmp_path)


@pytest.mark.slow
def test_so_does_a_run_whose_process_is_killed(tmp_path: Path) -> None:
    def die(config: TrainingConfig, out: Path, steps: int) -> None:
        killed = multiprocessing.get_context("spawn").Process(
            target=_train_and_die, args=(config, out, steps)
        )
        killed.start()
        killed.join()
        assert killed.exitcode == _KILLED

    _assert_ends_as_undisturbed(die, tmp_path)


def _assert_ends_as_undisturbed(
    train_and_die: Callable[[TrainingConfig, Path, int], None], folder: Path
) -> None:
    config = _config(_SMALL, run={"checkpoint_every_steps": 2})
    undisturbed = train(StacksByScore(), config, folder / "undisturbed")
    train_and_die(config, folder / "killed", 5)
    assert not (folder / "killed" / "model.safetensors").exists()
    resumed = train(StacksByScore(), config, folder / "killed")
    assert resumed.model.read_bytes() == undisturbed.model.read_bytes()
    ours, theirs = _states(folder / "killed", folder / "undisturbed")
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    config = _config(_EFIN, optimiser={"accumulate": 2})
    alone = train(StacksByScore(), config, tmp_path / "alone")
    _train_in_two(config, tmp_path / "together")
    with (tmp_path / "together" / "log.csv").open(encoding="utf-8") as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    wanted = [figures.training_loss for figures in alone.history]
    assert losses == pytest.approx(wanted, rel=1e-5)
    ours, theirs = _states(tmp_path / "together", tmp_path / "alone")
    apart, size = (
        torch.cat([value.flatten() for name, value in tensors.items() if "network." in name]).norm()
        for tensors in ({name: ours[name] - theirs[name] for name in ours}, theirs)
    )
    # Where a gradient is all but nothing, Adam makes a whole step out of rounding; two such steps
    # of other stacks would lead apart by 0.06 of the size.
    assert apart < 1e-3 * size


def test_gradients_added_up_are_those_of_one_large_batch(tmp_path: Path) -> None:
    once = _config(_EFIN, optimiser={"batch": 4})
    twice = _config(_EFIN, optimiser={"batch": 2, "accumulate": 2})
    losses = [
        [figures.training_loss for figures in train(StacksByScore(), config, out).history]
        for config, out in ((once, tmp_path / "once"), (twice, tmp_path / "twice"))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    train(StacksByScore(), _config(_SHORT), tmp_path)
    with pytest.raises(InputError, match="a run with another config"):
        train(StacksByScore(), _config(_SHORT, optimiser={"batch": 4}), tmp_path)
    with pytest.raises(InputError, match="a run with another data"):
        train(StacksByScore(), _config(_SHORT), tmp_path, data_sha256="other")


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    train(StacksByScore(), _config(_SMALL, run={"epochs": 1}), tmp_path / "short")
    longer = train(StacksByScore(), _config(_SMALL), tmp_path / "short")
    straight = train(StacksByScore(), _config(_SMALL), tmp_path / "straight")
    assert longer.model.read_bytes() == straight.model.read_bytes()


def test_a_run_goes_on_from_a_model(tmp_path: Path) -> None:
    first = train(StacksByScore(), _config(_SHORT), tmp_path / "first")
    config = _config(
        _SHORT, network={"start_from": str(first.model)}, optimiser={"learning_rate": 1e-12}
    )
    second = train(StacksByScore(), config, tmp_path / "second")
    before, after = (load_file(report.model) for report in (first, second))
    learnt = [name for name in before if "running" not in name and "tracked" not in name]
    for name in learnt:  # the statistics of batches go on changing
        torch.testing.assert_close(before[name], after[name], rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match="another network"):
        train(
            StacksByScore(),
            _config(_SHORT, network={"start_from": SHIPPED}),
            tmp_path / "third",
        )


def test_a_run_goes_on_from_a_model_that_takes_blue_first(tmp_path: Path) -> None:
    first = read_model(train(StacksByScore(), _config(_EFIN), tmp_path / "first").model)
    blue_first = first.settings.model_copy(update={"bgr": True})
    save_model(tmp_path / "theirs.safetensors", first.network, blue_first)
    config = _config(
        _EFIN, network={"start_from": str(tmp_path / "theirs.safetensors")},
        optimiser={"learning_rate": 1e-12},
    )  # fmt: skip
    second = read_model(train(StacksByScore(), config, tmp_path / "second").model)
    assert not second.settings.bgr
    views = torch.rand(1, 15, 32, 32)
    turned = views.reshape(1, 5, 3, 32, 32).flip(2).flatten(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(second.network(views), first.network(turned))


def test_a_model_tells_all_that_it_has_learnt_from(tmp_path: Path) -> None:
    first = train(StacksByScore(), _config(_SHORT), tmp_path / "first", data_sha256="set:split")
    assert read_model(first.model).settings.learnt_from == ("set:split",)
    config = _config(_SHORT, network={"start_from": str(first.model)})
    second = train(StacksByScore(), config, tmp_path / "second", data_sha256="set:other")
    assert read_model(second.model).settings.learnt_from == ("set:split", "set:other")


def test_a_model_that_departs_otherwise_from_the_paper_is_another_network(tmp_path: Path) -> None:
    first = train(StacksByScore(), _config(_EFIN), tmp_path / "first")
    config = _config(
        _EFIN, network={"start_from": str(first.model), "variant": {"log_magnitude": True}}
    )
    with pytest.raises(InputError, match=r"another network than the config's \(variant\)"):
        train(StacksByScore(), config, tmp_path / "second")


@pytest.mark.parametrize("balance", ["none", "sampling"])
def test_a_split_without_cores_to_train_on_is_refused(tmp_path: Path, balance: str) -> None:
    config = _config(_SHORT, data={"balance": balance})
    with pytest.raises(InputError, match="its 0 training stacks are less than one step takes"):
        train(StacksByScore(0), config, tmp_path)


def test_views_larger_than_those_that_were_kept_are_refused(tmp_path: Path) -> None:
    data = StacksByScore()
    data.kept_views, data.largest_view_px = np.zeros((40, 5, 64, 64, 3), np.uint8), 64
    with pytest.raises(InputError, match="set: keeps views of 64 pixels, and 128 are wanted"):
        train(data, _config(_SHORT), tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(ValidationError, match=r"run\.seed"):
        _config(_SHORT, run={"seed": seed})


def test_too_few_calibration_cores_leave_the_confidence_as_it_was(tmp_path: Path) -> None:
    start = read_model(train(StacksByScore(), _config(_SHORT), tmp_path / "first").model)
    settings = start.settings.model_copy(update={"temperature": 1.7, "threshold": 0.4})
    save_model(tmp_path / "start.safetensors", start.network, settings)
    config = _config(_SHORT, network={"start_from": str(tmp_path / "start.safetensors")})
    few = train(StacksByScore(), config, tmp_path / "few")  # 4 of 40 are kept for it
    assert (few.calibration_cores, few.temperature, few.threshold) == (4, 1.7, 0.4)
    many = train(StacksByScore(200), config, tmp_path / "many")
    assert many.calibration_cores == 20
    assert many.temperature != 1.7


@pytest.mark.parametrize("classes", [2, 4])
def test_the_threshold_withholds_its_share_of_calibration_cores_as_they_are_scored(
    tmp_path: Path, classes: int
) -> None:
    data = StacksByScore(400)  # 40 of them to calibrate
    config = _config(_EFIN, network={"classes": classes}, run={"epochs": 1})
    classifier = load_model(train(data, config, tmp_path).model)
    answers = classifier.predict(fixed_stacks(data, data.part(Part.CALIBRATE), 32))
    withheld = answers.max(axis=1) < classifier.decision_rule().threshold
    assert withheld.mean() == pytest.approx(0.15, abs=0.05)


def test_a_config_that_is_refused_does_not_replace_the_one_of_the_run(tmp_path: Path) -> None:
    first, other, run = tmp_path / "first.toml", tmp_path / "other.toml", tmp_path / "run"
    first.write_text("# of the run")
    other.write_text("# of another")
    keep_config(first, run)
    train(StacksByScore(), _config(_SHORT), run)
    keep_config(other, run)
    keep_config(run / "run.toml", run)
    assert (run / "run.toml").read_text() == "# of the run"


def test_a_config_that_finds_no_room_is_told_by_where_it_should_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "corenet.toml"
    config.write_text("# of the run")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"run\.toml: no space left on the disk"):
        keep_config(config, tmp_path / "run")
    assert not (tmp_path / "run" / "run.toml").exists()


def test_a_run_that_goes_astray_is_told_and_how_to_tame_it(tmp_path: Path) -> None:
    wild = _config(_SMALL, optimiser={"learning_rate": 1e30, "clip_norm": None})
    with pytest.raises(InputError, match=r"astray: after epoch 1 .*optimiser\.learning_rate"):
        train(StacksByScore(), wild, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_colour_cannot_be_learnt_from_cores_that_lack_a_score() -> None:
    with pytest.raises(InputError, match="set: lacks a score among its training cores"):
        list(colour_predicted_part(StacksByScore(3), Part.TEST))


def test_colour_alone_tells_scores_that_are_colours() -> None:
    data = StacksByScore()
    train_part = data.part(Part.TRAIN)
    views = fixed_stacks(data, train_part, 32)
    baseline = ColourBaseline(views, scores_of(data, train_part))
    assert (baseline.predict(views).argmax(axis=1) == scores_of(data, train_part)).mean() > 0.9
    rows = list(colour_predicted_part(data, Part.TEST))
    assert [said.score for said, _, _ in rows] == [sample.score for _, sample, _ in rows]


def _config(base: _Sections, **changed: dict[str, object]) -> TrainingConfig:
    sections = base.keys() | changed.keys()
    return TrainingConfig.model_validate(
        {name: base.get(name, {}) | changed.get(name, {}) for name in sections}
    )


class _Died(BaseException):
    """Nobody catches it on the way."""


def _raise_died() -> NoReturn:
    raise _Died


def _dying_after(steps: int, die: Callable[[], NoReturn]) -> Callable[..., None]:
    """A step of training that does not happen any more after so many."""
    done = 0
    step = train_module._Run._step

    def counted(*arguments: object) -> None:
        nonlocal done
        if done == steps:
            die()
        done += 1
        step(*arguments)  # type: ignore[arg-type]

    return counted


def _exit() -> NoReturn:
    os._exit(_KILLED)


def _train_and_die(config: TrainingConfig, out: Path, steps: int) -> None:
    """Die as by `kill -9`, without a word, after so many steps."""
    train_module._Run._step = _dying_after(steps, _exit)  # type: ignore[method-assign]
    train(StacksByScore(), config, out)


def _train_in_two(config: TrainingConfig, out: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_one_of_two, args=(config, out, n, port)) for n in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]


def _one_of_two(config: TrainingConfig, out: Path, rank: int, port: int) -> None:
    """What `torchrun` sets."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    train(StacksByScore(), config, out)


def _states(one: Path, other: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Where two runs stand: weights, their mean, the optimiser."""
    ours, theirs = (load_file(folder / "last.safetensors") for folder in (one, other))
    assert ours.keys() == theirs.keys()
    return ours, theirs
