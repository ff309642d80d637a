"""The shared real arrays again, each spoilt in many ways: what was tuned on six must hold for more.

    python benchmarks/bench_dearray_perturbed.py [--slides NAME,…] [--ways NAME,…]

Turned, scaled, blurred, compressed, relit, restained, cropped, framed in black, written on, dusty,
with cores taken out. No way may bring a silent error: less than 98 % right and nobody asked.
"""

import argparse
import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from bench_dearray import SHARED, THREE_BLOCKS, Outcome, TrueCore, judge, layout_of, print_table
from numpy.typing import NDArray

from blurryscope.basics.core_name import CoreName
from blurryscope.basics.image import Rgb, to_uint8
from blurryscope.tma.find import find_cores
from blurryscope.tma.picture import PlainPicture, open_slide
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import map_of
from blurryscope.tma.white_balance import find_white_balance

Floats = NDArray[np.float64]
FOLDER = SHARED / "tma-overviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A real array with its circles."""

    rgb: Rgb
    names: tuple[str, ...]
    xy: Floats
    radius_px: float
    gone: NDArray[np.bool_]

    @property
    def white(self) -> Floats:
        return find_white_balance(self.rgb).white


Spoil = Callable[[Array, np.random.Generator], Array]


def read_array(name: str) -> Array:
    with (FOLDER / f"{name}.grid.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Array(
        rgb=open_slide(FOLDER / f"{name}.png").read_level(0),
        names=tuple(row["core"] for row in rows),
        xy=np.array([(float(row["x"]), float(row["y"])) for row in rows]),
        radius_px=float(rows[0]["radius"]),
        gone=np.zeros(len(rows), bool),
    )


def turned(degrees: float) -> Spoil:
    def spoil(array: Array, _: np.random.Generator) -> Array:
        rows, columns = array.rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
        cosine, sine = np.abs(matrix[0, :2])
        width, height = int(columns * cosine + rows * sine), int(rows * cosine + columns * sine)
        matrix[:, 2] += ((width - columns) / 2, (height - rows) / 2)
        red, green, blue = array.white
        rgb = cv2.warpAffine(array.rgb, matrix, (width, height), borderValue=(red, green, blue))
        xy = array.xy @ matrix[:, :2].T + matrix[:, 2]
        return replace(array, rgb=np.asarray(rgb, np.uint8), xy=np.asarray(xy))

    return spoil


def scaled(factor: float) -> Spoil:
    def spoil(array: Array, _: np.random.Generator) -> Array:
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        rgb = cv2.resize(array.rgb, None, fx=factor, fy=factor, interpolation=method)
        return replace(
            array,
            rgb=np.asarray(rgb, np.uint8),
            xy=(array.xy + 0.5) * factor - 0.5,
            radius_px=array.radius_px * factor,
        )

    return spoil


def blurred(along_x: float, along_y: float) -> Spoil:
    """Lengths in radii of a core."""

    def spoil(array: Array, _: np.random.Generator) -> Array:
        size = (
            max(round(along_x * array.radius_px), 1),
            max(round(along_y * array.radius_px), 1),
        )
        return replace(array, rgb=np.asarray(cv2.blur(array.rgb, size), np.uint8))

    return spoil


def compressed(quality: int) -> Spoil:
    def spoil(array: Array, _: np.random.Generator) -> Array:
        data = cv2.imencode(".jpg", array.rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return array if rgb is None else replace(array, rgb=np.asarray(rgb, np.uint8))

    return spoil


def relit(*gain: float) -> Spoil:
    def spoil(array: Array, _: np.random.Generator) -> Array:
        return replace(array, rgb=to_uint8(np.maximum(array.rgb * np.array(gain), 1)))

    return spoil


def restained(factor: float) -> Spoil:
    def spoil(array: Array, rng: np.random.Generator) -> Array:
        density = -np.log10(np.maximum(array.rgb, 1) / array.white)
        light = array.white * 10 ** (-density * factor) + rng.normal(0, 1.5, density.shape)
        return replace(array, rgb=to_uint8(np.maximum(light, 1)))

    return spoil


def cropped(margin: float) -> Spoil:
    """`margin` in radii around the outermost circles."""

    def spoil(array: Array, _: np.random.Generator) -> Array:
        reach = (1 + margin) * array.radius_px
        left, top = np.maximum(np.floor(array.xy.min(axis=0) - reach).astype(int), 0)
        right, bottom = np.ceil(array.xy.max(axis=0) + reach).astype(int)
        rgb = np.ascontiguousarray(array.rgb[top:bottom, left:right])
        return replace(array, rgb=rgb, xy=array.xy - (left, top))

    return spoil


def framed_in_black(array: Array, _: np.random.Generator) -> Array:
    reach = 1.6 * array.radius_px
    left, top = np.maximum((array.xy.min(axis=0) - reach).astype(int), 0)
    right, bottom = (array.xy.max(axis=0) + reach).astype(int)
    rgb = np.zeros_like(array.rgb)
    rgb[top:bottom, left:right] = array.rgb[top:bottom, left:right]
    return replace(array, rgb=rgb)


def without_cores(share: float) -> Spoil:
    def spoil(array: Array, rng: np.random.Generator) -> Array:
        rgb = array.rgb.copy()
        gone = rng.random(len(array.names)) < share
        rows, columns = np.indices(rgb.shape[:2])
        away = np.stack([np.hypot(columns - x, rows - y) for x, y in array.xy])
        nearest = np.argmin(away, axis=0)
        for index in np.flatnonzero(gone):
            disc = (away[index] < 1.1 * array.radius_px) & (nearest == index)
            rim = (away[index] < 1.6 * array.radius_px) & ~disc
            glass = np.quantile(rgb[rim], 0.7, axis=0)
            noise = rng.normal(0, 1.0, (np.count_nonzero(disc), 3))
            rgb[disc] = to_uint8(np.maximum(glass + noise, 1))
        return replace(array, rgb=rgb, gone=array.gone | gone)

    return spoil


def written_on(array: Array, rng: np.random.Generator) -> Array:
    rgb = array.rgb.copy()
    for ink in ((20, 30, 90), (10, 90, 40), (15, 15, 15)):
        start, turn = rng.uniform(0, rgb.shape[1::-1]), rng.uniform(0, np.pi)
        way = rng.uniform(3, 10) * array.radius_px * np.array([np.cos(turn), np.sin(turn)])
        thick = max(round(rng.uniform(0.1, 0.6) * array.radius_px), 1)
        ends = [tuple(int(v) for v in at) for at in (start, start + way)]
        cv2.line(rgb, (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]), ink, thick)
    return replace(array, rgb=rgb)


def dusty(array: Array, rng: np.random.Generator) -> Array:
    rgb = array.rgb.copy()
    for _ in range(150):
        x, y = rng.uniform(0, rgb.shape[1::-1])
        grey = int(rng.uniform(20, 180))
        radius = max(int(rng.uniform(0.05, 0.3) * array.radius_px), 1)
        cv2.circle(rgb, (int(x), int(y)), radius, (grey, grey, grey), -1)
    return replace(array, rgb=rgb)


def unevenly_lit(array: Array, _: np.random.Generator) -> Array:
    rows, columns = np.indices(array.rgb.shape[:2])
    across, down = columns / columns.max() - 0.6, rows / rows.max() - 0.3
    lanes = (rows // int(2.3 * array.radius_px)) % 2
    light = 1 - 0.12 * (across**2 + down**2) - 0.03 * lanes
    return replace(array, rgb=to_uint8(np.maximum(array.rgb * light[..., None], 1)))


def all_of(*spoils: Spoil) -> Spoil:
    def spoil(array: Array, rng: np.random.Generator) -> Array:
        for each in spoils:
            array = each(array, rng)
        return array

    return spoil


WAYS: Mapping[str, Spoil] = {
    "as it is": all_of(),
    "turned 9": turned(-9),
    "turned 14": turned(14),
    "half size": scaled(0.5),
    "three times": scaled(3.0),
    "blurred along": blurred(0.6, 0),
    "blurred across": blurred(0, 0.25),
    "jpeg 20": compressed(20),
    "warm lamp": relit(1.0, 0.9, 0.72),
    "pale": restained(0.45),
    "dark": restained(2.2),
    "cropped": cropped(0.15),
    "black frame": framed_in_black,
    "15 % gone": without_cores(0.15),
    "ink": written_on,
    "dust": dusty,
    "uneven light": unevenly_lit,
    "several": all_of(turned(-5), blurred(0.25, 0), restained(0.6), compressed(40)),
    "many": all_of(scaled(2.2), blurred(0.3, 0), without_cores(0.08), compressed(60)),
}


def outcome(name: str, way: str, number: int) -> Outcome:
    array = WAYS[way](read_array(name), np.random.default_rng(number))
    layout = layout_of(name) if name in THREE_BLOCKS else None
    truth = [
        TrueCore(
            name=CoreName.parse(core),
            x_px=float(x),
            y_px=float(y),
            within_px=0.75 * array.radius_px,
            is_missing=bool(gone),
        )
        for core, (x, y), gone in zip(array.names, array.xy, array.gone, strict=True)
    ]
    picture = PlainPicture(array.rgb)
    start = time.process_time()
    found = find_cores(picture, map_of(array.names), TmaSettings(layout=layout))
    return judge(way, found, truth, time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", default="")
    parser.add_argument("--ways", default="")
    options = parser.parse_args()
    if not FOLDER.is_dir():
        raise SystemExit(f"{FOLDER} is not there")
    every = sorted(path.name.removesuffix(".grid.csv") for path in FOLDER.glob("*.grid.csv"))
    outcomes: list[Outcome] = []
    for name in options.slides.split(",") if options.slides else every:
        ways = options.ways.split(",") if options.ways else list(WAYS)
        here = [outcome(name, way, number) for number, way in enumerate(ways)]
        print_table(name, here)
        outcomes += here
    print_table("All together", outcomes, each=False)


if __name__ == "__main__":
    main()
