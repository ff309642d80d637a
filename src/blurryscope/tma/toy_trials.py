"""Trials of naming: toy slides of random design and damage, each with its map and its truth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.core_labels import AxisLabels
from blurryscope.artifacts.slide_map import SlideMap
from blurryscope.basics.core_name import CoreName
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of

Floats = NDArray[np.float64]

_REACH_DIAMETERS = 0.5
"""How far from its true centre a core may be told, within its own disc: what is left of a torn
core has its middle elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A slide, what is known of it, and where its cores truly lie."""

    picture: PlainPicture
    slide_map: SlideMap
    settings: TmaSettings
    centres: Mapping[CoreName, Floats]
    """(x, y) at full resolution of every core that the map lists."""
    missing: frozenset[CoreName]
    diameter_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was said of a trial against its truth."""

    core_count: int
    wrong_names: int
    """Cores that are told to lie elsewhere than they do, or to be missing."""
    untold_losses: int
    """Missing cores that are not told as missing."""
    is_asked: bool

    @property
    def is_silent_error(self) -> bool:
        """Below 98 % right, and nobody would be asked."""
        wrong = self.wrong_names + self.untold_losses
        return wrong > 0.02 * self.core_count and not self.is_asked


def random_trial(seed: int) -> Trial:
    """One to three blocks, any tilt to 12°, dust, ink, edges, faint, torn and lost cores."""
    rng = np.random.default_rng(seed)
    widths = [
        int(rng.integers(3, 8)) for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])))
    ]
    slide = _random_slide(rng, int(rng.integers(3, 9)), widths, seed)
    names = [str(name) for name in slide.names()]
    empty = _some(names, rng, int(rng.integers(0, min(len(names) // 6, 8) + 1)))
    slide = replace(slide, missing=slide.missing | empty)
    is_turned = len(widths) == 1 and len(empty) >= 4 and rng.random() < 0.5
    turns = int(rng.integers(4)) if is_turned else 0
    upright = slide.picture()
    centres = {name: 2 * xy for name, xy in slide.centres().items() if str(name) not in empty}
    return Trial(
        picture=_turned(upright, turns),
        slide_map=map_of(name for name in names if name not in empty),
        settings=TmaSettings(
            layout=_layout(slide.rows, widths) if len(widths) > 1 else None,
            orientation=None if is_turned else Orientation.AS_SCANNED,
        ),
        centres=_turned_centres(centres, upright.size_px, turns),
        missing=frozenset(name for name in centres if str(name) in slide.missing),
        diameter_px=2 * slide.diameter_px,
    )


def judged(trial: Trial, found: Dearrayed) -> Verdict:
    """Compare what was found with the truth."""
    by_name = {core.name: core for core in found.cores}
    wrong = untold = 0
    for name, xy in trial.centres.items():
        core = by_name.get(name)
        is_told_missing = core is None or not core.status.has_tissue
        if name in trial.missing:
            untold += not is_told_missing
            continue
        if core is None or is_told_missing:
            wrong += 1
            continue
        away = float(np.hypot(core.x_px - xy[0], core.y_px - xy[1]))
        wrong += away > _REACH_DIAMETERS * trial.diameter_px
    return Verdict(
        core_count=len(trial.centres),
        wrong_names=wrong,
        untold_losses=untold,
        is_asked=found.grid.needs_confirmation,
    )


def _random_slide(rng: np.random.Generator, rows: int, widths: list[int], seed: int) -> ToySlide:
    columns = sum(widths)
    names = [
        f"{chr(ord('A') + row)}{column + 1}" for row in range(rows) for column in range(columns)
    ]
    lost_share = float(rng.choice([0.0, 0.05, 0.2], p=[0.4, 0.4, 0.2]))
    lost = {name for name in names if rng.random() < lost_share}
    if rng.random() < 0.08:
        lost |= {name for name in names if name.startswith("A")}  # a whole row came off
    diameter_px = float(rng.uniform(26, 44))
    pitch_px = diameter_px * float(rng.uniform(1.15, 1.9))
    ends = np.cumsum(widths)[:-1] - 1
    return ToySlide(
        rows=rows,
        columns=columns,
        gaps={int(after): float(rng.uniform(0.5, 1.5)) for after in ends},
        missing=frozenset(lost),
        brown=frozenset(name for name in names if rng.random() < 0.3),
        faint=_some(names, rng, int(rng.integers(0, 4))),
        torn=_some(names, rng, int(rng.integers(0, 4))),
        shattered=_some(names, rng, int(rng.integers(0, 2))),
        folded=_some(names, rng, int(rng.integers(0, 3))),
        diameter_px=diameter_px,
        pitch_px=pitch_px,
        tilt_deg=float(rng.uniform(-12, 12)),
        jitter_px=float(rng.uniform(0, 0.07)) * pitch_px,
        border_px=float(rng.uniform(25, 110)),
        strength=float(np.exp(rng.uniform(np.log(0.4), np.log(2.5)))),
        blur_px=int(rng.integers(1, 5)),
        dust_count=int(rng.integers(0, 40)),
        pen_strokes=int(rng.choice([0, 0, 0, 1, 2])),
        has_edge=bool(rng.random() < 0.2),
        unscanned_px=int(rng.choice([0, 0, 8])),
        seed=seed,
    )


def _some(names: list[str], rng: np.random.Generator, count: int) -> frozenset[str]:
    return frozenset(str(name) for name in rng.choice(names, count, replace=False))


def _layout(rows: int, widths: list[int]) -> Layout:
    starts = [sum(widths[:at]) for at in range(len(widths))]
    lettered = AxisLabels(numbers=tuple(range(rows)), is_lettered=True)
    return Layout(
        tuple(
            LayoutBlock(
                row_labels=lettered,
                column_labels=AxisLabels(
                    numbers=tuple(range(start, start + width)), is_lettered=False
                ),
                at=(0, at),
            )
            for at, (start, width) in enumerate(zip(starts, widths, strict=True))
        )
    )


def _turned(picture: PlainPicture, quarter_turns: int) -> PlainPicture:
    rgb = np.rot90(picture.read_level(0), -quarter_turns)
    return PlainPicture(np.ascontiguousarray(rgb), picture.pixel_size_um)


def _turned_centres(
    centres: Mapping[CoreName, Floats], size_px: tuple[int, int], quarter_turns: int
) -> dict[CoreName, Floats]:
    """Clockwise, as `_turned`."""
    turned = dict(centres)
    rows, columns = size_px
    for _ in range(quarter_turns):
        turned = {name: np.array([rows - 1 - y, x]) for name, (x, y) in turned.items()}
        rows, columns = columns, rows
    return turned
