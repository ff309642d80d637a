from dataclasses import replace

import numpy as np
import pytest

from blurryscope.artifacts.array_layout import Layout, LayoutBlock
from blurryscope.artifacts.core_labels import read_axis
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.her2 import Score
from blurryscope.tma.array_folder import used_layout
from blurryscope.tma.contact_sheet import draw_contact_sheet, places_on_sheet, summary
from blurryscope.tma.find import find_cores
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide

SLIDE = ToySlide(rows=2, columns=4, missing=frozenset({"B3"}), brown=frozenset({"A1", "A2"}))


def sheet_of(turn: Orientation) -> np.ndarray:
    upright = SLIDE.picture()
    turned = np.rot90(upright.read_level(0), -turn.quarter_turns)
    if turn.is_mirrored:
        turned = np.rot90(np.fliplr(upright.read_level(0)), -turn.quarter_turns)
    picture = PlainPicture(np.ascontiguousarray(turned), upright.pixel_size_um)
    found = find_cores(picture, SLIDE.map(), TmaSettings(orientation=turn))
    return draw_contact_sheet(found, picture, used_layout(None, SLIDE.map(), found))


def cell_means(sheet: np.ndarray) -> np.ndarray:
    """Mean colour of the picture in each cell, (row, column, rgb)."""
    cell = (sheet.shape[1] - 1) // 4
    return np.array(
        [
            [
                sheet[
                    r * cell + 8 : r * cell + cell // 2, c * cell + 40 : (c + 1) * cell - 40
                ].mean(axis=(0, 1))
                for c in range(4)
            ]
            for r in range(2)
        ]
    )


@pytest.mark.parametrize(
    "turn", [Orientation.TURNED_90, Orientation.TURNED_180, Orientation.MIRRORED]
)
def test_a_sheet_looks_the_same_however_the_slide_lay(turn: Orientation) -> None:
    upright, turned = sheet_of(Orientation.AS_SCANNED), sheet_of(turn)
    assert upright.shape == turned.shape
    assert np.abs(cell_means(upright) - cell_means(turned)).max() < 4.0


def test_a_sheet_says_that_scores_are_the_labs_where_there_are_any() -> None:
    picture = SLIDE.picture()
    found = find_cores(picture, SLIDE.map(), TmaSettings())
    scored = tuple(replace(core, label=Score.TWO) for core in found.cores)
    assert "scores of the lab's map" in summary(replace(found, cores=scored))
    assert "scores" not in summary(found)


def test_brown_cores_stand_where_the_array_has_them() -> None:
    means = cell_means(sheet_of(Orientation.TURNED_180))
    is_brown = means[..., 0] - means[..., 2] > 15
    assert is_brown.tolist() == [[True, True, False, False], [False] * 4]


def test_blocks_stand_apart_and_count_as_the_lab_does() -> None:
    left = LayoutBlock(row_labels=read_axis("B-A"), column_labels=read_axis("1-2"), at=(0, 0))
    right = LayoutBlock(row_labels=read_axis("B-A"), column_labels=read_axis("3-4"), at=(0, 1))
    places = places_on_sheet(Layout((left, right)))
    assert places[CoreName(1, 0)] == (0, 0)
    assert places[CoreName(0, 1)] == (1, 1)
    assert places[CoreName(0, 2)][1] > 2
