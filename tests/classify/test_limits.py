"""What a model must not be trusted with: fitted, kept beside its weights, and told in words."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from blurryscope.artifacts.decision_rule import DecisionRule, DecisionRules
from blurryscope.artifacts.predictions import Decision
from blurryscope.artifacts.samples import Sample, sample_of_file
from blurryscope.artifacts.split import Part
from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.errors import InputError
from blurryscope.basics.fusing import log_average
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Rgb
from blurryscope.classify.efin import EFIN
from blurryscope.classify.familiarity import fitted_familiarity
from blurryscope.classify.fit_limits import fitted_limits, with_fused_rules
from blurryscope.classify.limits import Limits, limits_path, read_limits, write_limits
from blurryscope.classify.model_file import ModelSettings, read_model, save_model
from blurryscope.classify.networks import CoreNet, CoreVariant
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.classify.predict_part import predicted_part

_SAMPLE = sample_of_file(Path("S_1_A1_2.tif"))
_FEATURES = 224


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_model(path, CoreNet(32), ModelSettings(network="corenet", width=32))
    return path


@pytest.fixture
def limits() -> Limits:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (400, _FEATURES)).astype(np.float32)
    return Limits(
        temperature=2.0,
        rules=DecisionRules(
            (
                DecisionRule(threshold=0.3, cutoffs=(1.0, 1.0, 1.0, 1.0), coverage=0.8),
                DecisionRule(threshold=0.4, cutoffs=(0.9, 0.9, 0.9, 0.9), coverage=0.8),
            )
        ),
        familiarity=fitted_familiarity(features, np.arange(400) % 4),
        farthest=1e9,
        fitted_on={"samples": "none"},
    )


def test_a_core_far_from_all_centres_is_strange_and_one_at_a_centre_is_not() -> None:
    rng = np.random.default_rng(1)
    scores = np.arange(2000) % 4
    features = (rng.normal(0, 1, (2000, 5)) + 10 * scores[:, None]).astype(np.float32)
    familiarity = fitted_familiarity(features, scores)
    usual = familiarity.distance(features)
    assert usual.mean() == pytest.approx(1.0, abs=0.1)
    between = np.full((1, 5), 5.0, np.float32)
    assert familiarity.distance(between)[0] > usual.max()


def test_a_class_without_cores_cannot_be_familiar() -> None:
    with pytest.raises(ValueError, match="every class"):
        fitted_familiarity(np.zeros((3, 2), np.float32), np.array([0, 1, 3]))


def test_limits_come_back_as_they_were_written(weights: Path, limits: Limits) -> None:
    network = read_model(weights).network
    write_limits(limits_path(weights), limits, network)
    again = read_limits(limits_path(weights), network)
    assert (again.temperature, again.rules, again.farthest) == (2.0, limits.rules, 1e9)
    np.testing.assert_array_equal(again.familiarity.whitening, limits.familiarity.whitening)


def test_limits_of_other_weights_are_refused(weights: Path, limits: Limits) -> None:
    write_limits(limits_path(weights), limits, CoreNet(32))
    with pytest.raises(InputError, match="was fitted to other weights"):
        load_model(weights)


def test_a_file_that_holds_no_limits_is_refused(weights: Path) -> None:
    limits_path(weights).write_bytes(b"\x80\x04 a pickle could be anything")
    with pytest.raises(InputError, match="cannot be read as limits"):
        load_model(weights)


def test_limits_that_were_cut_off_are_refused(weights: Path, limits: Limits) -> None:
    path = limits_path(weights)
    write_limits(path, limits, read_model(weights).network)
    whole = path.read_bytes()
    for left in (whole[: len(whole) // 2], whole[:10], b"", whole[:200] + b"?" + whole[201:]):
        path.write_bytes(left)
        with pytest.raises(InputError, match="cannot be read as limits"):
            load_model(weights)


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": np.inf},
        {"farthest": np.inf},
        {"cutoffs": [np.nan] * 4},
        {"cutoffs": [5.0] * 4},
        {"centres": np.zeros((4, 3), np.float32)},
        {"centres": np.full((4, _FEATURES), np.nan, np.float32)},
        {"centres": np.array("text")},
        {"spread": np.zeros(_FEATURES, np.float32)},
    ],
    ids=lambda changed: f"{next(iter(changed))}",
)
def test_limits_that_would_let_everything_pass_are_refused(
    weights: Path, limits: Limits, changed: dict[str, object]
) -> None:
    path = limits_path(weights)
    write_limits(path, limits, read_model(weights).network)
    with np.load(path) as stored:
        arrays = dict(stored)
    told = json.loads(str(arrays["told"]))
    arrays |= {name: np.asarray(value) for name, value in changed.items() if name in arrays}
    told |= {name: value for name, value in changed.items() if name in told}
    np.savez(path, **(arrays | {"told": np.array(json.dumps(told))}))
    with pytest.raises(InputError, match="cannot be read as limits"):
        load_model(weights)


def test_a_model_brings_its_limits_along(weights: Path, limits: Limits) -> None:
    plain = load_model(weights).predict(_tissue(1)[None])
    write_limits(limits_path(weights), limits, read_model(weights).network)
    blunted = load_model(weights).predict(_tissue(1)[None])
    roots = np.sqrt(plain)
    np.testing.assert_allclose(blunted, roots / roots.sum(axis=1, keepdims=True), rtol=1e-5)


def test_a_strange_core_is_referred_with_its_distance(weights: Path, limits: Limits) -> None:
    classifier = Classifier(read_model(weights), replace(limits, farthest=1e-3))
    prediction = classifier.score(_SAMPLE, _tissue(1))
    assert prediction.decision is Decision.REFER
    assert prediction.reason.startswith("unlike the cores that the network learnt from (distance ")
    assert prediction.score is None
    assert prediction.probabilities is not None


def test_scores_that_cannot_be_told_apart_are_indeterminate(weights: Path, limits: Limits) -> None:
    prediction = Classifier(read_model(weights), limits).score(_SAMPLE, _tissue(1))
    assert prediction.decision is Decision.INDETERMINATE
    assert "it may be 0 or 1+ or 2+ or 3+" in prediction.reason
    assert "80 %" in prediction.reason


def test_limits_are_fitted_without_a_look_at_the_test_part(weights: Path) -> None:
    data = _Stacks(view_px=128)
    fitted = fitted_limits(Classifier(read_model(weights)), data)
    assert fitted.fitted_on["training_stacks"] == 8
    assert fitted.fitted_on["calibration_patients"] == 40
    assert Part.TEST not in data.looked_at


def test_too_few_patients_to_calibrate_with_are_refused_before_any_stack_is_looked_at(
    weights: Path,
) -> None:
    steps: list[str] = []
    with pytest.raises(InputError, match="set-7: holds cores of 12 patients to calibrate with"):
        fitted_limits(
            Classifier(read_model(weights)),
            _Stacks(calibration_count=12, view_px=128),
            progress=lambda step, _done: steps.append(step),
        )
    assert steps == []


@pytest.mark.slow
def test_stacks_kept_smaller_than_the_network_sees_them_are_refused(tmp_path: Path) -> None:
    fine, path = CoreVariant(view_px=256), tmp_path / "fine.safetensors"
    settings = ModelSettings(network="corenet", width=2, core_variant=fine)
    save_model(path, CoreNet(2, variant=fine), settings)
    classifier, coarse = load_model(path), _Stacks(view_px=128)
    with pytest.raises(InputError, match="set-7: keeps views of 128 pixels, and 256 are wanted"):
        fitted_limits(classifier, coarse)
    for is_gated in (True, False):
        with pytest.raises(InputError, match="keeps views of 128 pixels, and 256 are wanted"):
            list(predicted_part(coarse, Part.TEST, classifier, is_gated=is_gated))
    with pytest.raises(ValueError, match="views of 256 pixels or of a multiple, got 128"):
        classifier.predict(coarse.stack(0, 128)[None])


def test_stacks_too_small_for_the_gate_are_refused(tmp_path: Path) -> None:
    path, small = tmp_path / "small-efin.safetensors", _Stacks(view_px=64)
    save_model(
        path, EFIN(4, size_px=64, width=1), ModelSettings(network="efin", width=1, size_px=64)
    )
    with pytest.raises(InputError, match="keeps views of 64 pixels, and 128 are wanted"):
        fitted_limits(load_model(path), small)
    with pytest.raises(InputError, match="keeps views of 64 pixels, and 128 are wanted"):
        list(predicted_part(small, Part.TEST, load_model(path), is_gated=True))
    assert len(list(predicted_part(small, Part.TEST, load_model(path)))) == 1


def test_rules_for_several_scans_keep_what_the_rule_for_one_promises(
    weights: Path, limits: Limits
) -> None:
    classifier = Classifier(read_model(weights), limits)
    data = _Stacks(calibration_count=120, scan_count=3, view_px=128)
    told = classifier.predict(np.stack([data.stack(at, 128) for at in range(4)]))
    fused = with_fused_rules(classifier, data, withheld_share=0.25)
    assert len(fused.rules.by_count) == 3
    assert fused.rules.of(1) == limits.rules.of(1)
    for count in (2, 3):
        answers = [
            log_average(told[[at % 4 for at in core]])
            for first in range(8, 128, 3)
            for core in combinations(range(first, first + 3), count)
        ]
        rule = fused.rules.of(count)
        below = np.mean([answer.max() < rule.threshold - 1e-9 for answer in answers])
        assert below == pytest.approx(0.25, abs=0.1)
        assert rule.coverage == 0.8


def test_rules_for_several_scans_need_cores_that_were_scanned_several_times(
    weights: Path, limits: Limits
) -> None:
    with pytest.raises(InputError, match="set-7: holds fewer than 40 calibration cores"):
        with_fused_rules(Classifier(read_model(weights), limits), _Stacks(view_px=128))
    with pytest.raises(InputError, match="has no limits to add to"):
        with_fused_rules(Classifier(read_model(weights)), _Stacks())


class _Stacks:
    """Eight stacks to learn from, forty to calibrate, one to test, scores by turns."""

    def __init__(
        self,
        calibration_count: int = 40,
        scan_count: int = 1,
        view_px: int = 512,
    ) -> None:
        parts = [Part.TRAIN] * 8 + [Part.CALIBRATE] * calibration_count + [Part.TEST]
        self._parts = parts
        self.looked_at: set[Part] = set()
        self.largest_view_px = view_px
        self._stacks = reduced_views(np.stack([_tissue(seed) for seed in range(4)]), 512 // view_px)
        self.samples: Sequence[Sample] = [
            replace(
                sample_of_file(Path(f"S_1_A{(n - 8) // scan_count + 9}.tif")),
                score=Score((n - 8) // scan_count % 4),
            )
            for n in range(len(parts))
        ]

    name = "set-7"
    kept_views: Rgb | None = None

    def part(self, part: Part) -> list[int]:
        return [n for n, each in enumerate(self._parts) if each is part]

    def stack(self, index: int, view_px: int, rng: np.random.Generator | None = None) -> Rgb:
        del view_px, rng
        self.looked_at.add(self._parts[index])
        return np.asarray(self._stacks[index % 4], np.uint8)


@cache
def _tissue(seed: int) -> Rgb:
    """Speckle as coarse as cells, denser with the seed, on a stack with some glass."""
    rng = np.random.default_rng(seed)
    views = []
    for _ in range(5):
        cells = cv2.resize(rng.normal(0, 1, (64, 64)).astype(np.float32), (512, 512))
        density = np.clip(0.2 + 0.05 * seed + 0.12 * cells, 0.02, None)[..., None] * [0.6, 0.7, 0.5]
        view = 250 * 10**-density
        view[:, :60] = 250
        views.append(view)
    return np.asarray(views, np.uint8)
