import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.devices.contracts import StageLimits, StagePoint
from blurryscope.scan.plan import Area
from blurryscope.scan.plan_file import ScanOrder, focus_grid, read_plan
from blurryscope.scan.plan_picture import plan_picture

GOOD = """
repeats = 2

[motion]
rest_s = 0.4

[lanes]
overlap_fraction = 0.25

[field]
pixel_size_um = 0.72
turn_deg = 94.4

[[slides]]
name = "one"
area = { left_um = 1000, top_um = 1000, width_um = 8000, height_um = 4000 }
map = "maps/one.csv"
focus_um = [[1000, 1000, 5], [9000, 1000, 13], [1000, 5000, 1]]

[[slides]]
name = "two"
repeats = 1
area = { left_um = 11000, top_um = 1000, width_um = 8000, height_um = 4000 }
"""


def order_of(folder: Path, text: str) -> ScanOrder:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path)


def test_a_plan_of_several_slides_is_read(tmp_path: Path) -> None:
    order = order_of(tmp_path, GOOD)
    one, two = order.slides
    assert (one.repeats, two.repeats) == (2, 1)
    assert one.map_path == tmp_path / "maps" / "one.csv"
    assert two.map_path is None
    assert one.focus is not None
    assert one.focus.z_at_um(9000, 5000) == pytest.approx(9.0)
    assert order.field is not None
    plan = order.plan_of(two, order.field, acceleration_um_per_s2=50_000)
    assert plan.motion.rest_s == 0.4
    assert plan.motion.acceleration_um_per_s2 == 50_000
    assert plan.overlap_fraction == 0.25


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("overlap_fraction", "overlap_percent", "lanes.overlap_percent"),
        ("width_um = 8000", "width_um = 0", "slides 1, area.width_um"),
        ("[9000, 1000, 13], [1000, 5000, 1]", "[2000, 2000, 1], [3000, 3000, 2]", "line"),
        ("left_um = 1000", "left_um = nan", "slides 1, area.left_um"),
        ('name = "two"', 'name = "one"', "one name"),
        ('name = "two"', 'name = "../two"', "slides 2, name: may have letters"),
        ("rest_s = 0.4", "rest_s = = 0.4", "no TOML"),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused_by_its_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    with pytest.raises(InputError, match=place):
        order_of(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("table", "field", "slips"),
    [
        ("motion", "speed_um_per_s", ("5", "1e300", "true", '"5000"')),  # mm/s
        ("motion", "acceleration_um_per_s2", ("100", "1e300")),  # mm/s²
        ("motion", "rest_s", ("0", "500")),  # ms
        ("lanes", "overlap_fraction", ("-0.1", "20", "0.999")),  # percent
        ("lanes", "pitch_um", ("0.35", "1e9")),  # mm
        ("field", "pixel_size_um", ("1e-9", "720", "-0.72", "inf")),  # nm
        ("field", "rows", ("0", "1000000000", "480.5")),
        ("field", "columns", ("0", "1000000000")),
        ("field", "frame_rate_hz", ("0", "0.033", "1e9")),  # s
        ("field", "exposure_s", ("0", "7.8", "1e-9")),  # ms
        ("field", "turn_deg", ("1e9",)),
        ("field", "readout_ratio", ("1", "-27")),  # percent
    ],
)
def test_a_slip_of_a_unit_or_of_the_keyboard_is_refused_by_its_field(
    tmp_path: Path, table: str, field: str, slips: tuple[str, ...]
) -> None:
    start = "[field]\npixel_size_um = 1\n" if table == "field" else f"[{table}]\n"
    start = start.replace("pixel_size_um = 1\n", "") if field == "pixel_size_um" else start
    slide = '[[slides]]\nname = "one"\narea = { left_um = 0, top_um = 0, width_um = 1000, '
    for slip in slips:
        with pytest.raises(InputError, match=rf"plan\.toml, {table}\.{field}: "):
            order_of(tmp_path, f"{start}{field} = {slip}\n{slide}height_um = 900 }}\n")


def test_a_plan_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"plan\.toml"):
        read_plan(tmp_path / "plan.toml")


def test_the_picture_shows_every_lane_and_where_on_the_stage_it_is(tmp_path: Path) -> None:
    order = order_of(tmp_path, GOOD)
    assert order.field is not None
    plan = order.plan_of(order.slides[0], order.field, acceleration_um_per_s2=100_000)
    limits = StageLimits(
        lowest=StagePoint(x_um=0, y_um=0),
        highest=StagePoint(x_um=20_000, y_um=10_000),
        speed_um_per_s=6000,
        acceleration_um_per_s2=100_000,
    )
    drawn = ET.fromstring(plan_picture(plan, "<one>", limits, order.slides[0].focus_um))
    marks = [element.get("class") for element in drawn.iter() if element.get("class")]
    legend = 1
    assert marks.count("cruise") == plan.lane_count + legend
    assert marks.count("step") == plan.lane_count - 1
    assert marks.count("focus") == 3 + legend
    assert marks.count("limits") == marks.count("here") == 1
    spoken = [element.text or "" for element in drawn if element.tag.endswith(("title", "desc"))]
    assert spoken[0] == "<one>"
    assert spoken[1].startswith(f"{plan.lane_count} lanes")


@pytest.mark.parametrize("count", [3, 5, 9])
def test_focus_is_measured_within_the_area_and_not_on_a_line(count: int) -> None:
    area = Area(left_um=1000, top_um=2000, width_um=8000, height_um=4000)
    places = focus_grid(area, count)
    assert len(set(places)) == count
    assert all(1000 <= x <= 9000 and 2000 <= y <= 6000 for x, y in places)
