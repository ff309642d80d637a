"""Core pictures as some microscope might have left them: training data wider than any one device.

The pipeline's own simulator films a whole slide exactly; here only what reaches a stack matters,
and it is drawn far apart, so that a network sees every fault before it meets a real one.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.simulator.exposure import blur_along_scan

_FIELD_UM = (480 * 0.72, 640 * 0.72)
"""A frame along and across the scan, as in the authors' released images."""
_BAND_ROWS = 32
_GLASS_AGAIN = 0.012
"""Between two places of clear glass; what a white balance that succeeds is wrong by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaginedDevice:
    """What one scan does to the light through a core. `random_device` draws one."""

    pixel_size_um: float
    blur_um: float
    focus_um: float
    """Standard deviation of the defocus blur."""
    contrast: float
    """Optical density that arrives against what the section has; the camera's curve takes the rest.
    """
    colour_mixing: NDArray[np.float64]
    """(3, 3): how the camera's channels see each other's density; rows sum to about 1."""
    glass: NDArray[np.float64]
    """(3,): camera values of clear glass, 0..255."""
    balance: str
    """`divided`, `folded` (the authors' subtraction, see below) or `none`."""
    balance_error: NDArray[np.float64]
    """(3,): the glass that the balance assumes, as a factor of the true one."""
    white: float
    """What the balance makes of glass."""
    abutted: bool
    """Frames pasted edge to edge, overlaps repeated, as in the authors' mosaics."""
    tile_cast: float
    """Standard deviation of each frame's own colour factor."""
    shading: float
    """Residue of the uneven light, centre against corner of a frame."""
    noise: float
    jpeg_quality: int
    lost_share: float
    """Share of the frames that are missing."""
    glare: float = 0.0
    """Share of all light that comes from everywhere, not through its place in the section."""


def random_device(rng: np.random.Generator) -> ImaginedDevice:
    """One microscope out of a wide world: half as ours should be, half as the authors' was."""
    legacy = bool(rng.random() < 0.45)
    mixing = np.eye(3) + rng.normal(0.0, 0.05, (3, 3))
    saturation = rng.uniform(0.65, 1.25) if rng.random() < 0.6 else 1.0
    mixing = saturation * mixing + (1 - saturation) * np.full((3, 3), 1 / 3)
    balances = ("divided", "folded", "none")
    # The authors' balance often fails outright and leaves glass yellow, pink or grey.
    error = rng.choice([0.04, 0.12], p=[0.7, 0.3]) if legacy else 0.012
    return ImaginedDevice(
        # Mostly coarse ones: the network sees 2.9 µm, and they cost less.
        pixel_size_um=float(
            rng.choice([rng.uniform(0.6, 0.8), rng.uniform(0.9, 1.4)], p=[0.12, 0.88])
        ),
        blur_um=float(rng.uniform(0.0, 60.0) * (rng.random() < 0.9)),
        focus_um=_drawn_focus_um(rng),
        contrast=float(rng.uniform(0.4, 1.1) if legacy else rng.uniform(0.75, 1.15)),
        colour_mixing=mixing,
        glass=rng.uniform(110, 240) * rng.normal(1.0, 0.04, 3).clip(0.85, 1.1),
        balance=str(rng.choice(balances, p=[0.35, 0.5, 0.15] if legacy else [0.95, 0, 0.05])),
        balance_error=rng.normal(1.0, error, 3).clip(0.75, 1.25),
        white=float(rng.uniform(238, 255)),
        abutted=legacy and bool(rng.random() < 0.8),
        tile_cast=float(min(rng.exponential(0.02 if legacy else 0.006), 0.06)),
        shading=float(rng.normal(0.0, 0.04 if legacy else 0.012)),
        noise=float(rng.exponential(1.0)),
        jpeg_quality=int(rng.integers(30, 95)),
        lost_share=float(rng.choice([0.0, 0.08], p=[0.85, 0.15])),
    )


def set_up_again(device: ImaginedDevice, rng: np.random.Generator) -> ImaginedDevice:
    """The same microscope for another scan of the same slide.

    The slide is put in and focused anew, another clear place is taken for the glass; light, camera
    and speed are as they were.
    """
    moved = rng.normal(1.0, _GLASS_AGAIN, 3)
    return replace(
        device,
        focus_um=_drawn_focus_um(rng),
        balance_error=(device.balance_error * moved).clip(0.75, 1.25),
    )


def _drawn_focus_um(rng: np.random.Generator) -> float:
    return float(rng.exponential(1.2))


def imagined_scan(light: Rgb, device: ImaginedDevice, rng: np.random.Generator) -> Rgb:
    """The core's picture after scan, mosaic and white balance, (row, col, rgb) uint8.

    `light` is the core as light through it, 255 where there is none to stop it, at the device's
    pixel size, such as `draw_core` gives.
    """
    dense = _through_camera(light, device)
    focus_px = max(device.focus_um / device.pixel_size_um, 0.3)
    soft = np.asarray(cv2.GaussianBlur(dense, (0, 0), focus_px), np.uint8)
    moved = blur_along_scan(soft, device.blur_um / device.pixel_size_um)
    cells = _frame_cells(moved.shape[:2], device, rng)
    seen = _as_filmed(moved, cells, device, rng)
    return _balanced(_compressed(seen, device.jpeg_quality), cells, device)


@dataclass(frozen=True, slots=True)
class _FrameCells:
    """Which frame shows each row and column of the mosaic, and where in the scene that is."""

    frame_rows: NDArray[np.intp]
    frame_columns: NDArray[np.intp]
    source_rows: NDArray[np.intp]
    source_columns: NDArray[np.intp]
    height_px: int
    width_px: int
    lost: NDArray[np.bool_]
    """(frame row, frame column)"""


def _through_camera(light: Rgb, device: ImaginedDevice) -> Rgb:
    """Glare and the camera's colours, by way of a table of densities."""
    level = device.glare + (1 - device.glare) * np.maximum(np.arange(256), 1) / 255.0
    log_of_level = np.log(level).astype(np.float32)
    mixed = cv2.transform(cv2.LUT(light, log_of_level), device.contrast * device.colour_mixing)
    cv2.exp(mixed, dst=mixed)
    return np.asarray(cv2.convertScaleAbs(mixed, alpha=255.0), np.uint8)


def _frame_cells(
    shape: tuple[int, ...], device: ImaginedDevice, rng: np.random.Generator
) -> _FrameCells:
    width, height = (round(length / device.pixel_size_um) for length in _FIELD_UM)
    if not device.abutted:
        height = max(8, round(height * rng.uniform(0.6, 1.0)))  # blended lanes, seams seldom seen
    step_x, step_y = width, height
    if device.abutted:
        step_x, step_y = round(width * rng.uniform(0.4, 0.75)), round(height * 0.62)
    frame_rows, source_rows = _laid_out(shape[0], height, step_y, rng)
    frame_columns, source_columns = _laid_out(shape[1], width, step_x, rng)
    lost = rng.random((frame_rows[-1] + 1, frame_columns[-1] + 1)) < device.lost_share
    return _FrameCells(frame_rows, frame_columns, source_rows, source_columns, height, width, lost)


def _laid_out(
    length: int, tile: int, step: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Frame number and scene position of every pixel along one axis of the mosaic."""
    start = int(rng.integers(tile))
    pixels = np.arange(start, start + max(length * tile // step, 1))
    frame = pixels // tile
    source = pixels - (tile - step) * frame - start
    return frame, np.clip(source, 0, length - 1)


def _as_filmed(
    scene: Rgb, cells: _FrameCells, device: ImaginedDevice, rng: np.random.Generator
) -> Rgb:
    """Frames pasted together under the lamp's uneven light, with the sensor's noise."""
    casts = _casts(cells, device, rng).take(cells.frame_columns, axis=1)
    y = ((np.arange(len(cells.frame_rows)) % cells.height_px) / cells.height_px - 0.5) ** 2
    x = ((np.arange(len(cells.frame_columns)) % cells.width_px) / cells.width_px - 0.5) ** 2
    seen = np.empty((len(y), len(x), 3), np.uint8)
    # In bands, which stay in the processor's cache: four times faster than the whole at once.
    for top in range(0, len(y), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        shown = scene[cells.source_rows[band]].take(cells.source_columns, axis=1)
        bowl = 1.0 + device.shading * (2 * (y[band, None] + x[None, :]) - 0.5)
        lit = shown * casts[cells.frame_rows[band]]
        lit *= bowl.astype(np.float32)[..., None]
        noise = rng.standard_normal(bowl.shape, np.float32) * np.float32(device.noise)
        lit += noise[..., None]
        seen[band] = cv2.convertScaleAbs(np.maximum(lit, 0.0, out=lit))  # rounds and clips
    return seen


def _casts(
    cells: _FrameCells, device: ImaginedDevice, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What each frame makes of white, (frame row, frame column, rgb) in 0..1."""
    casts = rng.normal(1.0, device.tile_cast, (*cells.lost.shape, 3)) * rng.normal(
        1.0, device.tile_cast, (*cells.lost.shape, 1)
    )
    return (casts * device.glass / 255.0).astype(np.float32)


def _compressed(rgb: Rgb, quality: int) -> Rgb:
    """Blocks and lost colour detail as a video codec leaves them."""
    _, packed = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"quality must be one that JPEG knows, got {quality}")
    return np.asarray(decoded[..., ::-1], np.uint8)


def _balanced(rgb: Rgb, cells: _FrameCells, device: ImaginedDevice) -> Rgb:
    assumed = device.glass * device.balance_error
    levels = np.arange(256)[:, None]
    if device.balance == "divided":
        table = levels / assumed * device.white
    elif device.balance == "folded":
        # The authors subtract one frame of glass in bytes; what is brighter darkens too.
        table = 255.0 - np.abs(levels - assumed)
    else:
        table = np.repeat(levels, 3, axis=1)
    result = np.asarray(cv2.LUT(np.ascontiguousarray(rgb), to_uint8(table)[None]), np.uint8)
    if cells.lost.any():
        result[cells.lost[cells.frame_rows[:, None], cells.frame_columns[None, :]]] = 0
    return result
