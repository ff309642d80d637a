"""The slide with a ring and a name at every place, for a person to check at a glance."""

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.tissue_cores import CoreOutside, CoreStatus, TissueCore
from blurryscope.basics.image import Rgb
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.picture import WorkingPicture

_LONG_SIDE_PX = 2000
_GREEN, _ORANGE, _RED, _BLUE = (30, 130, 60), (215, 120, 0), (200, 30, 40), (40, 90, 190)
_GREY = (150, 150, 150)
_COLOURS = {
    CoreStatus.OK: _GREEN,
    CoreStatus.MISSING: _RED,
    CoreStatus.EXTRA: _BLUE,
}
"""All other states are orange: a core that is there, and that somebody should look at."""


def draw_overview(dearrayed: Dearrayed, working: WorkingPicture) -> Rgb:
    """Draw grid, rings and names on the white-balanced slide, (row, col, rgb) uint8."""
    shrink, canvas = _canvas(dearrayed, working)
    usual_px = dearrayed.grid.diameter_px / shrink
    places = {core.name: _point(core, shrink) for core in dearrayed.cores}
    for core in dearrayed.cores:
        for step in ((0, 1), (1, 0)):
            neighbour = type(core.name)(core.name.row + step[0], core.name.column + step[1])
            if neighbour in places:
                _draw_link(canvas, places[core.name], places[neighbour], usual_px)
    for core in dearrayed.cores:
        _draw_core(canvas, core, places[core.name], core.diameter_px / shrink)
        _draw_words(canvas, core, places[core.name], usual_px)
    for outside in dearrayed.grid.outside:
        at = _point(outside, shrink)
        cv2.circle(canvas, at, round(usual_px / 2) + 2, _BLUE, 2, cv2.LINE_AA)
        _write(canvas, "not in the map", (at[0], at[1] + 4), _BLUE, 0.7 * usual_px)
    return canvas


def _canvas(dearrayed: Dearrayed, working: WorkingPicture) -> tuple[float, Rgb]:
    """The slide at drawing size, and how many full-resolution pixels one of its pixels spans."""
    balanced = dearrayed.white.apply(working.rgb)
    rows, columns = balanced.shape[:2]
    zoom = _LONG_SIDE_PX / max(rows, columns)
    size = (round(columns * zoom), round(rows * zoom))
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    canvas = np.ascontiguousarray(cv2.resize(balanced, size, interpolation=method), np.uint8)
    return working.shrink / zoom, canvas


def _point(core: TissueCore | CoreOutside, shrink: float) -> tuple[int, int]:
    return round((core.x_px + 0.5) / shrink - 0.5), round((core.y_px + 0.5) / shrink - 0.5)


def _draw_link(canvas: Rgb, start: tuple[int, int], end: tuple[int, int], usual_px: float) -> None:
    """From rim to rim, so that no tissue is covered."""
    vector = np.subtract(end, start).astype(np.float64)
    length = float(np.hypot(*vector))
    rim = vector / max(length, 1.0) * 0.6 * usual_px
    if length > 1.2 * usual_px:
        cv2.line(canvas, _rounded(start + rim), _rounded(end - rim), _GREY, 1, cv2.LINE_AA)


def _rounded(xy: NDArray[np.floating]) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))


def _draw_core(canvas: Rgb, core: TissueCore, at: tuple[int, int], diameter_px: float) -> None:
    colour = _COLOURS.get(core.status, _ORANGE)
    radius = round(diameter_px / 2) + 2
    if not core.status.has_tissue:
        for start in range(0, 360, 30):  # a broken ring: nothing was seen there
            cv2.ellipse(canvas, at, (radius, radius), 0, start, start + 15, colour, 2, cv2.LINE_AA)
    else:
        cv2.circle(canvas, at, radius, colour, 2, cv2.LINE_AA)


def _draw_words(canvas: Rgb, core: TissueCore, at: tuple[int, int], usual_px: float) -> None:
    colour = _COLOURS.get(core.status, _ORANGE)
    above = round(0.54 * usual_px) + 6
    _write(canvas, str(core.name), (at[0], at[1] - above), colour, usual_px)
    if core.status is not CoreStatus.OK:
        _write(canvas, core.status, (at[0], at[1] + 4), colour, 0.7 * usual_px)


def _write(
    canvas: Rgb, text: str, at: tuple[int, int], colour: tuple[int, int, int], room_px: float
) -> None:
    """Centred text on a white halo, as large as the room allows and still legible."""
    scale = float(np.clip(room_px / 110.0, 0.38, 1.1))
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    corner = (at[0] - width // 2, at[1])
    for tint, thickness in (((255, 255, 255), 4), (colour, 1 if scale < 0.6 else 2)):
        cv2.putText(
            canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, tint, thickness, cv2.LINE_AA
        )
