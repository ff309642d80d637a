import dataclasses

import numpy as np
import pytest

from blurryscope.basics.her2 import Score
from blurryscope.simulator.appearance import (
    Appearance,
    Architecture,
    MembranePattern,
    guideline_score,
    random_appearance,
    random_pattern,
    read_by_eye,
)
from blurryscope.simulator.core import DrawnCore, draw_core


def _draw(score: Score, seed: int, appearance: Appearance | None = None) -> DrawnCore:
    return draw_core(
        score,
        diameter_um=400.0,
        pixel_size_um=1.4,
        rng=np.random.default_rng(seed),
        appearance=appearance or Appearance(),
    )


def test_brown_grows_with_the_score_on_average() -> None:
    amounts = []
    for score in Score:
        cores = [
            _draw(score, seed, random_appearance(np.random.default_rng(seed))) for seed in range(16)
        ]
        amounts.append(np.mean([core.dab[core.tissue].mean() for core in cores]))
    assert amounts == sorted(amounts)
    assert amounts[3] > 2 * amounts[2] > 2 * amounts[1]


@pytest.mark.parametrize("score", Score)
def test_every_pattern_is_one_that_the_guideline_scores_so(score: Score) -> None:
    rng = np.random.default_rng(score)
    for _ in range(300):
        pattern = random_pattern(score, rng)
        stained = pattern.moderate_complete + pattern.faint_incomplete + pattern.intense_complete
        assert 0.0 <= stained <= 1.0 + 1e-9
        if pattern.intense_complete > 0.10:
            read = Score.THREE
        elif pattern.moderate_complete > 0.10 or pattern.intense_complete > 0.0:
            read = Score.TWO
        else:
            read = Score.ONE if pattern.faint_incomplete > 0.10 else Score.ZERO
        assert read is score


@pytest.mark.parametrize("architecture", Architecture)
def test_a_core_is_a_disc_of_its_diameter_on_clear_glass(architecture: Architecture) -> None:
    plain = Appearance(architecture=architecture, tear_fraction=0.0, tumour_fraction=0.3)
    core = _draw(Score.TWO, 5, plain)
    rows, columns = np.nonzero(core.tissue)
    for places in (rows, columns):
        assert (places.max() - places.min()) * 1.4 == pytest.approx(400.0, rel=0.15)
    assert (core.rgb[:5] == 255).all()
    assert core.rgb[core.tissue].mean() < 240
    assert core.rgb.shape == (*core.tissue.shape, 3)


def test_the_same_generator_state_draws_the_same_core() -> None:
    assert np.array_equal(_draw(Score.TWO, 3).rgb, _draw(Score.TWO, 3).rgb)


def test_tears_take_about_the_share_they_are_given() -> None:
    whole = _draw(Score.ONE, 8, Appearance(tear_fraction=0.0))
    torn = _draw(Score.ONE, 8, Appearance(tear_fraction=0.2))
    missing = 1 - torn.tissue.sum() / whole.tissue.sum()
    assert 0.08 < missing < 0.25


def test_a_fold_darkens_tissue_and_nothing_else() -> None:
    flat = _draw(Score.TWO, 4, Appearance())
    folded = _draw(Score.TWO, 4, dataclasses.replace(Appearance(), fold_count=2))
    assert folded.dab.sum() > 1.02 * flat.dab.sum()


@pytest.mark.parametrize("field", ["tumour_fraction", "tear_fraction"])
def test_a_share_above_one_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(Appearance(), **{field: 1.2})  # type: ignore[arg-type]


def test_a_core_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        draw_core(
            Score.ZERO,
            diameter_um=0.0,
            pixel_size_um=1.0,
            rng=np.random.default_rng(0),
            appearance=Appearance(),
        )


def test_readers_differ_near_the_bounds_and_nowhere_else() -> None:
    rng = np.random.default_rng(2)
    clear = MembranePattern(intense_complete=0.5, moderate_complete=0.3, faint_incomplete=0.1)
    close = MembranePattern(intense_complete=0.0, moderate_complete=0.105, faint_incomplete=0.5)
    assert {read_by_eye(clear, rng) for _ in range(200)} == {Score.THREE}
    assert {read_by_eye(close, rng) for _ in range(200)} == {Score.ONE, Score.TWO}


def test_a_reader_without_error_follows_the_guideline() -> None:
    rng = np.random.default_rng(4)
    for score in Score:
        for _ in range(100):
            assert guideline_score(random_pattern(score, rng)) is score


def test_dead_tumour_and_normal_glands_carry_no_stained_membranes() -> None:
    plain = Appearance(tear_fraction=0.0)
    area = _draw(Score.THREE, 6, plain).positive_membranes.sum()
    dead = _draw(Score.THREE, 6, dataclasses.replace(plain, necrosis_fraction=0.5))
    benign = _draw(Score.THREE, 6, dataclasses.replace(plain, benign_fraction=0.5))
    assert 0.3 * area < dead.positive_membranes.sum() < 0.75 * area
    assert 0.2 * area < benign.positive_membranes.sum() < 0.75 * area


def test_a_brown_rim_and_brown_cytoplasm_add_dab_without_membranes() -> None:
    plain = Appearance(tear_fraction=0.0)
    core = _draw(Score.ZERO, 7, plain)
    browned = _draw(Score.ZERO, 7, dataclasses.replace(plain, brown_edge=0.2, brown_cytoplasm=0.05))
    assert browned.dab.sum() > 1.5 * core.dab.sum()
    np.testing.assert_array_equal(browned.positive_membranes, core.positive_membranes)
