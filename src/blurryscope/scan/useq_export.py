"""A plan as a useq-schema sequence, for microscopes that stop at every field: a reference scan."""

import json
import math
from collections.abc import Iterator

from blurryscope.devices.contracts import StagePoint
from blurryscope.scan.plan import ScanPlan


def stops(plan: ScanPlan) -> Iterator[StagePoint]:
    """Middles of the fields of a stop-and-stare scan: the plan's lanes, its overlap along too."""
    step_um = plan.field.along_um * (1 - plan.overlap_fraction)
    for lane in plan.lanes():
        length_um = lane.cruise_to_um - lane.cruise_from_um
        count = math.ceil(round(abs(length_um) / step_um, 6)) + 1
        for number in range(count):
            share = number / max(count - 1, 1)
            yield plan.place(lane.cruise_from_um + share * length_um, lane.start.y_um)


def to_useq(plan: ScanPlan, name: str) -> str:
    """Give the JSON of an `MDASequence`: a position per field, in focus, in the order of lanes."""
    positions = [
        {"name": f"{name}-{number:05d}", "x": place.x_um, "y": place.y_um, "z": place.z_um}
        for number, place in enumerate(stops(plan))
    ]
    told = {
        "metadata": {"blurryscope": {"slide": name, "pixel_size_um": plan.field.pixel_size_um}},
        "axis_order": "p",
        "stage_positions": positions,
    }
    return json.dumps(told, indent=2) + "\n"
