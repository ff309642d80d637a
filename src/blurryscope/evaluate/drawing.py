"""Drawing panels: colours that colour-blind readers tell apart, and never colour alone.

The palette is that of Okabe and Ito (2008); lines differ in dashes, points in shape, and matrices
carry their numbers.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurryscope.artifacts.whole import whole_file, write_text_whole
from blurryscope.basics.percent import percent
from blurryscope.evaluate.calls import THRESHOLDS, Sweep

BLUE, ORANGE, GREEN, PINK, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PINK, ":"))
"""Colour and dash of the first line, the second, and so on."""

_DPI = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One figure and the numbers in it."""

    name: str
    """Name of its files, without ending."""
    title: str
    caption: str
    svg: str
    png: bytes
    rows: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a panel."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@contextmanager
def our_style() -> Iterator[None]:
    """Fonts and frames of all our figures; whatever draws stands within it."""
    with mpl.rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": 9.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9.5,
            "svg.fonttype": "path",  # looks alike everywhere, whatever fonts the reader has
            "svg.hashsalt": "blurryscope",
        }
    ):
        yield


@our_style()
def panels(
    rows: int, columns: int, width: float = 3.2, height: float = 2.9
) -> tuple[Figure, list[Axes]]:
    """An empty figure of equal panels, row by row; sizes in inches, of one panel."""
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [axes for line in grid for axes in line]


@our_style()
def finished(
    figure: Figure, name: str, title: str, caption: str, rows: Sequence[Mapping[str, object]]
) -> Drawn:
    """Turn a figure into its files' contents; the same figure gives the same bytes."""
    # Lay it out once: left to itself matplotlib does so again for each file, at half the time.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn, text = io.BytesIO(), io.StringIO()
    figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return Drawn(
        name=name,
        title=title,
        caption=caption,
        svg=svg[svg.index("<svg") :],
        png=drawn.getvalue(),
        rows=rows,
    )


def write_drawn(folder: Path, drawn: Drawn) -> None:
    """Write PNG, SVG and CSV of one figure, each whole or not at all."""
    with whole_file(folder / f"{drawn.name}.png") as partial:
        partial.write_bytes(drawn.png)
    write_text_whole(folder / f"{drawn.name}.svg", drawn.svg)
    text = io.StringIO()
    if drawn.rows:
        table = csv.DictWriter(text, list(drawn.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(drawn.rows)
    write_text_whole(folder / f"{drawn.name}.csv", text.getvalue())


@our_style()
def draw_sweep(axes: Axes, title: str, curve: Sweep, threshold: float | None) -> None:
    """Accuracy and indeterminate share against the threshold, with the point that was chosen."""
    axes.plot(THRESHOLDS, curve.accuracy, "-", color=BLUE, label="accuracy of calls made")
    axes.plot(THRESHOLDS, curve.indeterminate, "--", color=ORANGE, label="share indeterminate")
    if threshold is not None:
        at = min(int(np.ceil(threshold * 100 - 1e-9)), 100)
        axes.axvline(threshold, color="#555555", linewidth=0.8)
        axes.plot(threshold, curve.accuracy[at], "o", color=BLUE, markersize=5)
        axes.plot(threshold, curve.indeterminate[at], "s", color=ORANGE, markersize=5)
    _unit_square(axes, title, "confidence asked for", "share")


@our_style()
def draw_confusion(axes: Axes, title: str, counts: NDArray[np.int64]) -> None:
    """Counts and shares of each label's row; darker is more."""
    classes = len(counts)
    names = ["0", "1+", "2+", "3+"] if classes == 4 else ["negative", "positive"]
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    # Not imshow, which puts a picture of a few pixels into the SVG, to be smeared when enlarged.
    edges = np.arange(classes + 1) - 0.5
    axes.pcolormesh(edges, edges, shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white")
    axes.set(aspect="equal", ylim=(classes - 0.5, -0.5))
    for row in range(classes):
        for column in range(classes):
            share = shares[row, column]
            text = f"{counts[row, column]}\n{percent(share)}" if totals[row, 0] else "–"
            color = "white" if share > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8.5)
    axes.set_xticks(range(classes), names)
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="called", ylabel="label", title=title)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)


@our_style()
def draw_curves(
    axes: Axes,
    title: str,
    curves: Sequence[Curve],
    xlabel: str,
    ylabel: str,
    *,
    steps: bool = False,
) -> None:
    """Lines in a unit square, each with its own colour and dash."""
    for (color, dash), curve in zip(LINES, curves, strict=False):
        drawstyle = "steps-post" if steps else "default"
        axes.plot(
            curve.x, curve.y, dash, color=color, label=curve.label, linewidth=1.6,
            drawstyle=drawstyle,
        )  # fmt: skip
    _unit_square(axes, title, xlabel, ylabel)


def _unit_square(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
