"""Corrections by hand are understood, written down and kept."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope.artifacts.edit_log import LOG_NAME, Author, EditKind, read_edit_log
from blurryscope.artifacts.layout_file import read_layout
from blurryscope.artifacts.tissue_cores import (
    CoreStatus,
    PlaceSource,
    TissueCore,
    read_tissue_cores,
)
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.pipeline.corrections import MakeEdits, correct, take_in_hand_edits
from blurryscope.tma.edits import lock, move, relabel, remove, set_status, swap, unlock
from blurryscope.tma.picture import open_slide
from blurryscope.tma.qupath import edits_of_grid, grid_of_cores

Rename = Callable[..., Path]

DR_W = Author(at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC), by="Dr W")


def name(text: str) -> CoreName:
    return CoreName.parse(text)


def table(folder: Path) -> dict[str, TissueCore]:
    return {str(core.name): core for core in read_tissue_cores(folder / "cores.csv")}


def edit(folder: Path, make_edits: MakeEdits) -> None:
    correct(folder, open_slide(folder.parent / "toy.png"), make_edits)


def take_in(folder: Path) -> list[EditKind]:
    entries = take_in_hand_edits(folder, open_slide(folder.parent / "toy.png"), DR_W)
    return [entry.kind for entry in entries]


def change(folder: Path, *pairs: tuple[str, str]) -> None:
    """Change `cores.csv` as somebody with a spreadsheet would."""
    path = folder / "cores.csv"
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def brownness(folder: Path, core: str) -> float:
    bgr = cv2.imread(str(folder / "cores" / f"{core}.png"))
    assert bgr is not None
    return float(np.mean(bgr[..., 2].astype(float) - bgr[..., 0]))


def test_swapped_cores_swap_their_pictures_and_stay_swapped(folder: Path, named: Rename) -> None:
    a1, a2 = brownness(folder, "A1"), brownness(folder, "A2")
    places = table(folder)
    edit(folder, lambda t: [swap(t, name("A1"), name("A2"), DR_W)])
    assert brownness(folder, "A2") == pytest.approx(a1, abs=2)
    assert brownness(folder, "A1") == pytest.approx(a2, abs=2)
    named()
    assert table(folder)["A1"].x_px == places["A2"].x_px
    assert table(folder)["A1"].source is PlaceSource.MANUAL


def test_a_relabelled_core_leaves_its_old_name_missing(folder: Path) -> None:
    edit(folder, lambda t: [relabel(t, name("B1"), name("B2"), DR_W)])
    assert not table(folder)["B1"].status.has_tissue
    assert table(folder)["B2"].status.has_tissue
    assert not (folder / "cores" / "B1.png").exists()


def test_a_missing_core_is_found_where_a_person_points(
    folder: Path, named: Rename, missing_at: tuple[float, float]
) -> None:
    x_px, y_px = missing_at
    edit(folder, lambda t: [move(t, name("B2"), (x_px + 8, y_px), DR_W)])
    edit(folder, lambda t: [set_status(t, name("C1"), CoreStatus.MISSING, DR_W)])
    named()
    assert table(folder)["B2"].x_px == pytest.approx(x_px + 8, abs=0.01)
    assert table(folder)["C1"].status is CoreStatus.MISSING


def test_an_unlocked_core_is_looked_for_again(folder: Path, named: Rename) -> None:
    found = table(folder)["C1"]
    edit(folder, lambda t: [set_status(t, name("C1"), CoreStatus.MISSING, DR_W)])
    edit(folder, lambda t: [unlock(t, [name("C1")], DR_W)])
    named()
    assert table(folder)["C1"] == found


def test_a_locked_core_stays_where_it_is_on_another_search(folder: Path, named: Rename) -> None:
    edit(folder, lambda t: [lock(t, [name("A3")], DR_W)])
    before = table(folder)["A3"]
    named(forgets_answers=True)
    assert table(folder)["A3"] == before
    assert before.is_locked


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: move(t, name("A1"), (5000, 20), DR_W), "cannot lie at 5000, 20"),
        (lambda t: move(t, name("J1"), (50, 50), DR_W), "J1: is no place of this array"),
        (
            lambda t: move(
                t, name("A1"), (t.cores[name("A2")].x_px, t.cores[name("A2")].y_px), DR_W
            ),
            "cannot lie where A2 lies",
        ),
        (lambda t: relabel(t, name("A1"), name("A2"), DR_W), "A2: has tissue of its own"),
        (lambda t: relabel(t, name("B2"), name("A2"), DR_W), "B2: is missing"),
        (lambda t: swap(t, name("A1"), name("A1"), DR_W), "cannot be swapped with itself"),
        (lambda t: remove(t, name("A1"), DR_W), "is listed by the map"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_leaves_no_trace(
    folder: Path, make: Callable[..., object], said: str
) -> None:
    before = (folder / "cores.csv").read_bytes()
    with pytest.raises(InputError, match=said):
        edit(folder, lambda t: [make(t)])  # type: ignore[list-item]
    assert (folder / "cores.csv").read_bytes() == before
    assert not (folder / LOG_NAME).exists()


def test_names_exchanged_in_the_table_by_hand_are_a_swap(folder: Path) -> None:
    change(folder, ("\nA1,", "\n?,"), ("\nA2,", "\nA1,"), ("\n?,", "\nA2,"))
    brown = brownness(folder, "A1")
    assert take_in(folder) == [EditKind.SWAP]
    assert brownness(folder, "A2") == pytest.approx(brown, abs=2)
    entry = read_edit_log(folder).entries[0]
    assert (entry.by, entry.through) == ("Dr W", "table")
    assert [state.core for state in entry.before] == ["A1", "A2"]


def test_a_row_that_is_one_off_is_put_right_in_the_table(folder: Path) -> None:
    before = table(folder)
    change(folder, ("\nB2,2,2,", "\nX,2,2,"), ("\nB1,", "\nB2,"), ("\nX,", "\nB1,"))
    assert take_in(folder) == [EditKind.RELABEL]
    assert table(folder)["B2"].x_px == before["B1"].x_px
    assert not table(folder)["B1"].status.has_tissue


def test_what_is_changed_by_hand_is_taken_in_before_anything_else(
    folder: Path, named: Rename
) -> None:
    at = table(folder)["A3"]
    change(folder, (f"A3,1,3,{at.x_px:.2f}", f"A3,1,3,{at.x_px + 6:.2f}"))
    named()
    assert table(folder)["A3"].x_px == pytest.approx(at.x_px + 6, abs=0.01)
    assert [entry.kind for entry in read_edit_log(folder).entries] == [EditKind.MOVE]


def test_a_table_saved_with_semicolons_and_decimal_commas_is_understood(folder: Path) -> None:
    path = folder / "cores.csv"
    text = path.read_text(encoding="utf-8").replace(",", ";").replace(".", ",")
    path.write_text("\ufeff" + text.replace("\nA3;1;3;", "\nA3;1;3;1"), encoding="utf-8")
    with pytest.raises(InputError, match="A3: cannot lie at 1"):
        take_in(folder)
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert take_in(folder) == []


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("\nA1,", "\nA2,")], "A2 is there twice"),
        ([("\nA1,", "\nK1,")], "cores.csv, core K1: is no place of this array"),
        ([("\nA1,1,1,", "\nA1,1,1,9")], "cores.csv, core A1: cannot lie at"),
        ([("\nA1,1,1,", "\nA1,1,1,left")], "line 2: cannot be read"),
        ([(",ok,", ",fine,")], "cannot be read"),
    ],
)
def test_a_table_spoilt_by_hand_is_refused(
    folder: Path, pairs: list[tuple[str, str]], said: str
) -> None:
    change(folder, *pairs)
    with pytest.raises(InputError, match=said):
        take_in(folder)
    assert not (folder / LOG_NAME).exists()


def test_a_name_with_a_line_separator_in_it_leaves_the_log_readable(folder: Path) -> None:
    author = Author(at=DR_W.at, by="Dr\u2028W\x85")
    edit(folder, lambda t: [lock(t, [name("A1")], author)])
    edit(folder, lambda t: [lock(t, [name("A2")], DR_W)])
    assert [entry.by for entry in read_edit_log(folder).entries] == [author.by, "Dr W"]


def test_a_log_that_is_not_in_utf_8_is_refused(folder: Path) -> None:
    edit(folder, lambda t: [lock(t, [name("A1")], Author(at=DR_W.at, by="Müller"))])
    log = folder / LOG_NAME
    log.write_bytes(log.read_text("utf-8").encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_edit_log(folder)


def test_a_log_that_was_changed_is_refused(folder: Path) -> None:
    for core in ("A1", "A2"):
        edit(folder, lambda t, core=core: [lock(t, [name(core)], DR_W)])  # type: ignore[misc]
    log = folder / LOG_NAME
    log.write_text(log.read_text("utf-8").replace("Dr W", "Dr V", 1), encoding="utf-8")
    with pytest.raises(InputError, match="line 2: does not follow the line before"):
        read_edit_log(folder)


def test_a_grid_that_was_corrected_in_qupath_comes_back_as_edits(folder: Path) -> None:
    cores = read_tissue_cores(folder / "cores.csv")
    layout = read_layout(folder / "array" / "layout.toml")
    grid = grid_of_cores(cores, layout, {})
    assert (grid.height, grid.width) == (3, 4)
    changed = list(grid.cores)
    a1, b2 = 0, 5
    changed[a1] = type(changed[a1])(
        label="A-1",
        left_px=changed[a1].left_px + 7,
        top_px=changed[a1].top_px,
        width_px=changed[a1].width_px,
        height_px=changed[a1].height_px,
        is_present=True,
        case=None,
    )
    assert not changed[b2].is_present
    corrected = type(grid)(width=4, height=3, cores=tuple(changed))
    before = table(folder)["A1"]
    edit(folder, lambda t: edits_of_grid(corrected, t, DR_W))
    assert [entry.kind for entry in read_edit_log(folder).entries] == [EditKind.MOVE]
    assert table(folder)["A1"].x_px == pytest.approx(before.x_px + 7, abs=0.02)
