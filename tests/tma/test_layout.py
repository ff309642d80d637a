from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.array_layout import PlaceKind
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score
from blurryscope.tma.find import find_cores
from blurryscope.tma.layout import inferred_layout, whole_map
from blurryscope.tma.orientation import Orientation
from blurryscope.tma.picture import PlainPicture
from blurryscope.tma.settings import TmaSettings
from blurryscope.tma.toy_slides import ToySlide, map_of

TWO_BLOCKS = """
[[block]]
rows = "A-D"
columns = "1-4"

[[block]]
rows = "A-D"
columns = "5-7"
"""


def layout_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "layout.toml"
    path.write_text(text, encoding="utf-8")
    return path


def two_blocks(gap_px: int, lost: frozenset[str] = frozenset()) -> tuple[PlainPicture, ToySlide]:
    """Four rows of four and of three cores; the second block is lower, turned and further off."""
    left = ToySlide(rows=4, columns=4, border_px=40.0, missing=lost)
    right = ToySlide(rows=4, columns=3, border_px=40.0, tilt_deg=3.0, seed=5)
    pictures = [left.draw(), right.draw()]
    height = max(len(picture) for picture in pictures) + 30
    canvas = np.empty((height, sum(p.shape[1] for p in pictures) + gap_px, 3), np.uint8)
    canvas[:] = np.rint(left.white)
    canvas[: len(pictures[0]), : pictures[0].shape[1]] = pictures[0]
    canvas[30 : 30 + len(pictures[1]), -pictures[1].shape[1] :] = pictures[1]
    size = (2 * canvas.shape[1], 2 * canvas.shape[0])
    return PlainPicture(np.asarray(cv2.resize(canvas, size), np.uint8), 10.0), left


def test_a_range_may_run_backwards_and_blocks_lie_side_by_side(tmp_path: Path) -> None:
    text = '[[block]]\nrows = "C-A"\ncolumns = "1"\n[[block]]\nrows = "A-C"\ncolumns = "2-3"\n'
    layout = read_layout(layout_file(tmp_path, text))
    assert layout.blocks[0].rows == (2, 1, 0)
    assert [block.at for block in layout.blocks] == [(0, 0), (0, 1)]
    assert layout.blocks[0].name_at(CoreName(0, 0)) == CoreName(2, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[block]]\nrows = 'A-C'\n",
        "[[block]]\nrows = 'A-3'\ncolumns = '1-4'\n",
        "[[block]]\nrows = 'A'\ncolumns = '1-4'\nrow = 3\n",
        "[[block]]\nrows = 'A'\ncolumns = '1-4'\n[[block]]\nrows = 'A'\ncolumns = '4-8'\n",
        "[[block",
    ],
)
def test_a_layout_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not a layout"):
        read_layout(layout_file(tmp_path, text))


def test_blocks_with_a_gap_are_named_by_their_layout(tmp_path: Path) -> None:
    picture, left = two_blocks(25, frozenset({"A1", "B3"}))
    settings = TmaSettings(layout=read_layout(layout_file(tmp_path, TWO_BLOCKS)))
    listed = [f"{row}{column}" for row in "ABCD" for column in range(1, 8)]
    found = find_cores(picture, map_of(listed), settings)
    assert not found.grid.needs_confirmation
    lost = {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}
    assert lost == {"A1", "B3"}
    a5 = next(core for core in found.cores if str(core.name) == "A5")
    a4 = next(core for core in found.cores if str(core.name) == "A4")
    assert a5.x_px - a4.x_px > 1.4 * 2 * left.pitch_px
    assert len(found.grid.layout) == 2


def test_blocks_without_a_layout_are_asked_about() -> None:
    picture, _ = two_blocks(10)
    listed = [f"{row}{column}" for row in "ABCD" for column in range(1, 8)]
    found = find_cores(picture, map_of(listed), TmaSettings())
    assert found.grid.needs_confirmation


def test_a_map_with_a_core_that_no_block_holds_is_refused(tmp_path: Path) -> None:
    picture, _ = two_blocks(25)
    settings = TmaSettings(layout=read_layout(layout_file(tmp_path, TWO_BLOCKS)))
    with pytest.raises(InputError, match=r"no block of the layout holds \(A9\)"):
        find_cores(picture, map_of(["A1", "A9"]), settings)


def turned_picture(picture: PlainPicture, quarter_turns: int) -> PlainPicture:
    turned = np.rot90(picture.read_level(0), -quarter_turns)
    return PlainPicture(np.ascontiguousarray(turned), picture.pixel_size_um)


@pytest.mark.parametrize("turn", [Orientation.TURNED_90, Orientation.TURNED_180])
def test_blocks_that_lie_turned_keep_their_names(tmp_path: Path, turn: Orientation) -> None:
    upright, _ = two_blocks(25, frozenset({"A1", "B3"}))
    layout = read_layout(layout_file(tmp_path, TWO_BLOCKS))
    picture = turned_picture(upright, turn.quarter_turns)
    found = find_cores(picture, None, TmaSettings(layout=layout, orientation=turn))
    lost = {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}
    assert lost == {"A1", "B3"}
    assert found.grid.orientation == turn


def test_the_turn_of_blocks_is_found_where_their_sizes_prove_it(tmp_path: Path) -> None:
    upright, _ = two_blocks(25, frozenset({"A1"}))
    layout = read_layout(layout_file(tmp_path, TWO_BLOCKS))
    found = find_cores(
        turned_picture(upright, 2), None, TmaSettings(layout=layout, orientation=None)
    )
    assert found.grid.orientation == Orientation.TURNED_180
    assert {str(c.name) for c in found.cores if c.status is CoreStatus.MISSING} == {"A1"}


def test_letters_may_name_the_columns(tmp_path: Path) -> None:
    text = '[[block]]\nrows = "1-3"\ncolumns = "A-D"\n'
    layout = read_layout(layout_file(tmp_path, text))
    slide = ToySlide(rows=3, columns=4, missing=frozenset({"A2", "B4"}))
    found = find_cores(slide.picture(), None, TmaSettings(layout=layout))
    lost = {str(core.name) for core in found.cores if core.status is CoreStatus.MISSING}
    assert lost == {"B1", "D2"}


def test_what_the_layout_calls_empty_places_the_names(tmp_path: Path) -> None:
    free = ("A1", "A2", "D5")
    text = f'empty = {list(free)}\n[[block]]\nrows = "A-D"\ncolumns = "1-5"\n'
    layout = read_layout(layout_file(tmp_path, text))
    slide = ToySlide(rows=4, columns=5, missing=frozenset(free))
    picture = turned_picture(slide.picture(), 2)
    found = find_cores(picture, None, TmaSettings(layout=layout, orientation=None))
    assert found.grid.orientation == Orientation.TURNED_180
    assert not {str(core.name) for core in found.cores} & set(free)


def test_a_core_where_the_layout_has_none_is_refused(tmp_path: Path) -> None:
    text = 'empty = ["A2"]\n[[block]]\nrows = "A-B"\ncolumns = "1-2"\n'
    layout = read_layout(layout_file(tmp_path, text))
    with pytest.raises(InputError, match="A2, which the layout calls empty"):
        whole_map(layout, map_of(["A1", "A2"]))


def test_a_control_that_map_and_layout_score_differently_is_refused(tmp_path: Path) -> None:
    text = 'control = { A1 = "3+" }\n[[block]]\nrows = "A-B"\ncolumns = "1-2"\n'
    layout = read_layout(layout_file(tmp_path, text))
    with pytest.raises(InputError, match=r"score 1\+, but it is a control"):
        whole_map(layout, map_of(["A1"], A1=Score.ONE))
    control = whole_map(layout, map_of(["B1"])).entries[CoreName(0, 0)]
    assert (control.score, control.kind) == (Score.THREE, PlaceKind.CONTROL)


def test_the_layout_of_a_list_leaves_free_what_it_does_not_list() -> None:
    layout = inferred_layout(map_of(["A1", "A3", "C1"]))
    free = {str(place.name) for place in layout.special}
    assert free == {"A2", "B1", "B2", "B3", "C2", "C3"}
