"""A place of the slide to recognise it by: before a scan goes on, and when all lanes are filmed.

The stage has no scale of its own: its controller counts steps, whether the carriage follows or not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.artifacts.whole import whole_file
from blurryscope.basics.errors import InputError
from blurryscope.devices.contracts import CameraFrame, StagePoint
from blurryscope.scan.displacement import Search, detail, find_displacement
from blurryscope.scan.drive import Microscope, Watch, picture_at, unwatched

FILE = "landmark.png"
MOST_OFF_UM = 30.0
"""How far the slide may lie off: a stepper that misses steps misses four at once, 40 µm where 1600
of them in sixteenths are a millimetre; lanes overlap by three times as much."""
_TELLING = 5.0
"""Grey levels, deviation of detail: glass has less than 1, tissue 5 to 15. Asked of the patch that
is sought again: where tissue is at the rim of the picture only, dust would be found instead."""
_REACH_FRACTION = 0.3
REMEDY = "Scan the slide from the beginning, into another folder"
_LEAST_CORRELATION = 0.7
"""The same tissue gives 0.9 and more; the edges of two cores can give 0.6."""


def take_landmark(
    scope: Microscope,
    candidates: Iterable[StagePoint],
    folder: Path,
    flat: NDArray[np.float32],
    watch: Watch = unwatched,
) -> StagePoint | None:
    """Photograph the first place that is worth remembering; None where none of them is.

    `flat` is the field over empty glass, (row, col), mean 1.
    """
    for place in candidates:
        luma = picture_at(scope, place, watch=watch).luma()
        if detail_amid(luma, flat) >= _TELLING:
            is_coded, coded = cv2.imencode(".png", luma)
            if not is_coded:
                raise ValueError(f"a picture of shape {luma.shape} cannot be coded as PNG")
            with whole_file(folder / FILE) as partial:
                partial.write_bytes(coded.tobytes())
            return place
    return None


def detail_amid(luma: NDArray[np.uint8], flat: NDArray[np.float32]) -> float:
    """How much there is to know a picture by, grey levels, in the patch that is sought again."""
    reach = _reach_px(luma)
    amid = (slice(reach, -reach), slice(reach, -reach))
    return float(_fine(luma[amid], flat[amid]).std())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How the landmark was found again."""

    off_um: float
    """How far off it lies; where it is not seen, how far it was looked for."""
    is_seen: bool

    @property
    def is_in_place(self) -> bool:
        """Whether lanes filmed before and after fit each other."""
        return self.is_seen and self.off_um <= MOST_OFF_UM

    @property
    def words(self) -> str:
        """How far off, to be read."""
        return f"{'' if self.is_seen else 'more than '}{self.off_um:.0f} µm"


def find_landmark(
    place: StagePoint,
    folder: Path,
    flat: NDArray[np.float32],
    pixel_size_um: float,
    take: Callable[[StagePoint], CameraFrame],
) -> Found:
    """Look at the landmark again; `take` photographs a place as it was photographed first.

    Raises `InputError` where its picture is gone.
    """
    before = _stored(folder / FILE)
    after = take(place).luma()
    reach = _reach_px(before)
    found = None
    if before.shape == after.shape:
        search = Search(reach_x_px=reach, reach_y_px=reach)
        found = find_displacement(_fine(before, flat), _fine(after, flat), search)
    if found is None or found.correlation < _LEAST_CORRELATION:
        return Found(off_um=reach * pixel_size_um, is_seen=False)
    return Found(off_um=float(np.hypot(found.x_px, found.y_px)) * pixel_size_um, is_seen=True)


def refuse_moved(folder: Path, found: Found) -> None:
    """Raise `InputError` unless the landmark is in place: lanes to come would not fit."""
    if found.is_in_place:
        return
    raise InputError(
        folder,
        f"the slide's landmark lies {found.words} off where it lay (at most {MOST_OFF_UM:.0f}): "
        "the slide was moved, or the stage lost its way",
        REMEDY,
    )


def _reach_px(luma: NDArray[np.uint8]) -> int:
    """How far off to all sides it is looked for."""
    reach: int = round(_REACH_FRACTION * min(luma.shape))
    return reach


def _fine(luma: NDArray[np.uint8], flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the slide alone shows: dust on the sensor lies where it lay wherever the stage is."""
    even = luma / flat if flat.shape == luma.shape else luma
    return detail(np.rint(np.clip(even, 0, 255)).astype(np.uint8))


def _stored(path: Path) -> NDArray[np.uint8]:
    coded = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    luma = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE) if len(coded) else None
    if luma is None:
        raise InputError(path, "is no picture", REMEDY)
    return np.asarray(luma, np.uint8)
