import json
from itertools import pairwise

import pytest

from blurryscope.scan.focus import FocusPlane
from blurryscope.scan.plan import Area, FieldOfView, ScanPlan
from blurryscope.scan.useq_export import stops, to_useq

PLAN = ScanPlan(
    area=Area(left_um=1000, top_um=2000, width_um=3000, height_um=1500),
    field=FieldOfView(pixel_size_um=0.72, turn_deg=90.0),
    focus=FocusPlane(z_um=5.0, slope_x=0.001),
)


def test_the_stops_cover_the_area_in_focus_and_without_gaps() -> None:
    places = list(stops(PLAN))
    rows = sorted({place.y_um for place in places})
    assert len(rows) == PLAN.lane_count
    for y_um in rows:
        xs_um = sorted(place.x_um for place in places if place.y_um == y_um)
        assert xs_um[0] - PLAN.field.along_um / 2 == pytest.approx(1000)
        assert xs_um[-1] + PLAN.field.along_um / 2 == pytest.approx(4000)
        gaps = [there - here for here, there in pairwise(xs_um)]
        assert max(gaps) <= PLAN.field.along_um * 0.8 + 1e-6
    assert all(place.z_um == pytest.approx(5 + place.x_um / 1000) for place in places)


def test_neighbours_in_the_sequence_are_neighbours_on_the_slide() -> None:
    places = list(stops(PLAN))
    farthest = max(here.distance_um(there) for here, there in pairwise(places))
    assert farthest < PLAN.field.across_um


def test_useq_reads_what_was_written() -> None:
    useq = pytest.importorskip("useq", reason="useq-schema is an extra of the development setup")
    sequence = useq.MDASequence.model_validate_json(to_useq(PLAN, "S1"))
    events = list(sequence)
    assert [(e.x_pos, e.y_pos, e.z_pos) for e in events] == [
        (p["x"], p["y"], p["z"]) for p in json.loads(to_useq(PLAN, "S1"))["stage_positions"]
    ]
