"""One page that shows how well a scan was stitched, and where to scan again: for the technician."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from blurryscope.artifacts.frame_places import read_frame_places
from blurryscope.artifacts.mosaic import Mosaic
from blurryscope.artifacts.scan_quality import Region, Rescan, read_regions, read_rescans
from blurryscope.artifacts.stitch_facts import read_stitch_facts
from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.her2 import RESEARCH_USE_ONLY
from blurryscope.basics.image import Rgb, is_unscanned
from blurryscope.report.slide_folder import PICTURE


class _Print(NamedTuple):
    """How the advice is set."""

    size_pt: float
    width: int
    """Characters that fit a column, half a page wide."""
    most_lines: int
    """That fit a column."""


_PAGE_INCH, _DPI = (11.7, 8.27), 150
_OVERVIEW_PX = 1400
_WARN, _INK, _SOFT, _NOT_JUDGED = "#b3261e", "#1b2126", "#55606a", "#e4e7ea"
_MOST_LISTED = (8, 4, 2, 1)
"""Places told one by one of each fault: as many as the page has room for."""
_PRINTS = (_Print(9.0, 78, 8), _Print(7.5, 93, 10), _Print(6.5, 108, 12))
"""Large print is for scans with little to tell."""
_LEAST_TISSUE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Map:
    """A figure of every stretch, drawn where it lies."""

    title: str
    value: Callable[[Region], float | None]
    limits: tuple[float, float]
    colours: str
    """Bad is always the dark end."""


_MAPS = (
    _Map(
        title="Confidence of places, where there is tissue",
        value=lambda r: r.confidence if r.tissue_fraction >= _LEAST_TISSUE else None,
        limits=(0, 1),
        colours="cividis",
    ),
    _Map(
        title="Focus across the scan, where there is tissue",
        value=lambda r: r.focus,
        limits=(0, 0.45),
        colours="cividis",
    ),
    _Map(
        title="Overlap with the lane above, part of the field",
        value=lambda r: r.overlap_fraction,
        limits=(0, 0.4),
        colours="cividis",
    ),
    _Map(
        title="Not scanned, or overexposed, part of the area",
        value=lambda r: max(r.unscanned_fraction, r.saturated_fraction),
        limits=(0, 0.3),
        colours="cividis_r",
    ),
)


def draw_scan_quality(slide_dir: Path, out: Path | None = None) -> Path:
    """Draw `stitch-quality.png` from what stitching and its judgement left in a slide's folder.

    Returns the path of the picture; an `InputError` names what the folder lacks.
    """
    mosaic = Mosaic(slide_dir / "mosaic.ome.zarr")
    regions = read_regions(slide_dir / "regions.csv")
    rescans = read_rescans(slide_dir / "rescan.csv")
    page = Figure(figsize=_PAGE_INCH, dpi=_DPI, facecolor="white")
    grid = page.add_gridspec(3, 2, height_ratios=(0.09, 0.66, 0.25), width_ratios=(0.52, 0.48))
    _draw_heading(page.add_subfigure(grid[0, :]), slide_dir, regions, rescans)
    _draw_overview(page.add_subfigure(grid[1, 0]), mosaic, regions, rescans)
    _draw_maps(page.add_subfigure(grid[1, 1]), mosaic, regions)
    _draw_words(page.add_subfigure(grid[2, :]), rescans)
    target = out or slide_dir / PICTURE
    with whole_file(target) as partial:
        page.savefig(partial, format="png", metadata={"Software": ""})
    return target


def _draw_heading(
    part: SubFigure, slide_dir: Path, regions: Sequence[Region], rescans: Sequence[Rescan]
) -> None:
    frames = read_frame_places(slide_dir / "frames.csv")
    in_lanes = [place for place in frames if place.lane >= 0]
    placed = sum(place.x_px is not None for place in in_lanes)
    lanes = len({region.lane for region in regions})
    lost = sum(region.dropped_frame_count for region in regions)
    scale = read_stitch_facts(slide_dir / "stitch.json").get("pixel_size_um")
    told = [
        f"{lanes} lanes",
        f"{placed} of {len(in_lanes)} frames in lanes placed",
        f"{lost} frame{'s' * (lost != 1)} lost",
    ]
    if isinstance(scale, float):
        told.append(f"{scale:.3g} µm per pixel")
    count = len(rescans)
    where = f"{count} place{'s'[: count - 1]} where the scan went wrong"
    verdict = where if count else "the scan went well"
    part.text(0.03, 0.62, f"{slide_dir.resolve().name}: {verdict}", size=16, weight="bold",
              color=_WARN if count else _INK, va="center")  # fmt: skip
    part.text(0.03, 0.12, ", ".join(told), size=9.5, color=_SOFT, va="center")


def _draw_overview(
    part: SubFigure, mosaic: Mosaic, regions: Sequence[Region], rescans: Sequence[Rescan]
) -> None:
    axes = part.add_axes((0.1, 0.08, 0.86, 0.86))
    axes.imshow(_overview(mosaic), extent=_extent_mm(mosaic), interpolation="antialiased")
    mm = mosaic.pixel_size_um / 1000
    for lane in sorted({region.lane for region in regions}):
        own = [region for region in regions if region.lane == lane]
        middle_mm = (own[0].y_from_px + own[0].y_to_px) / 2 * mm
        axes.text(-0.008 * mosaic.size_px[1] * mm, middle_mm, f"{lane}", size=7, color=_SOFT,
                  ha="right", va="center")  # fmt: skip
    for number, entry in enumerate(rescans, start=1):
        _mark(axes, number, entry)
    axes.set_title("The slide as stitched", size=10, loc="left", color=_INK)
    axes.set_xlabel("x, mm", size=8, color=_SOFT)
    axes.set_ylabel("lane", size=8, color=_SOFT, labelpad=16)
    axes.set_yticks([])
    axes.tick_params(labelsize=8, colors=_SOFT)


def _mark(axes: Axes, number: int, entry: Rescan) -> None:
    corner = (entry.x_from_mm, entry.y_from_mm)
    size = (entry.x_to_mm - entry.x_from_mm, entry.y_to_mm - entry.y_from_mm)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=_WARN, linewidth=1.6))
    axes.text(
        *corner, f" {number} ", size=8, weight="bold", color="white", va="top",
        bbox={"facecolor": _WARN, "edgecolor": "none", "pad": 1.0},
    )  # fmt: skip


def _draw_maps(part: SubFigure, mosaic: Mosaic, regions: Sequence[Region]) -> None:
    for number, drawn in enumerate(_MAPS):
        row, column = divmod(number, 2)
        axes = part.add_axes((0.03 + 0.49 * column, 0.56 - 0.48 * row, 0.44, 0.36))
        _draw_map(part, axes, drawn, mosaic, regions)


def _draw_map(
    part: SubFigure, axes: Axes, drawn: _Map, mosaic: Mosaic, regions: Sequence[Region]
) -> None:
    mm = mosaic.pixel_size_um / 1000
    scale = ScalarMappable(Normalize(*drawn.limits), drawn.colours)
    values = [drawn.value(region) for region in regions]
    told = [np.nan if value is None else value for value in values]
    faces = scale.get_cmap().with_extremes(bad=_NOT_JUDGED)(
        scale.norm(np.clip(told, *drawn.limits))
    )
    corners = [_corners_px(region) * mm for region in regions]
    # One collection: a thousand patches added one by one take seconds.
    axes.add_collection(
        PolyCollection(corners, facecolors=faces, edgecolors="white", linewidths=0.4),
        autolim=False,
    )
    left, right, bottom, top = _extent_mm(mosaic)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", anchor="NW")
    axes.set_axis_off()
    axes.set_title(drawn.title, size=7.5, loc="left", color=_INK)
    bar = part.colorbar(
        scale,
        ax=axes,
        orientation="horizontal",
        fraction=0.05,
        pad=0.03,
        aspect=30,
        ticks=MaxNLocator(4, steps=(1, 2, 5, 10)),  # more run into those of the map beside it
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=_SOFT, length=2)


def _corners_px(region: Region) -> NDArray[np.float64]:
    """(4, 2) as (x, y), all the way round."""
    left, right, top, bottom = region.x_from_px, region.x_to_px, region.y_from_px, region.y_to_px
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def _draw_words(part: SubFigure, rescans: Sequence[Rescan]) -> None:
    part.text(0.03, 0.95, "What to do", size=10.5, weight="bold", color=_INK, va="top")
    columns, size_pt = fitted_advice(rescans)
    for number, column in enumerate(columns):
        part.text(0.03 + 0.49 * number, 0.82, "\n\n".join(column), size=size_pt, color=_INK,
                  va="top", linespacing=1.35)  # fmt: skip
    part.text(0.03, 0.02, RESEARCH_USE_ONLY, size=7, color=_SOFT, va="bottom")
    key = (
        "Lanes are counted from 0, x from the left edge. Yellow is good, dark bad, grey not judged."
    )
    part.text(0.97, 0.02, key, size=7, color=_SOFT, ha="right", va="bottom")


def fitted_advice(rescans: Sequence[Rescan]) -> tuple[tuple[list[str], list[str]], float]:
    """The advice in columns, with as many places as fit the page, and its size in points."""
    columns: tuple[list[str], list[str]] = ([], [])
    for most in _MOST_LISTED:
        for kind in _PRINTS:
            columns = _columns([_wrapped(text, kind.width) for text in advice(rescans, most)])
            if max(map(_line_count, columns)) <= kind.most_lines:
                return columns, kind.size_pt
    return columns, _PRINTS[-1].size_pt


def _line_count(column: Sequence[str]) -> int:
    """With a blank line between entries."""
    return sum(text.count("\n") + 2 for text in column) - 1


def advice(rescans: Sequence[Rescan], most_places: int) -> list[str]:
    """What to do, in words: places with the same fault share one entry, in the order of the list.

    Places have the numbers that the picture marks them with; of each fault the first `most_places`
    are told.
    """
    if not rescans:
        return ["Nothing. All tissue is in focus, placed, and fully scanned."]
    same: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for number, entry in enumerate(rescans, start=1):
        what, _, cause = entry.problem.partition(": ")
        same.setdefault((cause, entry.action), []).append((number, what))
    return [_entry(places, cause, action, most_places) for (cause, action), places in same.items()]


def _entry(places: Sequence[tuple[int, str]], cause: str, action: str, most_places: int) -> str:
    told = [f"{number}  {_capital(what)}" for number, what in places[:most_places]]
    more = len(places) - most_places
    if more > 0:
        told.append(f"… and {more} more such place{'s' if more > 1 else ''}, in rescan.csv")
    return "\n".join([*told, f"     {_capital(cause)}.", f"     {action}"])


def _columns(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts side by side, about equally many lines on either side, in their order."""
    heights = np.array([text.count("\n") + 2 for text in texts])
    left = int(np.argmin(np.abs(2 * np.cumsum(heights) - heights.sum()))) + 1
    return list(texts[:left]), list(texts[left:])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wrapped(text: str, width: int) -> str:
    """Break lines that are too long for half a page, keeping the indent of their entry."""
    lines: list[str] = []
    for line in text.split("\n"):
        rest = line
        while len(rest) > width:
            at = rest.rfind(" ", 0, width)
            lines.append(rest[:at])
            rest = "     " + rest[at + 1 :]
        lines.append(rest)
    return "\n".join(lines)


def _overview(mosaic: Mosaic) -> Rgb:
    """A level of moderate size; what was not scanned is white as the paper."""
    level = mosaic.level_count - 1
    while level > 0 and max(mosaic.size_px) / 2 ** (level - 1) <= _OVERVIEW_PX:
        level -= 1
    rgb = mosaic.read_level(level)
    rgb[is_unscanned(rgb)] = 255
    return rgb


def _extent_mm(mosaic: Mosaic) -> tuple[float, float, float, float]:
    mm = mosaic.pixel_size_um / 1000
    return 0.0, mosaic.size_px[1] * mm, mosaic.size_px[0] * mm, 0.0
