from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.tissue_cores import CoreStatus
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.tma import Orientation, PlainPicture, TmaSettings, find_cores, read_layout
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


def test_a_turned_array_of_blocks_is_refused(tmp_path: Path) -> None:
    picture, _ = two_blocks(25)
    layout = read_layout(layout_file(tmp_path, TWO_BLOCKS))
    settings = TmaSettings(layout=layout, orientation=Orientation.TURNED_180)
    with pytest.raises(InputError, match="several blocks"):
        find_cores(picture, None, settings)
