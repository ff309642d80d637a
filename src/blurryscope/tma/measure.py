"""Every named place looked at closely: from nodes of the lattice to rows of `cores.csv`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from blurryscope.artifacts.tissue_cores import CoreStatus, PlaceSource, TissueCore
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.basics.side_by_side import side_by_side
from blurryscope.tma.picture import SlidePicture
from blurryscope.tma.quality import (
    UNKNOWN_FROM,
    CoreMeasures,
    measure_core,
    measuring_level,
    status_of,
)
from blurryscope.tma.white_balance import WhiteBalance

_CROP_DIAMETERS = 1.5
_WHOLE_ENOUGH = 0.55
"""From this outline fraction on, the tissue's own outline tells centre and diameter best."""
_DIAMETER_RANGE = (0.75, 1.3)
"""In usual diameters: an outline beyond it has swallowed a neighbour or lost a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNode:
    """A place of the layout with its name; full-resolution pixels, (x, y)."""

    name: CoreName
    found_xy: tuple[float, float]
    predicted_xy: tuple[float, float]
    tissue_ratio: float
    """Log-likelihood ratio of a core against none."""
    is_expected: bool
    in_scan: bool
    label: Score | None
    source: PlaceSource
    """For a core that is there."""
    pitch_px: float


def measured_cores(
    picture: SlidePicture,
    white: WhiteBalance,
    nodes: Iterable[NamedNode],
    diameter_px: float,
) -> list[TissueCore]:
    """Measure all places; `diameter_px` is the usual one at full resolution."""
    level = measuring_level(diameter_px, picture.level_count)

    def measured(node: NamedNode) -> TissueCore:
        return _measured(picture, level, white, node, diameter_px)

    return list(side_by_side(measured, nodes))


def _measured(
    picture: SlidePicture, level: int, white: WhiteBalance, node: NamedNode, diameter_px: float
) -> TissueCore:
    shrink = 2**level
    side = 2 * int(_CROP_DIAMETERS * diameter_px / shrink / 2) + 1
    left, top = (round((value + 0.5) / shrink - 0.5) - side // 2 for value in node.found_xy)
    crop = picture.read(top, left, (side, side), level)
    measures = measure_core(crop, white.white, diameter_px / shrink)
    status = status_of(measures, node.tissue_ratio, is_expected=node.is_expected)
    if not node.in_scan:
        is_unknown = measures.unscanned_fraction > UNKNOWN_FROM
        status = CoreStatus.NOT_SCANNED if is_unknown else CoreStatus.MISSING
    core = TissueCore(
        name=node.name,
        x_px=node.predicted_xy[0],
        y_px=node.predicted_xy[1],
        diameter_px=diameter_px,
        status=status,
        tissue_fraction=measures.tissue_fraction,
        focus=measures.focus,
        confidence=float(1.0 / (1.0 + np.exp(-abs(node.tissue_ratio)))),
        label=node.label,
        source=PlaceSource.PREDICTED,
        saturation=measures.saturation,
        haematoxylin_od=measures.haematoxylin_od,
        dab_od=measures.dab_od,
    )
    if not status.has_tissue:
        return core
    x_px, y_px, own_diameter_px = _own_disc(measures, (left, top), shrink, node, diameter_px)
    away = np.hypot(x_px - node.predicted_xy[0], y_px - node.predicted_xy[1])
    return replace(
        core,
        x_px=x_px,
        y_px=y_px,
        diameter_px=own_diameter_px,
        source=node.source,
        offset_pitches=float(away / node.pitch_px),
    )


def _own_disc(
    measures: CoreMeasures,
    corner: tuple[int, int],
    shrink: int,
    node: NamedNode,
    diameter_px: float,
) -> tuple[float, float, float]:
    """Centre and diameter at full resolution, by the outline where enough tissue has one."""
    if measures.outline_fraction < _WHOLE_ENOUGH:
        return (*node.found_xy, diameter_px)
    x, y = (
        (edge + inside + 0.5) * shrink - 0.5
        for edge, inside in zip(corner, measures.centre_xy, strict=True)
    )
    least, most = (factor * diameter_px for factor in _DIAMETER_RANGE)
    return x, y, float(np.clip(measures.diameter_px * shrink, least, most))
