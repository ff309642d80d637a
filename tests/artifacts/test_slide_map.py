from collections.abc import Callable
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from blurryscope.artifacts.slide_map import Presence, SlideMap, read_slide_map
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score

Write = Callable[[str], Path]


@pytest.fixture
def csv_map(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "map.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def xlsx_map(tmp_path: Path, rows: list[list[object]], name: str = "map.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / name)
    return tmp_path / name


def scores(slide_map: SlideMap) -> dict[str, Score | None]:
    return {str(name): entry.score for name, entry in slide_map.entries.items()}


def test_a_long_list_gives_slide_cores_cases_and_scores(csv_map: Write) -> None:
    slide_map = read_slide_map(csv_map("slide,core,HER2 score,case\nH1,A1,3+,17\nH1,b-02,0,\n"))
    assert slide_map.slide == "H1"
    assert scores(slide_map) == {"A1": Score.THREE, "B2": Score.ZERO}
    assert slide_map.entries[CoreName(0, 0)].case == "17"
    assert (slide_map.rows, slide_map.columns) == (2, 2)


def test_every_known_spelling_of_a_score_is_read(csv_map: Write) -> None:
    spellings = ["0", "0+", "1", "1+", "2", "2 +", "3+", "neg", "Negative"]
    listed = "".join(f"A{n + 1};{text}\n" for n, text in enumerate(spellings))
    read = read_slide_map(csv_map("core;score\n" + listed))
    assert [entry.score for entry in read.entries.values()] == [0, 0, 1, 1, 2, 2, 3, 0, 0]


def test_na_empty_and_lost_are_three_things(csv_map: Write) -> None:
    read = read_slide_map(csv_map("core,her2\nA1,NA\nA2,\nA3,lost\nA4,empty\nA5,1+\n"))
    assert [entry.presence for entry in read.entries.values()] == [
        Presence.NOT_EVALUABLE,
        Presence.UNSCORED,
        Presence.LOST,
        Presence.EMPTY,
        Presence.SCORED,
    ]


def test_a_sheet_like_the_array_is_read_with_and_without_row_letters(csv_map: Write) -> None:
    with_letters = read_slide_map(csv_map(",1,2,3\nA,0,1+,\nB,lost,NA,3\n"))
    without = read_slide_map(csv_map("0,1+,\nlost,NA,3\n"))
    assert with_letters == without
    assert scores(with_letters)["B3"] is Score.THREE
    assert not with_letters.expects_tissue(CoreName(0, 2))


@pytest.mark.parametrize(
    "text",
    ["1,2,3\n0,1,2\n3,0,0\n", "3,2,1\n0,1,2\n", "1,0,0\n2,3,0\n", "1;2\n0;0\n"],
    ids=["columns", "backwards", "rows", "two"],
)
def test_numbers_that_may_be_scores_or_count_the_lines_are_refused(
    csv_map: Write, text: str
) -> None:
    with pytest.raises(InputError, match=r"first (row|column): counts .* label both"):
        read_slide_map(csv_map(text))


def test_scores_with_a_plus_count_nothing(csv_map: Write) -> None:
    read = read_slide_map(csv_map("1+,2+,3+\n0,1,2\n"))
    assert [str(name) for name in read.entries] == ["A1", "A2", "A3", "B1", "B2", "B3"]


def test_an_array_sheet_whose_rows_are_out_of_order_is_refused(csv_map: Write) -> None:
    with pytest.raises(InputError, match="A, B, C"):
        read_slide_map(csv_map(",1,2\nA,0,1\nC,2,3\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slide,her2\nH,0\n", "no column 'core'"),
        ("slide,core\nH,A1\n", "no column 'her2'"),
        ("core,her2\nA1,0\nA2,4+\nB1,2+/3+\n", r"B3 '4\+', B4 '2\+/3\+'"),
        ("core,her2\nA1,0\na01,1\n", "A1 is listed twice"),
        ("core,her2\n1-Jan,0\n", "'1-Jan' is not a core name"),
        ("core,her2,score\nA1,0,0\n", "several columns of one kind"),
        ("slide,core,her2\nH,A1,0\nI,A1,0\n", r"several slides \(H, I\)"),
        ("core,her2\n", "lists no core"),
        ("", "no cell with content"),
    ],
)
def test_a_map_that_cannot_be_trusted_is_refused(csv_map: Write, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_slide_map(csv_map(text))


def test_one_slide_of_several_is_picked_by_name(csv_map: Write) -> None:
    path = csv_map("slide,core,her2\nH,A1,0\nI,A1,3\nI,A2,1\n")
    assert scores(read_slide_map(path, "I")) == {"A1": Score.THREE, "A2": Score.ONE}
    with pytest.raises(InputError, match="holds no slide 'J'"):
        read_slide_map(path, "J")


def test_an_excel_map_reads_like_the_same_text(tmp_path: Path, csv_map: Write) -> None:
    excel = xlsx_map(tmp_path, [["core", "her2"], ["A1", 0], ["A2", "2+"], ["A3", 3.0]])
    assert read_slide_map(excel) == read_slide_map(csv_map("core,her2\nA1,0\nA2,2+\nA3,3\n"))


def test_an_excel_sheet_that_starts_further_in_keeps_its_places(tmp_path: Path) -> None:
    read = read_slide_map(xlsx_map(tmp_path, [[None, None], [None, "2+"]]))
    assert [str(n) for n, e in read.entries.items() if e.score is not None] == ["B2"]


@pytest.mark.parametrize(
    ("cell", "said"), [(date(2026, 1, 2), "A2: holds a date"), ("=B1", "A2: holds a formula")]
)
def test_a_cell_that_excel_changed_is_refused(tmp_path: Path, cell: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_slide_map(xlsx_map(tmp_path, [["core", "her2"], [cell, 0]]))


def test_merged_cells_and_hidden_rows_are_refused(tmp_path: Path) -> None:
    path = xlsx_map(tmp_path, [["core", "her2"], ["A1", 0], ["A2", 0]])
    book = openpyxl.load_workbook(path)
    book.active.row_dimensions[3].hidden = True
    book.save(path)
    with pytest.raises(InputError, match="hidden rows"):
        read_slide_map(path)
    book.active.merge_cells("B2:B3")
    book.save(path)
    with pytest.raises(InputError, match="merged cells"):
        read_slide_map(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "password-protected"),
        (b"PK\x03\x04 not a zip", "damaged"),
    ],
)
def test_an_unreadable_excel_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "map.xlsx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_slide_map(path)


def test_text_in_an_old_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes("core,her2,case\nA1,0,Müller\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_slide_map(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_slide_map(tmp_path / "map.csv")
