"""Drawings of parts: front, side, top and an oblique view with the outer measures, as SVG."""

from collections.abc import Iterable
from dataclasses import dataclass

from build123d import Edge, GeomType, Shape, ShapeList

SAMPLES = 24
"""Points along a curved edge."""
GAP_MM = 14.0
MARGIN_MM = 16.0
FAR = 1000.0

Line = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A projected part: polylines in mm, x to the right, y up."""

    title: str
    visible: list[Line]
    hidden: list[Line]
    is_square: bool
    """Seen along an axis, so that lengths can be read off."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        points = [point for line in self.visible + self.hidden for point in line]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return min(xs), min(ys), max(xs), max(ys)


def views_of(part: Shape, with_hidden: bool = True) -> list[View]:
    """Project a part in four directions: front, side, top, oblique."""
    ways = {
        "front": ((0.0, -FAR, 0.0), (0.0, 0.0, 1.0)),
        "side": ((FAR, 0.0, 0.0), (0.0, 0.0, 1.0)),
        "top": ((0.0, 0.0, FAR), (0.0, 1.0, 0.0)),
        "oblique": ((FAR, FAR * 0.9, FAR * 0.8), (0.0, 0.0, 1.0)),
    }
    return [
        view_of(part, title, eye, up, with_hidden and title != "oblique")
        for title, (eye, up) in ways.items()
    ]


def view_of(
    part: Shape,
    title: str,
    eye: tuple[float, float, float],
    up: tuple[float, float, float],
    with_hidden: bool = False,
) -> View:
    """Project a part as seen from `eye`."""
    middle = part.bounding_box().center()
    seen_from = (middle.X + eye[0], middle.Y + eye[1], middle.Z + eye[2])
    visible, hidden = part.project_to_viewport(seen_from, up, middle)
    return View(
        title=title,
        visible=_lines(visible),
        hidden=_lines(hidden) if with_hidden else [],
        is_square=eye.count(0.0) == 2,
    )


def sheet(name: str, views: Iterable[View]) -> str:
    """Lay views side by side, all at 1:1, under a title; widths and heights are written at them."""
    body: list[str] = []
    x = MARGIN_MM
    placed = list(views)
    tallest = max(view.box[3] - view.box[1] for view in placed)
    for view in placed:
        left, bottom, right, top = view.box
        floor = MARGIN_MM + 10 + tallest
        body.append(f'<g transform="translate({x - left:.2f} {floor + bottom:.2f}) scale(1 -1)">')
        body += [_path(line, "hidden") for line in view.hidden]
        body += [_path(line, "visible") for line in view.visible]
        body.append("</g>")
        middle = x + (right - left) / 2
        body.append(
            f'<text x="{middle:.2f}" y="{floor + 11:.2f}" class="title">{view.title}</text>'
        )
        if view.is_square:
            body += _measures(x, floor, right - left, top - bottom)
        x += right - left + GAP_MM
    width, height = x - GAP_MM + MARGIN_MM, tallest + 2 * MARGIN_MM + 12
    return _page(width, height, [f'<text x="{MARGIN_MM}" y="10" class="name">{name}</text>', *body])


def _measures(x: float, floor: float, width: float, height: float) -> list[str]:
    """Width below and height left of a view."""
    below, beside = floor + 3, x - 3
    return [
        f'<path class="measure" d="M{x:.2f} {below:.2f}h{width:.2f}"/>',
        f'<text x="{x + width / 2:.2f}" y="{below + 4:.2f}">{width:.1f}</text>',
        f'<path class="measure" d="M{beside:.2f} {floor:.2f}v{-height:.2f}"/>',
        f'<text transform="translate({beside - 1.5:.2f} {floor - height / 2:.2f}) rotate(-90)">'
        f"{height:.1f}</text>",
    ]


def _lines(edges: ShapeList[Edge]) -> list[Line]:
    lines = []
    for edge in edges:
        count = 1 if edge.geom_type == GeomType.LINE else SAMPLES
        points = [edge.position_at(index / count) for index in range(count + 1)]
        lines.append([(point.X, point.Y) for point in points])
    return lines


def _path(line: Line, kind: str) -> str:
    points = "L".join(f"{x:.1f} {y:.1f}" for x, y in line)
    return f'<path class="{kind}" d="M{points}"/>'


def _page(width: float, height: float, body: list[str]) -> str:
    style = (
        "path{fill:none;stroke:#222;stroke-width:.35;stroke-linecap:round}"
        ".hidden{stroke:#aaa;stroke-width:.18;stroke-dasharray:1.2 .8}"
        ".measure{stroke:#06c;stroke-width:.2}"
        "text{font:3.2px sans-serif;text-anchor:middle;fill:#06c}"
        ".title{fill:#444}.name{font-size:5px;text-anchor:start;fill:#000}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" '
            f'width="{width:.1f}mm" height="{height:.1f}mm">',
            f"<style>{style}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *body,
            "</svg>",
            "",
        ]
    )
