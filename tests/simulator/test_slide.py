from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError, MissingInputError
from blurryscope.basics.her2 import Score
from blurryscope.simulator.pictures import CorePicture
from blurryscope.simulator.slide import Slide, SlideDesign

DESIGN = SlideDesign(
    rows=2,
    columns=3,
    core_diameter_um=300.0,
    pitch_um=450.0,
    margin_um=350.0,
    tilt_deg=2.0,
    missing=(CoreName(0, 1),),
    scores=(Score.THREE, Score.THREE, Score.ZERO, Score.ONE, Score.TWO, Score.THREE),
    dust_per_mm2=4.0,
    seed=3,
)
PX_UM = 1.5


def test_a_slide_read_in_pieces_is_the_slide_read_whole() -> None:
    slide = Slide(DESIGN, PX_UM)
    rows, columns = slide.size_px
    whole = slide.read(0, 0, rows, columns)
    pieces = np.zeros_like(whole)
    for top in range(0, rows, 97):
        for left in range(0, columns, 131):
            height, width = min(97, rows - top), min(131, columns - left)
            pieces[top : top + height, left : left + width] = slide.read(top, left, height, width)
    assert np.array_equal(pieces, whole)


def test_a_core_lies_where_the_slide_says_and_a_lost_one_does_not() -> None:
    slide = Slide(replace(DESIGN, dust_per_mm2=0.0), PX_UM)
    for core in slide.cores:
        row, column = round(core.y_um / PX_UM), round(core.x_um / PX_UM)
        around = slide.read(row - 130, column - 130, 260, 260).min(axis=2) < 245
        if core.missing:
            assert core.name == CoreName(0, 1)
            assert not around.any()
        else:
            seen_row, seen_column = (float(at.mean()) for at in np.nonzero(around))
            assert (seen_row, seen_column) == pytest.approx((130, 130), abs=20)


def test_a_tilted_array_turns_x_towards_y() -> None:
    slide = Slide(replace(DESIGN, tilt_deg=10.0, placement_um=0.0), PX_UM)
    first, last = slide.cores[0], slide.cores[2]
    turned = np.rad2deg(np.arctan2(last.y_um - first.y_um, last.x_um - first.x_um))
    assert turned == pytest.approx(10.0)


def test_a_turned_slide_is_the_same_slide_upside_down() -> None:
    upright, turned = Slide(DESIGN, PX_UM), Slide(DESIGN, PX_UM, turned=True)
    rows, columns = upright.size_px
    whole = upright.read(0, 0, rows, columns)
    assert np.array_equal(turned.read(0, 0, rows, columns), whole[::-1, ::-1])
    for here, there in zip(upright.cores, turned.cores, strict=True):
        assert (here.name, here.score) == (there.name, there.score)
        assert here.x_um + there.x_um == pytest.approx(columns * PX_UM)


def test_the_scores_given_are_the_scores_of_the_cores() -> None:
    assert tuple(core.score for core in Slide(DESIGN, PX_UM).cores) == DESIGN.scores


def test_beyond_the_picture_there_is_glass() -> None:
    assert (Slide(DESIGN, PX_UM).read(-500, -500, 40, 40) == 255).all()


def test_a_cover_slip_draws_a_line_down_the_slide() -> None:
    light = Slide(replace(DESIGN, cover_slip=True), PX_UM).read(0, 0, 50, 300)
    assert (light[:, :, 0].min(axis=1) <= 120).all()


def test_a_slide_is_built_from_pictures_of_cores(tmp_path: Path) -> None:
    stored = np.full((600, 600, 3), 240, np.uint8)
    cv2.circle(stored, (300, 300), 200, (60, 90, 140), -1)
    cv2.imwrite(str(tmp_path / "core.png"), stored)
    picture = CorePicture(path=tmp_path / "core.png", score=Score.THREE, pixel_size_um=0.75)
    slide = Slide(replace(DESIGN, pictures=(picture,), scores=(), missing=()), PX_UM)
    for core in slide.cores:
        assert core.score is Score.THREE
        row, column = round(core.y_um / PX_UM), round(core.x_um / PX_UM)
        middle = slide.read(row - 10, column - 10, 20, 20).reshape(-1, 3)
        assert np.median(middle, axis=0) == pytest.approx([151, 98, 65], abs=6)
        away = slide.read(row - 140, column - 4, 8, 8)
        assert away.min() > 240


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    picture = CorePicture(path=tmp_path / "gone.png", score=Score.ZERO, pixel_size_um=0.75)
    slide = Slide(replace(DESIGN, pictures=(picture,), scores=()), PX_UM)
    with pytest.raises(MissingInputError, match=r"gone\.png"):
        slide.read(0, 0, *slide.size_px)


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    picture = CorePicture(path=tmp_path / "text.png", score=Score.ZERO, pixel_size_um=0.75)
    slide = Slide(replace(DESIGN, pictures=(picture,), scores=()), PX_UM)
    with pytest.raises(InputError, match=r"text\.png"):
        slide.read(0, 0, *slide.size_px)


def test_cores_wider_than_their_pitch_are_refused() -> None:
    with pytest.raises(ValueError, match="core_diameter_um"):
        replace(DESIGN, core_diameter_um=500.0)


def test_a_lost_core_outside_the_array_is_refused() -> None:
    with pytest.raises(ValueError, match="C1"):
        replace(DESIGN, missing=(CoreName(2, 0),))
