"""A coarse look: film a few lanes far apart, and tell where tissue is and where glass."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurryscope.basics.image import Rgb
from blurryscope.devices.contracts import CameraFrame, StagePoint, StageStatus
from blurryscope.scan.appearance_fit import FlatField, fit_flat_field, tissue_fraction
from blurryscope.scan.drive import Microscope, Track, Watch, drive, unwatched
from blurryscope.scan.filming import Filming, Taker
from blurryscope.scan.plan import Area, Motion, ScanPlan

_THUMB_PX = 64
"""Short side of the small pictures that a survey keeps."""
MUCH_TISSUE, HARDLY_ANY = 0.5, 0.002
_GLASS_FRAMES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One frame of a survey."""

    x_um: float
    y_um: float
    tissue_fraction: float


@dataclass(frozen=True, slots=True)
class Survey:
    """What a coarse look found."""

    looks: tuple[Look, ...]

    def tissue(self, least_fraction: float = MUCH_TISSUE) -> list[Look]:
        """The looks that show so much tissue."""
        return [look for look in self.looks if look.tissue_fraction >= least_fraction]

    def glass(self) -> list[Look]:
        """The looks that show none."""
        return [look for look in self.looks if look.tissue_fraction <= HARDLY_ANY]

    def tissue_area(self, margin_um: float) -> Area | None:
        """The rectangle that holds all tissue, with a margin; None where there is none."""
        seen = self.tissue(0.05)
        if not seen:
            return None
        left, right = min(s.x_um for s in seen), max(s.x_um for s in seen)
        top, bottom = min(s.y_um for s in seen), max(s.y_um for s in seen)
        return Area(
            left_um=left - margin_um,
            top_um=top - margin_um,
            width_um=right - left + 2 * margin_um,
            height_um=bottom - top + 2 * margin_um,
        )


def survey(
    scope: Microscope,
    lanes: Sequence[tuple[StagePoint, StagePoint]],
    motion: Motion,
    watch: Watch = unwatched,
) -> Survey:
    """Film straight passes, each from its first place to its second, and look at every frame."""
    track, kept = Track(), _Thumbs()
    for lane in lanes:
        film_pass(scope, lane, motion, kept.take, watch, track)
    glass = kept.glass()
    places = [(track.position_at(time_s), luma) for time_s, luma in kept.frames]
    return Survey(
        tuple(
            Look(x_um=place[0], y_um=place[1], tissue_fraction=tissue_fraction(luma, glass))
            for place, luma in places
            if place is not None
        )
    )


def film_pass(
    scope: Microscope,
    lane: tuple[StagePoint, StagePoint],
    motion: Motion,
    take: Taker,
    watch: Watch,
    track: Track,
) -> None:
    """Film one pass from its first place to its second; `track` learns where the stage was."""

    def look(status: StageStatus) -> None:
        watch(status)
        track.watch(status)

    start, end = lane
    drive(scope, start, watch=watch)
    with Filming(scope.camera, [take]) as film:
        film.wait_for_first()
        drive(scope, end, motion.speed_um_per_s, look)


def survey_lanes(
    plan: ScanPlan, pitch_um: float, most_count: int
) -> list[tuple[StagePoint, StagePoint]]:
    """Passes over the plan's area, `pitch_um` apart, around its middle if they do not fill it."""
    first, *_ = plan.lanes()
    count = min(max(round(plan.area.height_um / pitch_um), 1), most_count)
    middle_um = plan.area.top_um + plan.area.height_um / 2
    ends_um = (first.start.x_um, first.end.x_um)
    lanes = []
    for number in range(count):
        y_um = middle_um + (number - (count - 1) / 2) * pitch_um
        begin_um, stop_um = ends_um if number % 2 == 0 else ends_um[::-1]
        lanes.append((plan.place(begin_um, y_um), plan.place(stop_um, y_um)))
    return lanes


def take_flat_field(scope: Microscope, glass: Sequence[StagePoint]) -> FlatField:
    """Make the flat field from frames of places without tissue.

    Raises `ValueError` if there are too few of them.
    """
    pictures: list[Rgb] = []
    for place in glass[:_GLASS_FRAMES]:
        drive(scope, place)
        pictures.append(scope.camera.grab().rgb())
    return fit_flat_field(pictures)


class _Thumbs:
    """Small pictures of the frames that were filmed."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, NDArray[np.uint8]]] = []

    def take(self, frame: CameraFrame) -> None:
        luma = frame.luma()
        shrink = max(min(luma.shape) // _THUMB_PX, 1)
        size = (luma.shape[1] // shrink, luma.shape[0] // shrink)
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        self.frames.append((frame.time_s, np.asarray(small, np.uint8)))

    def glass(self) -> NDArray[np.float32]:
        """What empty glass gives: for each pixel the brightest that most passes see."""
        stack = np.stack([luma for _, luma in self.frames])
        bright = np.quantile(stack, 0.9, axis=0).astype(np.float32)
        return np.asarray(cv2.GaussianBlur(bright, (0, 0), 3.0))
