"""A classifier scores what is fit to be scored and says why not otherwise."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from threadpoolctl import threadpool_info, threadpool_limits

from blurryscope.artifacts.predictions import Decision
from blurryscope.artifacts.samples import sample_of_file
from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.fusing import log_average
from blurryscope.basics.image import Rgb
from blurryscope.classify.efin import EFIN
from blurryscope.classify.gate import objection, stack_quality
from blurryscope.classify.model_file import ModelSettings, save_model
from blurryscope.classify.networks import CoreNet
from blurryscope.classify.predict import Classifier, load_model
from blurryscope.classify.shipped import SHIPPED

_SAMPLE = sample_of_file(Path("S_1_A1_2.tif"))


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_model(path, CoreNet(8), ModelSettings(network="corenet", width=8, temperature=2.0))
    return path


def test_probabilities_come_in_rows_that_sum_to_one(small_model: Path) -> None:
    rows = load_model(small_model).predict(np.stack([_tissue(seed) for seed in range(3)]))
    assert rows.shape == (3, 4)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)


def test_a_stack_scores_the_same_alone_and_among_others(small_model: Path) -> None:
    classifier = load_model(small_model)
    stacks = np.stack([_tissue(seed) for seed in range(3)])
    np.testing.assert_allclose(
        classifier.predict(stacks)[1], classifier.predict(stacks[1:2])[0], atol=1e-6
    )


def test_a_stack_scores_the_same_in_any_company_and_on_any_number_of_threads() -> None:
    classifier = load_model()
    stacks = np.stack([_tissue(seed)[:, ::4, ::4] for seed in range(5)])
    alone = np.concatenate([classifier.predict(stack[None]) for stack in stacks])
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            np.testing.assert_allclose(classifier.predict(stacks), alone, atol=1e-5)
            np.testing.assert_allclose(classifier.predict(stacks[::-1])[::-1], alone, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_scoring_leaves_the_threads_of_others_as_they_were() -> None:
    def counts() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    classifier = load_model()
    with threadpool_limits(2):
        before = counts()
        assert classifier.score(_SAMPLE, _tissue(1)[:, ::4, ::4]).probabilities is not None
        assert counts() == before


def test_a_reduced_stack_scores_as_the_full_one_does() -> None:
    classifier = load_model()
    full = _tissue(1)
    small = reduced_views(full[None], len(full[0]) // classifier.stack_px)[0]
    assert stack_quality(small) == stack_quality(full)
    assert classifier.score(_SAMPLE, small) == classifier.score(_SAMPLE, full)


def test_a_speck_of_dirt_decides_no_score() -> None:
    classifier = load_model()
    pale = _pale(_tissue(1)[:, ::4, ::4])
    dirty = pale.copy()
    dirty[2, 60:66, 60:70] = 10
    clean, told = (classifier.score(_SAMPLE, stack) for stack in (pale, dirty))
    assert clean.probabilities is not None
    assert told.probabilities == pytest.approx(clean.probabilities, abs=0.05)
    unclean = np.abs(np.diff(classifier.predict(np.stack([pale, dirty])), axis=0))
    assert unclean.max() > 0.1


def test_scoring_together_is_scoring_one_by_one(small_model: Path) -> None:
    classifier = load_model(small_model)
    blank = np.full((5, 512, 512, 3), 255, np.uint8)
    stacks = np.stack([_tissue(1), blank, _tissue(2)])
    together = classifier.score_all([_SAMPLE] * 3, stacks)
    for one, stack in zip(together, stacks, strict=True):
        alone = classifier.score(_SAMPLE, stack)
        assert (one.decision, one.score, one.reason) == (alone.decision, alone.score, alone.reason)
        np.testing.assert_allclose(one.probabilities or (), alone.probabilities or (), atol=1e-6)


def test_a_confidence_below_the_threshold_gives_no_score(small_model: Path) -> None:
    classifier = load_model(small_model)
    sure = classifier.score(_SAMPLE, _tissue(1), threshold=0.0)
    unsure = classifier.score(_SAMPLE, _tissue(1), threshold=1.0)
    assert (sure.decision, sure.score) == (Decision.SCORED, sure.most_probable)
    assert unsure.decision is Decision.INDETERMINATE
    assert "is below 1.00" in unsure.reason


def test_other_crops_have_a_say_where_a_core_is_unsure() -> None:
    classifier = load_model()
    stack, others = _small(_tissue(1, blue=0.6)), _others(blue=0.65)
    alone = classifier.predict(np.stack([stack, *others]))
    assert alone[0].max() < 0.65
    (asked,) = classifier.score_and_see([_SAMPLE], stack[None], further=[others])
    assert asked.prediction.probabilities == pytest.approx(log_average(alone), abs=1e-5)
    assert asked.prediction.probabilities != pytest.approx(alone[0], abs=0.02)


def test_other_crops_are_not_asked_where_a_core_is_sure() -> None:
    classifier = load_model()
    stack = _small(_tissue(1))
    alone = classifier.score(_SAMPLE, stack)
    assert (alone.confidence or 0.0) > 0.7
    (asked,) = classifier.score_and_see([_SAMPLE], stack[None], further=[_others(blue=0.65)])
    assert asked.prediction == alone


def test_a_core_that_is_referred_keeps_its_own_answer_for_the_record() -> None:
    classifier = load_model()
    stack = _small(_tissue(1, blue=0.8))
    alone = classifier.score(_SAMPLE, stack)
    assert alone.decision is Decision.REFER
    assert (alone.confidence or 1.0) < 0.65
    (asked,) = classifier.score_and_see([_SAMPLE], stack[None], further=[_others(blue=0.5)])
    assert asked.prediction == alone


def test_a_blank_stack_is_withheld(small_model: Path) -> None:
    blank = np.full((5, 512, 512, 3), 255, np.uint8)
    prediction = load_model(small_model).score(_SAMPLE, blank)
    assert prediction.decision is Decision.WITHHELD
    assert prediction.reason == "100 % of the overview is blank: not scanned, or overexposed"


def test_a_masked_stack_is_withheld_whatever_was_done_to_its_light() -> None:
    masked = _tissue(1)
    masked[-1, :, 130:] = 255
    for light in (1.0, 0.5, np.array([0.85, 1.0, 1.0])):
        dimmed = (masked * light).astype(np.uint8)
        assert "blank" in (objection(stack_quality(dimmed)) or "")


def test_an_overexposed_stack_is_withheld_for_that() -> None:
    bright = np.minimum(_tissue(1).astype(np.float32) * 2, 255).astype(np.uint8)
    assert "overexposed" in (objection(stack_quality(bright)) or "")


def test_glass_with_a_little_noise_is_withheld() -> None:
    glass = np.random.default_rng(0).integers(240, 250, (5, 512, 512, 3), dtype=np.uint8)
    assert "hardly any tissue" in (objection(stack_quality(glass)) or "")


def test_a_stack_out_of_focus_is_withheld_and_one_blurred_along_the_scan_is_not() -> None:
    sharp = _tissue(2)
    along = np.stack([cv2.blur(view, (54, 1)) for view in sharp])
    defocused = np.stack([cv2.GaussianBlur(view, (0, 0), 18) for view in sharp])
    assert objection(stack_quality(along)) is None
    assert "out of focus" in (objection(stack_quality(defocused)) or "")


def test_the_shipped_model_loads_and_scores() -> None:
    classifier = load_model()
    assert classifier.limits is not None
    prediction = classifier.score(_SAMPLE, _tissue(3))
    assert prediction.decision is not Decision.WITHHELD


def test_the_paper_network_takes_the_same_stacks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "efin.safetensors"
    settings = ModelSettings(network="efin", width=3, size_px=32, classes=2, bgr=True)
    save_model(path, EFIN(2, size_px=32, width=3), settings)
    row = load_model(path).predict(np.ascontiguousarray(_tissue(1)[None, :, :32, :32]))[0]
    assert row[0] == row[1]
    assert row.sum() == pytest.approx(1.0)


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"\x80\x04 a pickle could be anything")
    with pytest.raises(InputError, match="is not a safetensors file"):
        load_model(path)


def test_a_model_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=SHIPPED):
        load_model("no-such-model")
    with pytest.raises(MissingInputError):
        load_model(tmp_path / "none.safetensors")


def test_weights_that_do_not_fit_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, CoreNet(8), ModelSettings(network="corenet", width=16))
    with pytest.raises(InputError, match=r"has shape \(\d+.*not \(\d+"):
        load_model(path)


def test_a_network_of_the_future_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, CoreNet(8), ModelSettings(network="corenet-9", width=8))
    with pytest.raises(InputError, match="is not known"):
        load_model(path)


def test_settings_that_no_network_can_have_are_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    weights = {"a": np.zeros(3, np.float32)}
    save_file(weights, path, metadata={"blurryscope": '{"network": "efin", "width": -3}'})
    with pytest.raises(InputError, match=r"safetensors, width: .* greater than 0, got -3"):
        load_model(path)
    told = '{"network": "efin", "width": 3, "size_px": 17}'
    save_file(weights, path, metadata={"blurryscope": told})
    with pytest.raises(InputError, match=r"settings of no network .*multiple of 16, got 17"):
        load_model(path)


def test_stacks_of_another_kind_are_refused(small_model: Path) -> None:
    classifier: Classifier = load_model(small_model)
    with pytest.raises(ValueError, match="float64"):
        classifier.predict(np.zeros((1, 5, 64, 64, 3)))  # type: ignore[arg-type]


def _others(blue: float) -> Rgb:
    """Two more stacks, (stack, view, row, col, rgb)."""
    return np.stack([_small(_tissue(seed, blue=blue)) for seed in (2, 3)])


def _small(stack: Rgb) -> Rgb:
    return stack[:, ::4, ::4]


def _pale(stack: Rgb) -> Rgb:
    return (240 - (255 - stack.astype(np.int64)) // 3).astype(np.uint8)


def _tissue(seed: int, blue: float = 0.5) -> Rgb:
    """Speckle as coarse as cells, on a stack with some glass; the more `blue` the browner."""
    rng = np.random.default_rng(seed)
    views = []
    for _ in range(5):
        cells = cv2.resize(rng.normal(0, 1, (64, 64)).astype(np.float32), (512, 512))
        density = np.clip(0.25 + 0.12 * cells, 0.02, None)[..., None] * [0.6, 0.7, blue]
        view = 250 * 10**-density
        view[:, :60] = 250
        views.append(view)
    return np.asarray(views, np.uint8)
