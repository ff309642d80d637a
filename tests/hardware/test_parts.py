"""The printed parts are bodies that can be printed, and nothing touches what it should not."""

from itertools import product
from pathlib import Path

import pytest

from hardware.dimensions import Dimensions

pytest.importorskip("build123d", reason="the extra `hardware` is not installed")

from build123d import CenterOf, GeomType

from hardware.assembly import clearance
from hardware.make import make_parts
from hardware.parts import PRINTED

SIZES = Dimensions()
PRINTER_MM = 220.0
STEEPEST = 0.72
"""A printer's layer reaches over the one below at up to 45°, the cosine of which is 0.707."""


@pytest.mark.parametrize("name", PRINTED)
def test_a_part_is_one_sound_body_that_fits_a_printer(name: str) -> None:
    part = PRINTED[name](SIZES)
    assert part.is_valid
    assert len(part.solids()) == 1
    assert max(part.bounding_box().size) < PRINTER_MM


@pytest.mark.parametrize("name", PRINTED)
def test_a_part_prints_as_it_stands_without_support(name: str) -> None:
    part = PRINTED[name](SIZES)
    floor = part.bounding_box().min.Z
    ceilings = [
        face
        for face in part.faces()
        if face.geom_type in (GeomType.PLANE, GeomType.CONE)
        and face.normal_at(face.center(CenterOf.GEOMETRY)).Z < -STEEPEST
        and floor + 0.1 < face.bounding_box().min.Z
    ]
    assert not ceilings


def test_a_thicker_slide_holder_keeps_the_condenser_below_it() -> None:
    thick = Dimensions(holder_thickness=12.0)
    assert thick.condenser_height == SIZES.condenser_height
    assert clearance(thick, 0, 0)[0] > 1


@pytest.mark.slow
def test_the_slide_holder_touches_nothing_at_the_corners_of_its_travel() -> None:
    far_x, far_y = SIZES.travel_x / 2, SIZES.travel_y / 2
    for x, y, z in product((-far_x, far_x), (-far_y, far_y), (-1.0, 0.0)):
        nearest_mm, where = clearance(SIZES, x, y, z)
        assert nearest_mm > 1, where


def test_files_are_written_for_every_part(tmp_path: Path) -> None:
    files = make_parts(tmp_path, tmp_path, SIZES)
    assert {file.name for file in files} == {
        f"{name}.{ending}" for name in PRINTED for ending in ("step", "stl", "svg")
    }
    assert all(file.stat().st_size > 1000 for file in files)
