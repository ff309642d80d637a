"""Stacks show tissue, at one scale whatever the device, the same each time."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurryscope.artifacts.training_set import reduced_views
from blurryscope.basics.image import Rgb
from blurryscope.dataset.views import (
    OVERVIEW,
    STACK_SHAPE,
    VIEW_PIXEL_SIZE_UM,
    _percentile,
    find_tissue,
    make_stack,
    prepare_core,
)


def test_the_same_core_gives_the_same_stack() -> None:
    core = _disc(700)
    first = make_stack(core, pixel_size_um=0.72)
    np.testing.assert_array_equal(first, make_stack(core, pixel_size_um=0.72))


@pytest.mark.parametrize("rng_seed", [None, 5])
def test_a_smaller_stack_is_the_mean_of_the_full_one(rng_seed: int | None) -> None:
    core = np.random.default_rng(0).integers(90, 250, (1024, 1024, 3), dtype=np.uint8)
    full, small = (
        prepare_core(core, pixel_size_um=VIEW_PIXEL_SIZE_UM, view_px=view_px).stack(
            None if rng_seed is None else np.random.default_rng(rng_seed)
        )
        for view_px in (512, 64)
    )
    np.testing.assert_array_equal(reduced_views(full[None], 8)[0], small)


def test_crops_are_cut_where_the_tissue_is() -> None:
    core = _glass(1400, 1400)
    core[800:1300, 60:560] = (150, 110, 80)
    stack = make_stack(core, pixel_size_um=VIEW_PIXEL_SIZE_UM)
    assert find_tissue(stack[0]).mean() > 0.9


def test_crops_do_not_show_the_same_place_while_there_is_other_tissue() -> None:
    core = _glass(1100, 1100)
    columns = np.linspace(60, 200, 1100).astype(np.uint8)
    core[..., 0], core[..., 1], core[..., 2] = columns, columns[:, None], 120
    stack = make_stack(core, pixel_size_um=VIEW_PIXEL_SIZE_UM)
    places = {tuple(np.median(view.reshape(-1, 3), axis=0)) for view in stack[:OVERVIEW]}
    assert len(places) == 4


@pytest.mark.parametrize("pixel_size_um", [0.4, 1.0, 1.4])
def test_a_cell_is_equally_large_in_a_view_whatever_the_pixel_size(pixel_size_um: float) -> None:
    period_um = 40.0
    side = round(1000 / pixel_size_um)
    wave = np.sin(2 * np.pi * np.arange(side) * pixel_size_um / period_um)
    core = np.repeat((160 + 60 * wave).astype(np.uint8)[:, None, None], side, axis=1)
    view = make_stack(np.repeat(core, 3, axis=2), pixel_size_um=pixel_size_um)[0]
    spectrum = np.abs(np.fft.rfft(view[:, 256, 0].astype(float) - view.mean()))
    periods = int(spectrum.argmax())
    assert periods == pytest.approx(512 * VIEW_PIXEL_SIZE_UM / period_um, abs=1)


def test_a_small_core_lies_in_the_middle_of_its_own_glass() -> None:
    core = np.full((200, 260, 3), (240, 238, 236), np.uint8)
    core[50:150, 50:210] = 90
    stack = make_stack(core, pixel_size_um=VIEW_PIXEL_SIZE_UM)
    assert stack[0, 256, 256, 0] == 90
    assert (stack[:, :100] == (240, 238, 236)).all()


def test_what_no_frame_covered_becomes_glass() -> None:
    core = np.minimum(_disc(700), 240)
    core[:300] = 0
    stack = make_stack(core, pixel_size_um=VIEW_PIXEL_SIZE_UM)
    assert (stack[OVERVIEW, :200] == 240).all()
    black = np.zeros((600, 600, 3), np.uint8)
    assert (make_stack(black, pixel_size_um=VIEW_PIXEL_SIZE_UM) == 255).all()


def test_training_crops_differ_from_draw_to_draw_and_repeat_with_the_seed() -> None:
    core = _disc(1200)
    noise = np.random.default_rng(0).integers(0, 20, core.shape, dtype=np.uint8)
    core -= noise
    draw = [make_stack(core, pixel_size_um=0.72, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert (draw[0][:OVERVIEW] != draw[2][:OVERVIEW]).any()
    np.testing.assert_array_equal(draw[0][OVERVIEW], draw[2][OVERVIEW])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.floats(0.4, 1.4), st.none() | st.integers(0, 9))
def test_every_picture_gives_a_stack(
    rows: int, columns: int, pixel_size_um: float, seed: int | None
) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    stack = make_stack(
        np.full((rows, columns, 3), 120, np.uint8), pixel_size_um=pixel_size_um, rng=rng
    )
    assert stack.shape == STACK_SHAPE
    assert stack.dtype == np.uint8


def test_given_tissue_decides_where_crops_are_cut() -> None:
    core = np.full((1100, 1100, 3), 120, np.uint8)
    core[:500, :500] = 80
    tissue = np.zeros((1100, 1100), bool)
    tissue[:500, :500] = True
    stack = make_stack(core, tissue, pixel_size_um=VIEW_PIXEL_SIZE_UM)
    assert (stack[0] == 80).mean() > 0.9


def test_pale_tissue_is_tissue_and_noise_on_glass_is_not() -> None:
    rng = np.random.default_rng(5)
    core = (_glass(800, 800).astype(int) - 8 + rng.integers(-4, 5, (800, 800, 3))).astype(np.uint8)
    core[200:600, 200:600] -= np.array([20, 14, 6], np.uint8)
    tissue = find_tissue(core)
    assert tissue[250:550, 250:550].mean() > 0.98
    assert tissue[:150].mean() < 0.02


@pytest.mark.parametrize("view_px", [512, 128])
@pytest.mark.parametrize(("shape", "pixel_size_um"), [((1100, 1307), 0.56), ((420, 300), 0.9)])
def test_a_view_shows_what_lies_at_its_place_in_the_picture(
    shape: tuple[int, int], pixel_size_um: float, view_px: int
) -> None:
    rows, columns = (np.linspace(0, 200, length) for length in shape)
    core = np.empty((*shape, 3), np.uint8)
    core[..., 0], core[..., 1], core[..., 2] = rows[:, None], columns[None, :], 120
    prepared = prepare_core(core, pixel_size_um=pixel_size_um, view_px=view_px)
    stack, places = prepared.placed_stack()
    np.testing.assert_array_equal(stack, prepared.stack())
    for view, place in zip(stack, places, strict=True):
        is_picture = view[..., 2] == 120
        row, column = (np.argwhere(is_picture) + 0.5).T * place.side_px / view_px
        true_row = (place.top_px + row) / shape[0] * 200
        true_column = (place.left_px + column) / shape[1] * 200
        shown = view[is_picture].astype(float)
        assert np.abs(shown[:, 0] - true_row).max() < 2.0
        assert np.abs(shown[:, 1] - true_column).max() < 2.0


def test_further_stacks_show_other_tissue_and_are_the_same_at_every_call() -> None:
    rng = np.random.default_rng(3)
    core = np.full((2200, 2200, 3), 250, np.uint8)
    core[50:2150, 50:2150] = rng.integers(100, 200, (2100, 2100, 3))
    prepared = prepare_core(core, pixel_size_um=0.72, view_px=128)
    further = prepared.further_stacks(2)
    assert further.shape == (2, 5, 128, 128, 3)
    np.testing.assert_array_equal(further, prepared.further_stacks(2))
    crops = [prepared.stack()[:4], *further[:, :4]]
    assert len({crop.tobytes() for crop in np.concatenate(crops)}) == 12
    assert all(np.array_equal(stack[4], prepared.overview) for stack in further)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=300))
def test_the_quick_percentile_is_that_of_numpy(values: list[int]) -> None:
    levels = np.array(values, np.uint8)
    assert _percentile(levels) == pytest.approx(np.percentile(levels, 98), abs=1e-9)


def _glass(rows: int, columns: int) -> Rgb:
    return np.full((rows, columns, 3), 255, np.uint8)


def _disc(side: int) -> Rgb:
    core = np.ascontiguousarray(_glass(side, side))
    cv2.circle(core, (side // 2, side // 2), side * 2 // 5, (150, 120, 180), -1)
    return core
