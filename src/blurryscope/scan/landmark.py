"""A place of the slide to recognise it by, before a scan goes on after the stage lost its place."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.displacement import Search, detail, find_displacement
from blurryscope.scan.drive import Microscope, Watch, picture_at, unwatched

FILE = "landmark.png"
MOST_OFF_UM = 30.0
"""How far the slide may lie off after homing; lanes overlap by three times as much."""
_TELLING = 5.0
"""Grey levels, deviation of detail: glass has less than 1, tissue 5 to 15."""
_REACH_FRACTION = 0.3
_LEAST_CORRELATION = 0.7
"""The same tissue gives 0.9 and more; the edges of two cores can give 0.6."""


def take_landmark(
    scope: Microscope,
    candidates: Sequence[StagePoint],
    folder: Path,
    watch: Watch = unwatched,
) -> StagePoint | None:
    """Photograph the first place that is worth remembering; None where none of them is."""
    for place in candidates:
        luma = picture_at(scope, place, watch=watch).luma()
        if detail(luma).std() >= _TELLING:
            is_coded, coded = cv2.imencode(".png", luma)
            if not is_coded:
                raise ValueError(f"a picture of shape {luma.shape} cannot be coded as PNG")
            with whole_file(folder / FILE) as partial:
                partial.write_bytes(coded.tobytes())
            return place
    return None


def check_landmark(
    scope: Microscope,
    place: StagePoint | None,
    folder: Path,
    pixel_size_um: float,
    watch: Watch = unwatched,
) -> float:
    """Look at the landmark again and give how far off it lies, µm.

    Raises `InputError` where there is none, where it is not found, or where it lies too far off:
    the lanes to come would not fit those that are done.
    """
    remedy = "Scan the slide from the beginning, into another folder"
    if place is None:
        raise InputError(
            folder, "the slide has no landmark, so its place cannot be proven after homing", remedy
        )
    before, after = _stored(folder / FILE, remedy), picture_at(scope, place, watch=watch).luma()
    reach = round(_REACH_FRACTION * min(before.shape))
    found = None
    if before.shape == after.shape:
        search = Search(reach_x_px=reach, reach_y_px=reach)
        found = find_displacement(detail(before), detail(after), search)
    if found is None or found.correlation < _LEAST_CORRELATION:
        raise InputError(folder, "the slide's landmark is not where it was", remedy)
    off_um = float(np.hypot(found.x_px, found.y_px)) * pixel_size_um
    if off_um > MOST_OFF_UM:
        raise InputError(
            folder, f"the slide lies {off_um:.0f} µm off where it lay (at most {MOST_OFF_UM:.0f})",
            remedy,
        )  # fmt: skip
    return off_um


def _stored(path: Path, remedy: str) -> NDArray[np.uint8]:
    coded = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    luma = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE) if len(coded) else None
    if luma is None:
        raise InputError(path, "is no picture", remedy)
    return np.asarray(luma, np.uint8)
