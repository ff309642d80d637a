"""Places that may show tissue, the likeliest first: what is known, then what passes over show."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from blurryscope.devices.contracts import CameraFrame, StagePoint
from blurryscope.scan.drive import Microscope, Track, Watch
from blurryscope.scan.plan import ScanPlan
from blurryscope.scan.survey import film_pass, survey_lanes

DetailOf = Callable[[NDArray[np.uint8]], float]
"""How much can be seen in a picture, (row, col) grey; grey levels."""
_PASSES = 3
"""Over the area: one alone may run between two rows of cores."""
_BEST_OF_PASS = 3
_WORTH_A_LOOK = 2.0
"""Grey levels of detail in motion: glass has less than 1, tissue keeps half of its own and more."""


def likely_places(
    scope: Microscope,
    plan: ScanPlan,
    hints: Sequence[StagePoint],
    detail_of: DetailOf,
    watch: Watch,
) -> Iterator[StagePoint]:
    """Give the hints, then the best of each pass over the plan's area, filmed when it is due."""
    yield from hints
    pitch_um = max(plan.area.height_um / _PASSES, plan.field.across_um)
    for lane in survey_lanes(plan, pitch_um, _PASSES):
        seen = _details_along(scope, plan, lane, detail_of, watch)
        for x_um in _peaks(seen, plan.field.along_um):
            yield plan.place(x_um, lane[0].y_um)


def _details_along(
    scope: Microscope,
    plan: ScanPlan,
    lane: tuple[StagePoint, StagePoint],
    detail_of: DetailOf,
    watch: Watch,
) -> list[tuple[float, float]]:
    """Film one pass: detail and x, µm, of every frame within the area that may be worth a look."""
    track, details = Track(), list[tuple[float, float]]()

    def take(frame: CameraFrame) -> None:
        details.append((detail_of(frame.luma()), frame.time_s + plan.field.exposure_s / 2))

    film_pass(scope, lane, plan.motion, take, watch, track)
    left_um, right_um = plan.area.left_um, plan.area.left_um + plan.area.width_um
    places = [(detail, track.position_at(time_s)) for detail, time_s in details]
    return [
        (detail, place[0])
        for detail, place in places
        if place is not None and detail > _WORTH_A_LOOK and left_um <= place[0] <= right_um
    ]


def _peaks(seen: Sequence[tuple[float, float]], apart_um: float) -> list[float]:
    """The x of most detail, a field apart at least."""
    chosen: list[float] = []
    for _, x_um in sorted(seen, reverse=True):
        if all(math.fabs(x_um - other_um) >= apart_um for other_um in chosen):
            chosen.append(x_um)
    return chosen[:_BEST_OF_PASS]
