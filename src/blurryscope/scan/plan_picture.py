"""A picture of a plan, as SVG: the area, the lanes with their direction and run-up, the focus."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from blurryscope.basics.percent import percent
from blurryscope.devices.contracts import StageLimits
from blurryscope.scan.estimate import estimate, in_bytes
from blurryscope.scan.plan import Area, Lane, ScanPlan

_WIDTH_PX = 900
_MARGIN_PX = 56
_HEAD_PX = 96
_STAGE_PX = (200, 66)
"""Most of the small map of the stage, in the head."""
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }
.limits { fill: none; stroke: #777; stroke-dasharray: 6 4 } .glass { fill: #fff }
.here { fill: #1f5fa8 }
.field { fill: #4a7ab5; fill-opacity: .14 } .area { fill: none; stroke: #222 }
.cruise { stroke: #1f5fa8; stroke-width: 1.6 }
.runup { stroke: #b3561a; stroke-width: 1.6; stroke-dasharray: 2 2 }
.step { stroke: #777; fill: none } .focus { fill: #b3261e } .frame { fill: none; stroke: #1f5fa8 }
"""


def plan_picture(
    plan: ScanPlan,
    title: str,
    limits: StageLimits | None = None,
    focus_um: Sequence[tuple[float, float, float]] = (),
) -> str:
    """Draw a plan; x grows to the right and y downwards, as on the mosaic."""
    shown = _shown(plan)
    sheet = _Sheet(shown)
    lanes = list(plan.lanes())
    points_um = [point for point in focus_um if _holds(shown, point)]
    parts = [
        *_ground(sheet, plan),
        *(_strip(sheet, plan, lane) for lane in lanes),
        *(line for lane in lanes for line in _lane(sheet, lane)),
        *_steps(sheet, lanes),
        *(_focus(sheet, point) for point in points_um),
        *_frame(sheet, plan, lanes[0]),
        *_words(sheet, plan, title),
        *_legend(sheet, has_focus=bool(points_um)),
        *(() if limits is None else _stage(plan.area, limits)),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_PX}" '
        f'height="{sheet.height_px:.0f}" viewBox="0 0 {_WIDTH_PX} {sheet.height_px:.0f}" '
        'role="img" aria-labelledby="title words">\n'
        f'<title id="title">{escape(title)}</title>\n'
        f'<desc id="words">{escape("; ".join(_figures(plan)))}</desc>'
    )
    body = "\n".join(parts)
    return (
        f'{head}\n<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#f6f6f4"/>\n'
        + (f"<defs>{_ARROW}</defs>\n{body}\n</svg>\n")
    )


_ARROW = (
    '<marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0 8 4 0 8z" fill="#1f5fa8"/></marker>'
)


def _shown(plan: ScanPlan) -> Area:
    """What the lanes need."""
    covered, beyond_um = plan.covered, plan.over_travel_um
    return Area(
        left_um=covered.left_um - beyond_um,
        top_um=covered.top_um,
        width_um=covered.width_um + 2 * beyond_um,
        height_um=covered.height_um,
    )


def _holds(area: Area, point_um: tuple[float, float, float]) -> bool:
    x_um, y_um, _ = point_um
    is_beside = area.left_um <= x_um <= area.right_um
    return is_beside and area.top_um <= y_um <= area.bottom_um


class _Sheet:
    """From µm on the stage to pixels of the picture."""

    def __init__(self, shown: Area) -> None:
        self._left_um, self._top_um = shown.left_um, shown.top_um
        self.scale = (_WIDTH_PX - 2 * _MARGIN_PX) / shown.width_um
        self.bottom_px = _HEAD_PX + shown.height_um * self.scale
        self.height_px = self.bottom_px + 62

    def x(self, x_um: float) -> float:
        return round(_MARGIN_PX + (x_um - self._left_um) * self.scale, 2)

    def y(self, y_um: float) -> float:
        return round(_HEAD_PX + (y_um - self._top_um) * self.scale, 2)

    def box(self, kind: str, left: float, top: float, right: float, bottom: float) -> str:
        x, y = self.x(left), self.y(top)
        width, height = self.x(right) - x, self.y(bottom) - y
        return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.2f}" height="{height:.2f}"/>'

    def line(self, kind: str, ends_um: Sequence[float], more: str = "") -> str:
        x1, y1, x2, y2 = ends_um
        return (
            f'<line class="{kind}" x1="{self.x(x1)}" y1="{self.y(y1)}" x2="{self.x(x2)}" '
            f'y2="{self.y(y2)}"{more}/>'
        )


def _ground(sheet: _Sheet, plan: ScanPlan) -> Iterator[str]:
    area = plan.area
    for kind in ("glass", "area"):
        yield sheet.box(kind, area.left_um, area.top_um, area.right_um, area.bottom_um)


def _stage(area: Area, limits: StageLimits) -> Iterator[str]:
    """Where on the stage that is, as a small map at the right of the head."""
    low, high = limits.lowest, limits.highest
    wide_um, tall_um = high.x_um - low.x_um, high.y_um - low.y_um
    scale = min(_STAGE_PX[0] / wide_um, _STAGE_PX[1] / tall_um)
    left_px = _WIDTH_PX - _MARGIN_PX - wide_um * scale

    def box(kind: str, x_um: float, y_um: float, width_um: float, height_um: float) -> str:
        return (
            f'<rect class="{kind}" x="{left_px + (x_um - low.x_um) * scale:.2f}" '
            f'y="{14 + (y_um - low.y_um) * scale:.2f}" width="{width_um * scale:.2f}" '
            f'height="{height_um * scale:.2f}"/>'
        )

    yield box("limits", low.x_um, low.y_um, wide_um, tall_um)
    yield box("here", area.left_um, area.top_um, area.width_um, area.height_um)
    below_px = 14 + tall_um * scale + 12
    yield f'<text class="small" x="{left_px:.0f}" y="{below_px:.0f}">on the stage</text>'


def _strip(sheet: _Sheet, plan: ScanPlan, lane: Lane) -> str:
    half_um, y_um = plan.field.across_um / 2, lane.start.y_um
    covered = plan.covered
    return sheet.box("field", covered.left_um, y_um - half_um, covered.right_um, y_um + half_um)


def _lane(sheet: _Sheet, lane: Lane) -> Iterator[str]:
    start_um, end_um, y_um = lane.start.x_um, lane.end.x_um, lane.start.y_um
    yield sheet.line("runup", (start_um, y_um, lane.cruise_from_um, y_um))
    ends_um = (lane.cruise_from_um, y_um, lane.cruise_to_um, y_um)
    yield sheet.line("cruise", ends_um, ' marker-end="url(#to)"')
    yield sheet.line("runup", (lane.cruise_to_um, y_um, end_um, y_um))


def _steps(sheet: _Sheet, lanes: Sequence[Lane]) -> Iterator[str]:
    for here, there in pairwise(lanes):
        ends_um = (here.end.x_um, here.end.y_um, there.start.x_um, there.start.y_um)
        yield sheet.line("step", ends_um)


def _frame(sheet: _Sheet, plan: ScanPlan, lane: Lane) -> Iterator[str]:
    """One field of the camera at the start of the first lane, to compare sizes."""
    half_along_um, half_across_um = plan.field.along_um / 2, plan.field.across_um / 2
    x_um, y_um = lane.cruise_from_um, lane.start.y_um
    yield sheet.box(
        "frame", x_um - half_along_um, y_um - half_across_um, x_um + half_along_um,
        y_um + half_across_um,
    )  # fmt: skip


def _focus(sheet: _Sheet, point_um: tuple[float, float, float]) -> str:
    x_um, y_um, z_um = point_um
    return (
        f'<circle class="focus" cx="{sheet.x(x_um)}" cy="{sheet.y(y_um)}" r="4">'
        f"<title>focus at {z_um:.1f} µm</title></circle>"
    )


def _words(sheet: _Sheet, plan: ScanPlan, title: str) -> Iterator[str]:
    area = plan.area
    yield f'<text x="{_MARGIN_PX}" y="30" style="font-size:17px">{escape(title)}</text>'
    for number, line in enumerate(_figures(plan)):
        yield f'<text x="{_MARGIN_PX}" y="{52 + 19 * number}">{escape(line)}</text>'
    y_px = sheet.bottom_px
    corner = f"{area.left_um / 1000:g}, {area.top_um / 1000:g} mm"
    size = f"{area.width_um / 1000:g} × {area.height_um / 1000:g} mm from {corner}"
    yield f'<text class="small" x="{_MARGIN_PX}" y="{y_px + 22:.0f}">{size}</text>'


def _legend(sheet: _Sheet, *, has_focus: bool) -> Iterator[str]:
    """What the lines mean, of those that are there."""
    y_px = sheet.bottom_px + 40
    line = f'<line class="{{}}" x1="0" x2="26" y1="{y_px:.0f}" y2="{y_px:.0f}"/>'
    keys = [(line.format("cruise"), "at full speed"), (line.format("runup"), "run-up")]
    if has_focus:
        keys.append((f'<circle class="focus" cx="13" cy="{y_px:.0f}" r="4"/>', "focus measured"))
    frame = f'<rect class="frame" x="5" y="{y_px - 6:.0f}" width="16" height="12"/>'
    keys.append((frame, "one frame"))
    for number, (drawn, word) in enumerate(keys):
        yield (
            f'<g transform="translate({_MARGIN_PX + 160 * number} 0)">{drawn}'
            f'<text class="small" x="33" y="{y_px + 4:.0f}">{word}</text></g>'
        )


def _figures(plan: ScanPlan) -> tuple[str, str]:
    """What the lanes are, and what the scan takes."""
    told = estimate(plan)
    return (
        f"{plan.lane_count} lanes, pitch {plan.lane_pitch_um:.0f} µm, field "
        f"{plan.field.along_um:.0f} × {plan.field.across_um:.0f} µm "
        f"({'measured' if plan.field.is_measured else 'assumed'}), overlap "
        f"{percent(told.lane_overlap_fraction)}",
        f"{told.duration_s / 60:.1f} min, {told.frame_count:,} frames, "
        f"{told.mm2_per_s:.2f} mm²/s, film about {in_bytes(told.film_bytes)}, blur "
        f"{told.blur_um:.0f} µm",
    )
