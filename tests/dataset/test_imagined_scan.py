"""Imagined scans do to a core what they say."""

from dataclasses import replace

import numpy as np
import pytest

from blurryscope.basics.image import Rgb
from blurryscope.dataset.imagined_scan import (
    ImaginedDevice,
    imagined_scan,
    random_device,
    set_up_again,
)

_PERFECT = ImaginedDevice(
    pixel_size_um=1.0,
    blur_um=0.0,
    focus_um=0.0,
    contrast=1.0,
    colour_mixing=np.eye(3),
    glass=np.full(3, 200.0),
    balance="divided",
    balance_error=np.ones(3),
    white=255.0,
    abutted=False,
    tile_cast=0.0,
    shading=0.0,
    noise=0.0,
    jpeg_quality=100,
    lost_share=0.0,
)


def test_a_perfect_device_changes_next_to_nothing() -> None:
    light = _striped()
    seen = _seen(light, _PERFECT)
    assert np.abs(seen.astype(int) - light.astype(int)).mean() < 3


def test_blur_takes_detail_along_x_and_leaves_detail_along_y() -> None:
    device = replace(_PERFECT, blur_um=40.0)
    along_x = _seen(_striped(), device)[:, 60:-60].std(axis=1).mean()
    along_y = _seen(np.ascontiguousarray(_striped().swapaxes(0, 1)), device).std(axis=0).mean()
    assert along_x < 6 < 30 < along_y


def test_a_flat_camera_scales_the_optical_density() -> None:
    light = np.full((64, 64, 3), 255, np.uint8)
    light[16:48, 16:48] = 64
    seen = _seen(light, replace(_PERFECT, contrast=0.5))
    assert seen[32, 32].mean() == pytest.approx(255 * (64 / 255) ** 0.5, abs=3)


def test_glare_adds_the_same_light_everywhere() -> None:
    light = np.full((64, 64, 3), 255, np.uint8)
    light[16:48, 16:48] = 64
    seen = _seen(light, replace(_PERFECT, glare=0.6))
    assert seen[32, 32].mean() == pytest.approx(0.6 * 255 + 0.4 * 64, abs=3)
    assert seen[4, 4].mean() == pytest.approx(255, abs=2)


def test_the_authors_subtraction_darkens_what_is_brighter_than_the_glass_too() -> None:
    device = replace(_PERFECT, balance="folded", balance_error=np.full(3, 0.9))
    assert _seen(np.full((32, 32, 3), 255, np.uint8), device).mean() == pytest.approx(235, abs=2)


def test_frames_pasted_edge_to_edge_repeat_tissue() -> None:
    light = _striped(600)
    seen = _seen(light, replace(_PERFECT, abutted=True))
    assert seen.shape[1] > 1.2 * light.shape[1]


def test_a_slide_put_in_again_is_focused_anew_and_seen_by_the_same_camera() -> None:
    rng = np.random.default_rng(4)
    first = random_device(rng)
    second = set_up_again(first, rng)
    assert second.focus_um != first.focus_um
    assert second.balance_error == pytest.approx(first.balance_error, rel=0.06)
    unmoved = replace(second, focus_um=first.focus_um, balance_error=first.balance_error)
    assert unmoved == first


def test_a_device_is_repeated_by_its_seed() -> None:
    light = _striped()
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(4)
        pictures.append(imagined_scan(light, random_device(rng), rng))
    np.testing.assert_array_equal(pictures[0], pictures[1])


def _seen(light: Rgb, device: ImaginedDevice) -> Rgb:
    return imagined_scan(light, device, np.random.default_rng(0))


def _striped(side: int = 240) -> Rgb:
    """Columns, 10 pixels bright and 10 dark."""
    columns = np.where(np.arange(side) // 10 % 2, 240, 140).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (side, side, 3)))
