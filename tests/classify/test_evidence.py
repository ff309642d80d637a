"""Maps of evidence lie where it was, say nothing of glass, and depend on what was learnt."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from blurryscope.artifacts.samples import sample_of_file
from blurryscope.artifacts.view_places import ViewPlace
from blurryscope.basics.her2 import Score
from blurryscope.basics.image import Grey, Mask, Rgb
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.classify.evidence import core_map, view_evidence
from blurryscope.classify.learners import as_views
from blurryscope.classify.model_file import read_model
from blurryscope.classify.networks import CoreNet
from blurryscope.classify.predict import load_model
from blurryscope.classify.shipped import SHIPPED
from blurryscope.dataset.views import prepare_core
from blurryscope.simulator.appearance import random_appearance
from blurryscope.simulator.core import draw_core
from tests.classify.plain_evidence import plain_evidence

_PIXEL_UM, _BLUR_UM = 1.44, 39.0
_SAMPLE = sample_of_file(Path("S_1_A1_2.tif"))


def test_clear_glass_is_evidence_of_nothing() -> None:
    torch.manual_seed(0)
    views = torch.full((1, 5, 3, 64, 64), 240.0)
    found = view_evidence(CoreNet(width=8).eval(), views)
    assert np.abs(found.maps).max() < 1e-4


def test_a_map_stays_where_its_tissue_is() -> None:
    torch.manual_seed(0)
    views = torch.full((1, 5, 3, 64, 64), 240.0)
    views[:, 2, :, 8:24, 40:56] = torch.tensor([150.0, 110.0, 80.0])[:, None, None]
    found = view_evidence(CoreNet(width=8).eval(), views)
    spot = np.abs(found.maps[0, 2, 8:24, 40:56]).mean()
    assert spot > 5 * np.abs(found.maps[0, 2, 40:, :24]).mean()
    assert spot > 5 * np.abs(found.maps[0, 0]).mean()
    assert found.attention.sum() == pytest.approx(1.0, abs=1e-5)


def test_evidence_of_a_crop_and_of_the_whole_meet_at_one_place_of_the_core() -> None:
    """One spot at row 300, column 500 of a picture of 800 x 1000, in a square of 1000."""
    whole = ViewPlace(top_px=-100.0, left_px=0.0, side_px=1000.0)
    crop = ViewPlace(top_px=200.0, left_px=350.0, side_px=250.0)
    maps = np.zeros((2, 100, 100), np.float32)
    maps[0, 40, 60] = 1.0
    maps[1, 40, 50] = 1.0
    for attention in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        laid = core_map(maps, np.array(attention, np.float32), [crop, whole], (800, 1000))
        assert laid.shape == (80, 100)
        row, column = np.unravel_index(laid.argmax(), laid.shape)
        assert max(abs(int(row) - 30), abs(int(column) - 50)) <= 1


def test_views_that_agree_give_a_map_without_edges_at_their_borders() -> None:
    whole = ViewPlace(top_px=0.0, left_px=0.0, side_px=512.0)
    crop = ViewPlace(top_px=128.0, left_px=128.0, side_px=256.0)
    attention = np.array([0.6, 0.4], np.float32)
    even = np.broadcast_to(attention[:, None, None] / 128**2, (2, 128, 128)).astype(np.float32)
    laid = core_map(even, attention, [crop, whole], (512, 512))
    np.testing.assert_allclose(laid, 1.0, atol=0.06)


def test_the_shipped_network_sees_evidence_where_membranes_are_positive() -> None:
    shipped = read_model(SHIPPED).network
    assert isinstance(shipped, CoreNet)
    torch.manual_seed(1)
    unlearnt = CoreNet().eval()
    seen, unseen = [], []
    for seed in range(6):
        core, truth, tissue = _positive_core(seed)
        seen.append(_area(_map_of(shipped, core), truth, tissue))
        unseen.append(_area(_map_of(unlearnt, core), truth, tissue))
    assert np.mean(seen) > 0.65
    assert np.mean(seen) > np.mean(unseen) + 0.1


def _positive_core(seed: int) -> tuple[Rgb, Mask, Mask]:
    """A 2+ or 3+ as slides have them, blurred along x as by the stage."""
    rng = np.random.default_rng(seed)
    drawn = draw_core(
        (Score.TWO, Score.THREE)[seed % 2],
        diameter_um=700.0,
        pixel_size_um=_PIXEL_UM,
        rng=rng,
        appearance=random_appearance(rng),
    )
    blurred = cv2.blur(drawn.rgb, (round(_BLUR_UM / _PIXEL_UM), 1))
    return np.asarray(blurred, np.uint8), drawn.positive_membranes, drawn.tissue


def _map_of(network: CoreNet, core: Rgb) -> Grey:
    placed = prepare_core(core, pixel_size_um=_PIXEL_UM, view_px=128).placed_stack()
    found = view_evidence(network, as_views(placed.stack[None]))
    return core_map(found.maps[0], found.attention[0], placed.places, core.shape[:2])


def _area(evidence: Grey, membranes: Mask, tissue: Mask) -> float:
    """Area under the curve of the map against places rich in positive membranes, in tissue."""
    size = evidence.shape[::-1]
    share = cv2.resize(membranes.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    share = np.asarray(cv2.GaussianBlur(share, (0, 0), 2.0))
    inside = cv2.resize(tissue.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    rich = share >= 0.5 * np.quantile(share[inside], 0.9)
    return float(roc_auc_score(rich[inside], evidence[inside]))


def test_evidence_is_what_the_network_spelled_out_gives() -> None:
    shipped = read_model(SHIPPED).network
    assert isinstance(shipped, CoreNet)
    views = torch.from_numpy(
        np.random.default_rng(0).uniform(120, 240, (1, 5, 3, 128, 128)).astype(np.float32)
    )
    plain = plain_evidence(shipped, views).numpy()
    found = view_evidence(shipped, views).maps
    np.testing.assert_allclose(found, plain, atol=1e-5 * np.abs(plain).max())


def test_a_map_that_starts_from_what_the_score_saw_is_the_same() -> None:
    classifier = load_model(SHIPPED)
    stacks = [
        prepare_core(_positive_core(seed)[0], pixel_size_um=_PIXEL_UM, view_px=128).stack()
        for seed in range(2)
    ]
    for stack, scored in zip(
        stacks, classifier.score_and_see([_SAMPLE] * 2, np.stack(stacks)), strict=True
    ):
        alone, shared = classifier.evidence(stack), classifier.evidence(stack, scored.seen)
        assert scored.seen is not None
        assert alone is not None
        assert shared is not None
        np.testing.assert_allclose(shared.maps, alone.maps, atol=1e-5 * np.abs(alone.maps).max())
        np.testing.assert_allclose(shared.attention, alone.attention, atol=1e-5)


def test_threads_that_ask_at_once_get_what_each_gets_alone() -> None:
    classifier = load_model(SHIPPED)
    rng = np.random.default_rng(0)
    stacks = [rng.integers(120, 240, (5, 128, 128, 3), np.uint8) for _ in range(3)]
    for stack, at_once in zip(stacks, side_by_side(classifier.evidence, stacks), strict=True):
        alone = classifier.evidence(stack)
        assert at_once is not None
        assert alone is not None
        np.testing.assert_allclose(at_once.maps, alone.maps, atol=1e-6)
        np.testing.assert_allclose(at_once.attention, alone.attention, atol=1e-6)
