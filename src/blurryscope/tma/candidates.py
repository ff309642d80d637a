"""The placements to choose from as one picture: the slide again and again, each named otherwise.

A ring is green where slide and map agree, red and broken where the map lists a core and none is
seen, blue where tissue lies without a core in the map; the lowest line says so. Whoever knows the
slide sees which one is right.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.core_name import CoreName, row_letters
from blurryscope.basics.image import Rgb
from blurryscope.tma.find import Dearrayed
from blurryscope.tma.naming import Alternative, PlaceSeen
from blurryscope.tma.picture import WorkingPicture

_PANEL_WIDTH_PX = 1000
_HEADING_PX = 84
_KEY_PX = 56
_SMALL_PX = 30
"""Radius up to which a broken ring has fewer pieces, else it would close."""
_MARGIN_PX = 60
"""Around the slide, for the names of outer rows and columns."""
_MOST_PANELS = 4
_CLOSE = 12.0
"""Nats: what fits worse by more is no choice."""
_ALIKE = 0.5
"""Nats: what fits worse by less fits as well."""
_INK, _FAINT = (40, 40, 40), (120, 120, 120)
_GREEN, _RED, _BLUE = (30, 130, 60), (200, 30, 40), (40, 90, 190)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_candidates(dearrayed: Dearrayed, working: WorkingPicture) -> Rgb | None:
    """Draw the likeliest placements, (row, col, rgb) uint8; None where there is but one."""
    shown = _worth_showing(dearrayed.alternatives)
    if len(shown) < 2:
        return None
    slide = dearrayed.white.apply(working.rgb)
    zoom = (_PANEL_WIDTH_PX - 2 * _MARGIN_PX) / slide.shape[1]
    size = (round(slide.shape[1] * zoom), round(slide.shape[0] * zoom))
    small = np.asarray(cv2.resize(slide, size, interpolation=cv2.INTER_AREA), np.uint8)
    diameter_px = dearrayed.grid.diameter_px / working.shrink * zoom
    best = shown[0].candidate.score
    panels = [
        _panel(small, zoom, diameter_px, alternative, number, best)
        for number, alternative in enumerate(shown, start=1)
    ]
    blank = np.full_like(panels[0], 255)
    rows = [
        np.hstack([panels[at], panels[at + 1] if at + 1 < len(panels) else blank])
        for at in range(0, len(panels), 2)
    ]
    return np.ascontiguousarray(np.vstack([*rows, _key(rows[0].shape[1])]), np.uint8)


def _worth_showing(alternatives: tuple[Alternative, ...]) -> list[Alternative]:
    """The one taken, the next, and what comes close."""
    near = [
        other
        for other in alternatives[2:]
        if other.candidate.score > alternatives[0].candidate.score - _CLOSE
    ]
    return [*alternatives[:2], *near][:_MOST_PANELS]


def _panel(
    slide: Rgb,
    zoom: float,
    diameter_px: float,
    alternative: Alternative,
    number: int,
    best_score: float,
) -> Rgb:
    rows, columns = slide.shape[:2]
    panel = np.full((rows + _HEADING_PX + 2 * _MARGIN_PX, _PANEL_WIDTH_PX, 3), 255, np.uint8)
    top, left = _HEADING_PX + _MARGIN_PX, _MARGIN_PX
    panel[top : top + rows, left : left + columns] = slide
    cv2.rectangle(panel, (0, 0), (panel.shape[1] - 1, panel.shape[0] - 1), (200, 200, 200), 1)
    at = {
        name: (np.array(place.xy) + 0.5) * zoom + (left - 0.5, top - 0.5)
        for name, place in alternative.places.items()
    }
    for name, place in alternative.places.items():
        _draw_place(panel, at[name], place, diameter_px)
    for node in alternative.outside:
        _draw_ring(panel, (np.array(node.xy) + 0.5) * zoom + (left - 0.5, top - 0.5), diameter_px)
    for text, where in _outer_names(at, diameter_px):
        _write(panel, text, where, _INK, 0.55)
    _draw_heading(panel, alternative, number, best_score)
    return panel


def _key(width_px: int) -> Rgb:
    """What the rings mean, in a line below all panels."""
    line = np.full((_KEY_PX, width_px, 3), 255, np.uint8)
    x = 16
    for colour, is_broken, words in (
        (_GREEN, False, "as the map has it"),
        (_RED, True, "in the map, not seen on the slide"),
        (_BLUE, False, "on the slide, not in the map"),
    ):
        centre = np.array([x + 14.0, _KEY_PX / 2])
        _draw_ring(line, centre, 26.0, colour, is_broken=is_broken)
        cv2.putText(line, words, (x + 38, _KEY_PX // 2 + 8), _FONT, 0.65, _INK, 1, cv2.LINE_AA)
        x += 70 + cv2.getTextSize(words, _FONT, 0.65, 1)[0][0]
    return line


def _draw_place(panel: Rgb, at: NDArray[np.float64], place: PlaceSeen, diameter_px: float) -> None:
    if not (place.is_expected or place.has_tissue):
        return
    agrees = place.is_expected and place.has_tissue
    colour = _GREEN if agrees else _RED if place.is_expected else _BLUE
    _draw_ring(panel, at, diameter_px, colour, 1 if agrees else 3, is_broken=colour == _RED)


def _draw_ring(
    panel: Rgb,
    at: NDArray[np.float64],
    diameter_px: float,
    colour: tuple[int, int, int] = _BLUE,
    width_px: int = 3,
    *,
    is_broken: bool = False,
) -> None:
    centre = (round(float(at[0])), round(float(at[1])))
    radius = round(0.55 * diameter_px)
    step_deg = 360 if not is_broken else 30 if radius > _SMALL_PX else 60
    drawn_deg = step_deg // 2 if is_broken else 360
    for begin in range(0, 360, step_deg):
        cv2.ellipse(
            panel, centre, (radius, radius), 0, begin, begin + drawn_deg, colour, width_px,
            cv2.LINE_AA,
        )  # fmt: skip


def _outer_names(
    at: dict[CoreName, NDArray[np.float64]], diameter_px: float
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Letters before the first place of each row, numbers before the first of each column."""
    for is_row in (True, False):
        lines: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
        for name, xy in at.items():
            line, along = (name.row, name.column) if is_row else (name.column, name.row)
            lines.setdefault(line, []).append((along, xy))
        for line, places in lines.items():
            places.sort(key=lambda place: place[0])
            first = places[0][1]
            step = places[1][1] - first if len(places) > 1 else _across(is_row) * diameter_px
            before = first - step / max(float(np.hypot(*step)), 1.0) * 0.95 * diameter_px
            yield (row_letters(line) if is_row else str(line + 1)), before


def _across(is_row: bool) -> NDArray[np.float64]:
    return np.array([1.0, 0.0]) if is_row else np.array([0.0, 1.0])


def _draw_heading(panel: Rgb, alternative: Alternative, number: int, best_score: float) -> None:
    places = alternative.places.values()
    lost = sum(place.is_expected and not place.has_tissue for place in places)
    lead = alternative.candidate.score - best_score
    cores = "core" if lost == 1 else "cores"
    unnamed = alternative.unnamed_count
    first = f"{number}.  {lost} {cores} missing, {unnamed} without a name in the map"
    fit = "as well as the first" if lead > -_ALIKE else f"worse by {-lead:.1f}"
    second = f"{alternative.candidate.answer}    ({'taken now' if number == 1 else f'fits {fit}'})"
    cv2.putText(panel, first, (16, 34), _FONT, 0.75, _INK, 2, cv2.LINE_AA)
    cv2.putText(panel, second, (16, 68), _FONT, 0.65, _FAINT, 1, cv2.LINE_AA)


def _write(
    panel: Rgb,
    text: str,
    at: NDArray[np.float64],
    colour: tuple[int, int, int],
    scale: float,
) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    corner = (round(float(at[0]) - width / 2), round(float(at[1]) + height / 2))
    for tint, thickness in (((255, 255, 255), 4), (colour, 1)):
        cv2.putText(panel, text, corner, _FONT, scale, tint, thickness, cv2.LINE_AA)
