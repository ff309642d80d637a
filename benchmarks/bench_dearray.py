"""How well cores are found and named: real arrays, the shared scans, random toys, wrong maps.

    python benchmarks/bench_dearray.py [--trials N]

Every table counts silent errors: slides with a wrong name that nobody would be asked about. There
must be none. Real material is taken from ../shared/data; where it is absent its table is left out.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.slide_map import SlideMap, read_slide_map
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.image import to_uint8
from blurryscope.tma.find import Dearrayed, find_cores
from blurryscope.tma.picture import PlainPicture, open_slide
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of

SHARED = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One slide."""

    slide: str
    core_count: int
    found_count: int
    right_count: int
    is_asked: bool
    margin: float
    seconds: float
    """Of processor time: benchmarks share machines with other work."""

    @property
    def is_silent_error(self) -> bool:
        return self.right_count < 0.98 * self.core_count and not self.is_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueCore:
    """A core as somebody who knows places it, in full-resolution pixels."""

    name: CoreName
    x_px: float
    y_px: float
    within_px: float
    is_missing: bool = False


def judge(slide: str, found: Dearrayed, truth: list[TrueCore], seconds: float) -> Outcome:
    """Right: within reach under its name; or told as missing, if it is."""
    by_name = {core.name: core for core in found.cores}
    there = np.array([(c.x_px, c.y_px) for c in found.cores if c.status.has_tissue])
    right = hits = 0
    for core in truth:
        mine = by_name.get(core.name)
        is_missing = mine is None or not mine.status.has_tissue
        if core.is_missing:
            right += is_missing
            continue
        hits += bool((np.hypot(*(there - (core.x_px, core.y_px)).T) < core.within_px).any())
        if mine is not None and not is_missing:
            right += bool(np.hypot(mine.x_px - core.x_px, mine.y_px - core.y_px) < core.within_px)
    return Outcome(
        slide=slide,
        core_count=len(truth),
        found_count=hits + sum(core.is_missing for core in truth),
        right_count=right,
        is_asked=found.grid.needs_confirmation,
        margin=found.grid.placement_margin,
        seconds=seconds,
    )


THREE_BLOCKS = {
    "158867": (("A-M", "1-8"), ("A-M", "10-17"), ("A-M", "19-24")),
    "158870": (("A-N", "1-8"), ("A-N", "9-16"), ("A-N", "17-22")),
}
"""Rows and columns of the blocks, as the truth counts them."""


def layout_of(slide: str) -> Layout:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "layout.toml"
        blocks = (
            f'[[block]]\nrows = "{rows}"\ncolumns = "{columns}"\n'
            for rows, columns in THREE_BLOCKS[slide]
        )
        path.write_text("".join(blocks), encoding="utf-8")
        return read_layout(path)


def real_arrays(*, lists_all_places: bool = False, has_layout: bool = False) -> Iterator[Outcome]:
    """Six arrays with hand-placed circles; the map lists the circles, or all rows x columns."""
    for path in sorted((SHARED / "tma-overviews").glob("*.grid.csv")):
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        truth = [
            TrueCore(
                name=CoreName.parse(row["core"]),
                x_px=float(row["x"]),
                y_px=float(row["y"]),
                within_px=0.75 * float(row["radius"]),
            )
            for row in rows
        ]
        lab_map = map_of([row["core"] for row in rows])
        if lists_all_places:
            toy = ToySlide(rows=lab_map.rows, columns=lab_map.columns)
            lab_map = toy.map()
        name = path.name.removesuffix(".grid.csv")
        if has_layout and name not in THREE_BLOCKS:
            continue
        settings = TmaSettings(layout=layout_of(name) if has_layout else None)
        picture = open_slide(path.with_name(f"{name}.png"))
        start = time.process_time()
        found = find_cores(picture, lab_map, settings)
        yield judge(name, found, truth, time.process_time() - start)


def shared_scans() -> Iterator[Outcome]:
    """The slides of the shared scans, blurred by 39 µm along x, unevenly lit and noisy."""
    for folder in sorted((SHARED / "scans").iterdir()):
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        px_um = truth["px_um"]
        slide = open_slide(folder / "slide.jpg").read_level(0)
        blurred = cv2.blur(slide, (round(39 / px_um), 1)).astype(np.float32)
        lane_px = 450 / px_um
        across = (np.arange(len(slide)) % lane_px) / lane_px - 0.5
        blurred *= (1.0 - 0.06 * across**2).astype(np.float32)[:, None, None]
        blurred += np.random.default_rng(0).normal(0, 2, blurred.shape[:2])[..., None]
        picture = PlainPicture(to_uint8(blurred), px_um)
        lab_map = read_slide_map(folder / "map.csv")
        start = time.process_time()
        found = find_cores(picture, lab_map, TmaSettings())
        seconds = time.process_time() - start
        cores = [
            TrueCore(
                name=CoreName(core["row"], core["col"]),
                x_px=core["x_um"] / px_um,
                y_px=core["y_um"] / px_um,
                within_px=0.25 * truth["geometry"]["core_um"] / px_um,
                is_missing=core["missing"],
            )
            for core in truth["cores"]
        ]
        yield judge(folder.name, found, cores, seconds)


def random_toy(seed: int) -> tuple[ToySlide, SlideMap]:
    """A slide of random layout and damage, and its map with some empty places."""
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(2, 10)), int(rng.integers(3, 15))
    names = [str(name) for name in ToySlide(rows=rows, columns=columns).names()]
    empty = set(rng.choice(names, rng.integers(0, min(len(names) // 5, 8) + 1), replace=False))
    lost = {name for name in names if rng.random() < rng.choice([0.0, 0.05, 0.2])}
    if rng.random() < 0.1:
        lost |= {name for name in names if name.startswith("A")}  # a whole row came off
    diameter_px = float(rng.uniform(30, 62))
    pitch_px = diameter_px * float(rng.uniform(1.3, 2.0))
    slide = ToySlide(
        rows=rows,
        columns=columns,
        missing=frozenset(lost | empty),
        brown=frozenset(name for name in names if rng.random() < 0.3),
        diameter_px=diameter_px,
        pitch_px=pitch_px,
        tilt_deg=float(rng.uniform(-15, 15)),
        jitter_px=float(rng.uniform(0, 0.08)) * pitch_px,
        border_px=float(rng.uniform(20, 150)),
        strength=float(np.exp(rng.uniform(np.log(0.35), np.log(3)))),
        blur_px=int(rng.integers(1, 6)),
        dust_count=int(rng.integers(0, 40)),
        seed=seed,
    )
    return slide, map_of(name for name in names if name not in empty)


def random_toys(count: int) -> Iterator[Outcome]:
    for seed in range(count):
        slide, lab_map = random_toy(seed)
        truth = [
            TrueCore(
                name=name,
                x_px=2 * xy[0],
                y_px=2 * xy[1],
                within_px=0.25 * 2 * slide.diameter_px,
                is_missing=str(name) in slide.missing,
            )
            for name, xy in slide.centres().items()
            if name in lab_map.entries
        ]
        picture = slide.picture()
        start = time.process_time()
        try:
            found = find_cores(picture, lab_map, TmaSettings())
        except InputError as error:
            print(f"  toy {seed} refused: {error}")
            continue
        yield judge(f"toy {seed}", found, truth, time.process_time() - start)


def wrong_maps(count: int) -> tuple[int, int]:
    """Maps that do not belong to the slide, where three empty places at least could tell.

    Returns how many of them were noticed, and how many there were.
    """
    noticed = tried = seed = 0
    while tried < count:
        seed += 1
        slide, lab_map = random_toy(10_000 + seed)
        empty = {name for name in slide.names() if name not in lab_map.entries}
        wrong = _spoilt(lab_map, slide, np.random.default_rng(seed))
        if len(empty) < 3 or not _can_tell(wrong, slide):
            continue
        tried += 1
        try:
            noticed += find_cores(slide.picture(), wrong, TmaSettings()).grid.needs_confirmation
        except InputError:
            noticed += 1
    return noticed, tried


def _can_tell(wrong: SlideMap, slide: ToySlide) -> bool:
    """Whether tissue lies where the wrong map has none."""
    there = {name for name in slide.names() if str(name) not in slide.missing}
    return bool(there - set(wrong.entries))


def _spoilt(lab_map: SlideMap, slide: ToySlide, rng: np.random.Generator) -> SlideMap:
    """One row too many, two columns swapped, or the map of another slide."""
    names = list(lab_map.entries)
    kind = rng.integers(3)
    if kind == 0:
        at = rng.integers(slide.rows)
        moved = [CoreName(n.row + int(n.row >= at), n.column) for n in names]
    elif kind == 1:
        a, b = rng.choice(slide.columns, 2, replace=False)
        swap = {int(a): int(b), int(b): int(a)}
        moved = [CoreName(n.row, swap.get(n.column, n.column)) for n in names]
    else:
        empty_count = slide.rows * slide.columns - len(names)
        every = slide.names()
        empty = set(rng.choice(len(every), empty_count, replace=False).tolist())
        moved = [name for index, name in enumerate(every) if index not in empty]
    return map_of(str(name) for name in moved)


def print_table(title: str, outcomes: list[Outcome], *, each: bool = True) -> None:
    print(f"\n{title}")
    for o in outcomes if each else [o for o in outcomes if o.is_silent_error]:
        print(
            f"  {o.slide:18} found {o.found_count:4}/{o.core_count:<4} right {o.right_count:4} "
            f"({100 * o.right_count / o.core_count:5.1f} %) margin {o.margin:6.1f} "
            f"{'asked ' if o.is_asked else 'silent' if o.is_silent_error else '      '} "
            f"{o.seconds:.2f} s"
        )
    cores, right = sum(o.core_count for o in outcomes), sum(o.right_count for o in outcomes)
    sure = [o for o in outcomes if not o.is_asked]
    print(
        f"  all {len(outcomes)}: found {sum(o.found_count for o in outcomes)}/{cores}, right "
        f"{right} ({100 * right / max(cores, 1):.1f} %); where nobody is asked "
        f"{100 * sum(o.right_count for o in sure) / max(sum(o.core_count for o in sure), 1):.2f} %"
        f"; asked about {len(outcomes) - len(sure)}; silent errors "
        f"{sum(o.is_silent_error for o in outcomes)}; median "
        f"{np.median([o.seconds for o in outcomes]):.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    trials = parser.parse_args().trials
    if SHARED.is_dir():
        print_table("Real arrays, the map lists the circles", list(real_arrays()))
        print_table(
            "Real arrays, the map lists all rows x columns",
            list(real_arrays(lists_all_places=True)),
        )
        print_table("The two of three blocks, with a layout", list(real_arrays(has_layout=True)))
        print_table("Shared scans, blurred", list(shared_scans()))
    print_table(f"{trials} random toys", list(random_toys(trials)), each=False)
    noticed, tried = wrong_maps(trials)
    print(f"\nWrong maps: {noticed} of {tried} noticed ({100 * noticed / tried:.1f} %)")


if __name__ == "__main__":
    main()
