"""What would change nothing, or too much, is told before anything is evaluated or fitted."""

from pathlib import Path

import numpy as np
import pytest

from blurryscope.artifacts.samples import sample_of_file
from blurryscope.artifacts.split import Part, Split, Unit, core_key
from blurryscope.classify.model_file import ModelSettings, save_model
from blurryscope.classify.networks import CoreNet
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.build import DataSet, Picture, add_splits, build_data_set
from tests.conftest import Refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--column", "lable=truth"), "--column: there is no column 'lable'. Name one of slide"),
        (("--protocol", "paper", "--against", "b.csv"), "--against: has no place in the paper's"),
    ],
)
def test_an_option_that_would_change_nothing_is_told(
    refused: Refused, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    assert said in refused("evaluate", "a.csv", *options, "--out", tmp_path / "out")


@pytest.fixture(scope="module")
def two_splits(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A set of four stacks with the splits `one` and `other`."""
    rng = np.random.default_rng(0)
    pictures = [
        Picture(
            sample=sample_of_file(Path(f"S_1_A{score + 1}_{score}.tif")),
            pixels=rng.integers(0, 255, (5, 512, 512, 3), dtype=np.uint8),
        )
        for score in range(4)
    ]
    data = build_data_set(tmp_path_factory.mktemp("sets") / "set", pictures, recipe={})
    keys = [core_key(sample) for sample in data.samples]
    splits = {
        name: Split(dict(zip(keys, parts, strict=True)))
        for name, parts in {
            "one": [Part.TRAIN, Part.TRAIN, Part.TEST, Part.TEST],
            "other": [Part.TEST, Part.TEST, Part.TRAIN, Part.TRAIN],
        }.items()
    }
    return add_splits(data, splits, unit=Unit.CORE, scheme="by hand", seed=None)


@pytest.mark.parametrize(
    "words", [("predict", "--out", "answers.csv"), ("fit-limits", "--out", "limits.npz")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_cores_that_a_model_has_learnt_from_under_another_split_are_not_set_aside(
    refused: Refused, two_splits: DataSet, tmp_path: Path, words: tuple[str, ...]
) -> None:
    learnt: dict[str, str | int | float] = {"data": two_splits.fingerprint("one")}
    settings = ModelSettings(network="corenet", width=2, trained_on=learnt)
    save_model(tmp_path / "model.safetensors", CoreNet(2), settings)
    command, option, name = words
    said = refused(
        command, two_splits.folder, "--model", tmp_path / "model.safetensors",
        "--split", "other", option, tmp_path / name,
    )  # fmt: skip
    assert "--split: the model has learnt from this set under another split than 'other'" in said
    assert "Give --split one" in said
    assert not (tmp_path / name).exists()


def test_limits_that_came_with_the_program_are_not_replaced(
    refused: Refused, tmp_path: Path
) -> None:
    said = refused("fit-limits", tmp_path / "set")
    assert f"--out: is not given, and the limits that {SHIPPED} is shipped with" in said


@pytest.mark.parametrize("option", ["--coverage", "--strange"])
def test_an_option_that_fused_rules_do_not_heed_is_refused(
    refused: Refused, tmp_path: Path, option: str
) -> None:
    said = refused("fit-limits", tmp_path / "set", "--fused", option, 0.5, "--out", tmp_path / "x")
    assert f"{option}: changes nothing with --fused" in said
    assert "no such" not in said


def test_fused_rules_do_heed_what_is_to_be_withheld(refused: Refused, tmp_path: Path) -> None:
    said = refused("fit-limits", tmp_path / "set", "--fused", "--withheld", 0.5, "--out", tmp_path)
    assert "--withheld" not in said
