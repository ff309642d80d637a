"""Whether the cores found have the spacing that the layout states."""

from blurryscope.artifacts.array_layout import Layout
from blurryscope.artifacts.tissue_cores import CoreGrid
from blurryscope.tma.orientation import Orientation

_MOST_OFF_FRACTION = 0.08
"""Sections stretch by a few percent on the water bath; another array differs by more."""


def doubts_about_size(layout: Layout | None, grid: CoreGrid) -> tuple[str, ...]:
    """Why the slide may not be the array of this layout; empty where a spacing is not known."""
    if layout is None or layout.pitch_um is None or grid.pixel_size_um is None:
        return ()
    found = [pitch_px * grid.pixel_size_um for pitch_px in grid.pitch_px]
    is_turned = Orientation(grid.orientation).swaps_axes
    stated = layout.pitch_um[::-1] if is_turned else layout.pitch_um
    if all(abs(f / s - 1) <= _MOST_OFF_FRACTION for f, s in zip(found, stated, strict=True)):
        return ()
    return (
        f"The cores lie {found[0]:.0f} × {found[1]:.0f} µm apart, the layout says "
        f"{stated[0]:.0f} × {stated[1]:.0f}: is it the layout of this array, and is the size of "
        "a pixel right?",
    )
