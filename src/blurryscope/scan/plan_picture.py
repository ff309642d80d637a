"""A picture of a plan, as SVG: the area, the lanes with their direction and run-up, the focus."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from blurryscope.devices.contracts import StageLimits
from blurryscope.scan.estimate import estimate
from blurryscope.scan.plan import Area, Lane, ScanPlan

_WIDTH_PX = 900
_MARGIN_PX = 56
_HEAD_PX = 96
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }
.limits { fill: none; stroke: #777; stroke-dasharray: 6 4 } .glass { fill: #fff }
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
    sheet = _Sheet(_shown(plan, limits))
    lanes = list(plan.lanes())
    parts = [
        *_ground(sheet, plan, limits),
        *(_strip(sheet, plan, lane) for lane in lanes),
        *(line for lane in lanes for line in _lane(sheet, lane)),
        *_steps(sheet, lanes),
        *(_focus(sheet, point) for point in focus_um),
        *_frame(sheet, plan, lanes[0]),
        *_words(sheet, plan, title),
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


def _shown(plan: ScanPlan, limits: StageLimits | None) -> Area:
    """The whole stage where its limits are known, else what the lanes need."""
    covered, beyond_um = plan.covered, plan.over_travel_um
    left_um, right_um = covered.left_um - beyond_um, covered.right_um + beyond_um
    top_um, bottom_um = covered.top_um, covered.bottom_um
    if limits is not None:
        left_um, right_um = min(left_um, limits.lowest.x_um), max(right_um, limits.highest.x_um)
        top_um, bottom_um = min(top_um, limits.lowest.y_um), max(bottom_um, limits.highest.y_um)
    return Area(
        left_um=left_um, top_um=top_um, width_um=right_um - left_um, height_um=bottom_um - top_um
    )


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


def _ground(sheet: _Sheet, plan: ScanPlan, limits: StageLimits | None) -> Iterator[str]:
    area = plan.area
    yield sheet.box("glass", area.left_um, area.top_um, area.right_um, area.bottom_um)
    if limits is not None:
        low, high = limits.lowest, limits.highest
        yield sheet.box("limits", low.x_um, low.y_um, high.x_um, high.y_um)
    yield sheet.box("area", area.left_um, area.top_um, area.right_um, area.bottom_um)


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
    legend = (("cruise", "at full speed"), ("runup", "run-up"), ("limits", "limits of the stage"))
    for number, (kind, word) in enumerate(legend):
        x_px, text_px = 56 + 190 * number, y_px + 44
        yield (
            f'<line class="{kind}" x1="{x_px}" x2="{x_px + 26}" y1="{text_px - 4:.0f}" '
            f'y2="{text_px - 4:.0f}"/>'
            f'<text class="small" x="{x_px + 33}" y="{text_px:.0f}">{word}</text>'
        )
    yield (
        f'<circle class="focus" cx="640" cy="{y_px + 40:.0f}" r="4"/>'
        f'<text class="small" x="651" y="{y_px + 44:.0f}">focus measured</text>'
        f'<rect class="frame" x="770" y="{y_px + 34:.0f}" width="16" height="12"/>'
        f'<text class="small" x="793" y="{y_px + 44:.0f}">one frame</text>'
    )


def _figures(plan: ScanPlan) -> tuple[str, str]:
    """What the lanes are, and what the scan takes."""
    told = estimate(plan)
    return (
        f"{plan.lane_count} lanes, pitch {plan.lane_pitch_um:.0f} µm, field "
        f"{plan.field.along_um:.0f} × {plan.field.across_um:.0f} µm "
        f"({'measured' if plan.field.is_measured else 'assumed'}), overlap "
        f"{told.lane_overlap_fraction:.0%}",
        f"{told.duration_s / 60:.1f} min, {told.frame_count:,} frames, "
        f"{told.mm2_per_s:.2f} mm²/s, film about {told.film_bytes / 1e9:.2f} GB, blur "
        f"{told.blur_um:.0f} µm",
    )
