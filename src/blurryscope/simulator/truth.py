"""What is true of a simulated scan, as files beside it say it: `truth.json` and `map.csv`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blurryscope.simulator.camera import CameraSettings
from blurryscope.simulator.slide import Slide
from blurryscope.simulator.stage import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueWay:
    """Where the middle of the field was at mid read-out of every frame, µm on the slide."""

    middle_s: Floats
    x_um: Floats
    y_um: Floats
    lanes: NDArray[np.int64]
    """-1 outside lanes."""


def map_of(slide: Slide) -> str:
    """The lab's map of the slide, CSV."""
    rows = [f"{slide.design.name},{core.name},{core.score.label}\n" for core in slide.cores]
    return "slide,core,her2\n" + "".join(rows)


def truth_of(slide: Slide, camera: CameraSettings, way: TrueWay) -> dict[str, object]:
    """What `blurryscope.evaluate.placement` compares a stitched slide with, and a little more."""
    design = slide.design
    right_angle = round(camera.turn_deg / 90.0) * 90.0
    return {
        "px_um": camera.pixel_size_um,
        "portrait": camera.is_portrait,
        "angle_deg": camera.turn_deg - right_angle,
        "camera_turn_deg": camera.turn_deg,
        "readout_s": camera.readout_s,
        "field_px": [camera.columns, camera.rows]
        if camera.is_portrait
        else [camera.rows, camera.columns],
        "fps": camera.frame_rate_hz,
        "exposure_s": camera.exposure_s,
        "slide_shape": [*slide.size_px, 3],
        "slide_turned": slide.turned,
        "frames": [
            list(row)
            for row in zip(way.x_um.tolist(), way.y_um.tolist(), way.lanes.tolist(), strict=True)
        ],
        "middle_s": way.middle_s.tolist(),
        "cores": [
            {
                "row": core.name.row,
                "col": core.name.column,
                "y_um": core.y_um,
                "x_um": core.x_um,
                "score": int(core.score),
                "missing": core.missing,
            }
            for core in slide.cores
        ],
        "geometry": {
            "core_um": design.core_diameter_um,
            "pitch_um": design.pitch_um,
            "angle_deg": design.tilt_deg,
        },
    }
