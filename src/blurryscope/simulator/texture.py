"""Random fields and small shapes, drawn without a loop over pixels or cells."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def smooth_field(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Field:
    """Noise that changes over about `scale_px`; (row, col) float32, mean 0, deviation about 1."""
    step_px = max(scale_px, 1.0)
    coarse = int(min(max(step_px // 5, 1), 8))  # cubic where it shows, linear for the rest: faster
    rows, columns = (math.ceil(size / step_px) + 4 for size in shape)
    knots = rng.standard_normal((rows, columns), np.float32)
    bends = (math.ceil(columns * step_px / coarse), math.ceil(rows * step_px / coarse))
    wide = cv2.resize(knots, bends, interpolation=cv2.INTER_CUBIC) if step_px > 1 else knots
    wide *= np.float32(1.25)  # interpolation lowers the deviation to about 0.8
    top, left = (int(rng.integers(1, round(step_px / coarse) + 2)) for _ in range(2))
    needed = (math.ceil(shape[0] / coarse) + 1, math.ceil(shape[1] / coarse) + 1)
    wide = wide[top : top + needed[0], left : left + needed[1]]
    if coarse > 1:
        wide = cv2.resize(wide, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(wide[: shape[0], : shape[1]])


def rough_field(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Field:
    """`smooth_field` with a second octave on top, as the outlines of living things have."""
    fine = smooth_field(shape, scale_px / 2.6, rng)
    return smooth_field(shape, scale_px, rng) * np.float32(0.92) + fine * np.float32(0.38)


def stretched_by(
    shape: tuple[int, int], stretch: float, angle_rad: float, sway: Field | None = None
) -> tuple[tuple[int, int], Field, Field]:
    """Where each pixel of `shape` looks in a narrower picture that is drawn out along a direction.

    0 rad is along x, growing towards y. `sway` shifts a pixel across the direction, in pixels.
    Gives the size of the narrow picture and the maps (column, row) for `cv2.remap`.
    """
    diagonal = math.hypot(*shape) + 4.0
    row = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(shape[0] / 2)
    column = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(shape[1] / 2)
    cosine, sine = np.float32(math.cos(angle_rad)), np.float32(math.sin(angle_rad))
    along = (column * cosine + row * sine + np.float32(diagonal / 2)) / np.float32(stretch)
    across = row * cosine - column * sine + np.float32(diagonal / 2)
    if sway is not None:
        across = across + sway
    return (math.ceil(diagonal), math.ceil(diagonal / stretch) + 1), along, across


def level_of_share(field: Field, share: float, within: NDArray[np.bool_]) -> float:
    """The value above which `share` of the field lies, judged on every eighth pixel of `within`."""
    sampled = field[::8, ::8][within[::8, ::8]]
    return float(np.quantile(sampled, 1.0 - share)) if sampled.size else 0.0


def jittered_grid(
    shape: tuple[int, int], spacing_px: float, rng: np.random.Generator, jitter: float = 0.45
) -> NDArray[np.int32]:
    """Points of a disturbed honeycomb that covers the picture; (point, [row, col]) int32."""
    row_step = spacing_px * math.sqrt(3) / 2
    rows = np.arange(0, shape[0] + row_step, row_step)
    columns = np.arange(0, shape[1] + spacing_px, spacing_px)
    grid_row, grid_column = np.meshgrid(rows, columns, indexing="ij")
    grid_column = grid_column + (np.arange(len(rows)) % 2)[:, None] * spacing_px / 2
    points = np.stack([grid_row.ravel(), grid_column.ravel()], axis=1)
    points += rng.normal(0.0, jitter * spacing_px / 1.7, points.shape)
    points = np.rint(points).astype(np.int32)
    inside = (points >= 0).all(axis=1) & (points[:, 0] < shape[0]) & (points[:, 1] < shape[1])
    return np.asarray(points[inside], np.int32)


def nucleus_bank(
    long_px: float, aspect: float, texture: float, rng: np.random.Generator, count: int = 96
) -> Field:
    """Pictures of `count` nuclei, (shape, row, col) in 0..1; entry i is turned by i / count * pi.

    `long_px` is half the long axis, `aspect` the short axis against the long one; `texture` makes
    chromatin clumped and the rim darker than the inside.
    """
    reach = math.ceil(long_px * 1.35) + 1
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    turn = (np.arange(count) * math.pi / count)[:, None, None]
    size = rng.uniform(0.8, 1.2, (count, 1, 1))
    along = (column * np.cos(turn) + row * np.sin(turn)) / (long_px * size)
    slim = np.clip(aspect * rng.uniform(0.85, 1.15, (count, 1, 1)), 0.2, 1.0)
    across = (-column * np.sin(turn) + row * np.cos(turn)) / (long_px * size * slim)
    direction = np.arctan2(across, along)
    wobble = sum(
        rng.uniform(0.0, 0.16 / order, (count, 1, 1))
        * np.cos(order * direction + rng.uniform(0, 2 * math.pi, (count, 1, 1)))
        for order in (2, 3, 4)
    )
    depth = 1.0 + wobble - np.hypot(along, across)  # 1 in the middle, 0 on the outline
    soft = 0.8 / long_px
    filled = np.clip(depth / soft + 0.5, 0.0, 1.0)
    rim = np.exp(-(((depth - 0.12) / 0.16) ** 2))
    speckle = rng.standard_normal((count, *row.shape), np.float32)
    clumps = np.stack([cv2.GaussianBlur(one, (0, 0), 1.0) for one in speckle]) * 2.2
    inner = 1.0 - texture * 0.45 + texture * (0.45 * rim + 0.25 * clumps)
    return np.asarray(filled * np.clip(inner, 0.25, 1.6), np.float32)


def stamp(
    plane: Field, points: NDArray[np.int32], pictures: Field, strength: NDArray[np.float32]
) -> None:
    """Lay `pictures[i] * strength[i]` over `plane` at (row, col) `points[i]`, the darker one wins.

    Points whose picture would reach over the edge are left out.
    """
    reach = pictures.shape[1] // 2
    rows, columns = plane.shape
    fits = (points >= reach).all(axis=1)
    fits &= (points[:, 0] < rows - reach) & (points[:, 1] < columns - reach)
    points, pictures, strength = points[fits], pictures[fits], strength[fits]
    offset = np.arange(-reach, reach + 1, dtype=np.int32)
    patch = (offset[:, None] * columns + offset[None, :]).ravel()
    place = (points[:, 0] * columns + points[:, 1])[:, None] + patch[None, :]
    values = pictures.reshape(len(pictures), -1) * strength[:, None]
    lit = values > 0  # a picture's empty corners must not wipe out its neighbour
    np.maximum.at(plane.reshape(-1), place[lit], values[lit])
