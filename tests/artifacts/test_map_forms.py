"""Maps as labs have them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from blurryscope.artifacts.lab_map import SlideMap
from blurryscope.artifacts.map_cells import MapReading, UnknownScoresError
from blurryscope.artifacts.slide_map import read_slide_map, slides_in_map
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError

Write = Callable[[str], Path]

THREE_READERS = (
    "core,HER2 Ahmed,HER2 Baker,HER2 Chen\n"
    "A1,3+,3+,2+\nA2,0,1+,2+\nA3,0,1+,\nB1,lost,lost,1+\nB2,NA,,\nB3,,,\n"
)


@pytest.fixture
def csv_map(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "map.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def told(slide_map: SlideMap) -> dict[str, str]:
    return {
        str(name): entry.presence if entry.score is None else entry.score.label
        for name, entry in slide_map.entries.items()
    }


@pytest.mark.parametrize(
    "text",
    [
        "core,her2\nA-01,0\nB-12,3+\n",
        "core,her2\n1A,0\n12B,3+\n",
        '"core","her2"\n"1,1",0\n"2,12",3+\n',
        "core,her2\nR1C1,0\nR2C12,3+\n",
        "row,column,her2\nA,1,0\nB,12,3+\n",
        "row,col,her2\n1,1,0\n2,12,3+\n",
        "Scored in the spring\n\nTMA position;her2 score\nA1;0\nB12;3+\n",
        "core,row,column,her2\nA1,1,1,0\nB12,2,12,3+\n",
    ],
)
def test_one_place_may_be_spelled_in_many_ways(csv_map: Write, text: str) -> None:
    assert told(read_slide_map(csv_map(text))) == {"A1": "0", "B12": "3+"}


def test_of_two_numbers_the_first_is_the_row_unless_told(csv_map: Write) -> None:
    path = csv_map('core,her2\n"2,5",0\n')
    assert told(read_slide_map(path)) == {"B5": "0"}
    assert told(read_slide_map(path, how=MapReading(is_column_first=True))) == {"E2": "0"}


def test_columns_that_have_letters_are_remembered(csv_map: Write) -> None:
    read = read_slide_map(csv_map("row,column,her2\n1,A,0\n1,B,1\n3,A,2\n"))
    assert told(read) == {"A1": "0", "B1": "1+", "A3": "2+"}
    assert read.layout is not None
    assert read.layout.blocks[0].name_at(CoreName(2, 1)) == CoreName(1, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("core,row,column,her2\nA1,1,2,0\n", "B2: says A2, but the core is called A1"),
        ('core,her2\nA1,0\n"1,2",0\n', "spells places now"),
        ("row,her2\nA,0\n", "no column 'core'"),
        ("slide,core,her2\nH,A1,0\n,A2,0\n", "A3: does not say which slide"),
        ("core,her2\nA1,0\n\ncore,her2\nA1,1\n", "second table from row 4"),
        ("core,HER2 Ahmed,HER2 ahmed\nA1,0,1\n", "two columns of scores called"),
        ("row,column,her2\n1-3,1,0\n4,1,1+\n", "A2: '1-3' is no row or column"),
        ("row,column,her2\n703,1,0\n", "A2: is no row of an array"),
        ("core,her2\nA5000000,0\n", "A2: 'A5000000' is not a core name"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(csv_map: Write, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_slide_map(csv_map(text))


def test_a_line_end_within_a_cell_parts_its_words(csv_map: Write) -> None:
    path = csv_map('core,case,"HER2\nscore"\nA1,"12\n345",2+\n')
    (entry,) = read_slide_map(path).entries.values()
    assert (entry.case or "").split() == ["12", "345"]


def test_a_first_line_that_speaks_to_excel_is_no_row(csv_map: Write) -> None:
    array = read_slide_map(csv_map("sep=;\r\n;1;2\r\nA;2+;1+\r\nB;0;3+\r\n"))
    assert array.slide is None
    assert told(array) == {"A1": "2+", "A2": "1+", "B1": "0", "B2": "3+"}


def test_a_long_table_of_something_else_is_no_map(csv_map: Write) -> None:
    with pytest.raises(InputError, match="more than an array has"):
        read_slide_map(csv_map("age,weight\n" + "50,60\n" * 800))


def test_several_readers_need_a_stated_rule(csv_map: Write) -> None:
    with pytest.raises(InputError, match=r"several readers \(Ahmed, Baker, Chen\)"):
        read_slide_map(csv_map(THREE_READERS))
    with pytest.raises(InputError, match="neither majority, median, nor one of the readers"):
        read_slide_map(csv_map(THREE_READERS), how=MapReading(consensus="mean"))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("majority", ["3+", "unscored", "unscored", "lost", "not evaluable", "unscored"]),
        ("median", ["3+", "1+", "unscored", "lost", "not evaluable", "unscored"]),
        ("Baker", ["3+", "1+", "1+", "lost", "unscored", "unscored"]),
    ],
)
def test_a_rule_decides_or_says_that_it_cannot(
    csv_map: Write, rule: str, expected: list[str]
) -> None:
    read = read_slide_map(csv_map(THREE_READERS), how=MapReading(consensus=rule))
    assert list(told(read).values()) == expected


def test_each_readers_own_words_are_kept_and_disputes_told(csv_map: Write) -> None:
    read = read_slide_map(csv_map(THREE_READERS), how=MapReading(consensus="majority"))
    assert read.readers == ("Ahmed", "Baker", "Chen")
    disputed = [str(name) for name, entry in read.entries.items() if entry.is_disputed]
    assert disputed == ["A1", "A2", "A3", "B1"]
    assert [str(n) for n, e in read.entries.items() if e.is_undecided] == ["A2", "A3"]


def test_other_markers_and_remarks_are_no_readers(csv_map: Write) -> None:
    path = csv_map("core,HER2 IHC,HER2 FISH ratio,ER score,comment\nA1,2+,2.4,8,pale\n")
    read = read_slide_map(path)
    assert told(read) == {"A1": "2+"}
    assert any("HER2 FISH ratio, ER score, comment" in note for note in read.notes)


def test_every_unknown_score_is_listed_with_its_cell(csv_map: Write) -> None:
    rows = "".join(f"A{n},{n}++\n" for n in range(1, 30))
    with pytest.raises(UnknownScoresError, match=r"B2 '1\+\+'.* and 17 more") as refused:
        read_slide_map(csv_map("core,her2\n" + rows))
    assert len(refused.value.cells) == 29


def test_a_file_without_any_score_is_asked_whether_it_is_a_map(csv_map: Write) -> None:
    with pytest.raises(InputError, match=r"no score that is known, but A1 .*Check that it is the"):
        read_slide_map(csv_map("speed 5000,rest 0.5\nlanes 8,films 3\n"))
    with pytest.raises(InputError, match="holds scores that are not known: B2 '4"):
        read_slide_map(csv_map("core,her2\nA1,4+\nA2,0\n"))


def test_a_sheet_with_gaps_between_its_lines_has_blocks(csv_map: Write) -> None:
    read = read_slide_map(csv_map(",1,2,,3,4\nA,0,1,,2,3\nB,0,1,,2,\n,,,,,\nC,3,3,,NA,0\n"))
    assert read.layout is not None
    blocks = [(str(b.row_labels), str(b.column_labels), b.at) for b in read.layout.blocks]
    assert blocks == [
        ("A-B", "1-2", (0, 0)),
        ("A-B", "3-4", (0, 1)),
        ("C", "1-2", (1, 0)),
        ("C", "3-4", (1, 1)),
    ]
    assert told(read)["B4"] == "empty"
    assert told(read)["C3"] == "not evaluable"


def test_a_sheet_may_count_backwards_or_with_letters_on_top(csv_map: Write) -> None:
    read = read_slide_map(csv_map(",C,B,A\n1,0,1,2\n2,3,,NA\n"))
    assert told(read) == {
        "C1": "0", "B1": "1+", "A1": "2+", "C2": "3+", "B2": "empty", "A2": "not evaluable",
    }  # fmt: skip
    assert read.layout is not None
    assert read.layout.blocks[0].name_at(CoreName(0, 0)) == CoreName(2, 0)


def test_arrays_below_one_another_are_several_slides(csv_map: Write) -> None:
    path = csv_map("H1,,\n,1,2\nA,0,1\nB,2,3\n,,\nH2,1,2\nA,3,3\nB,3,\n")
    assert slides_in_map(path) == ("H1", "H2")
    assert told(read_slide_map(path, "H1")) == {"A1": "0", "A2": "1+", "B1": "2+", "B2": "3+"}
    assert told(read_slide_map(path, "H2"))["B2"] == "empty"
    with pytest.raises(InputError, match=r"holds 2 arrays \(H1, H2\)"):
        read_slide_map(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",1,2\nA,0,1\nB,0,1,see below\n", "D3: 'see below' stands in no labelled column"),
        (",2,3\nB,0,1\nC,2,3\n", "does not begin with row A and column 1"),
        (",1,2\nA,0,1\nB,0,1\n,3,2\n", "belongs to no labelled row"),
        (",1,3\nA,0,1\nB,2,3\n", "its labels are not"),
    ],
)
def test_a_sheet_with_cells_that_have_no_name_is_refused(
    csv_map: Write, text: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_slide_map(csv_map(text))


def test_a_tab_each_holds_several_slides(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for title, score in (("H1", 0), ("H2", "2+")):
        tab = book.create_sheet(title)
        tab.append(["slide", "core", "her2"])
        tab.append(["block 7", "A1", score])
    book.remove(book.active)
    book.save(tmp_path / "map.xlsx")
    assert slides_in_map(tmp_path / "map.xlsx") == ("H1", "H2")
    assert told(read_slide_map(tmp_path / "map.xlsx", "H2")) == {"A1": "2+"}


def test_hidden_columns_are_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["core", "her2"])
    book.active.append(["A1", 0])
    book.active.column_dimensions["B"].hidden = True
    book.save(tmp_path / "map.xlsx")
    with pytest.raises(InputError, match=r"hidden columns \(from B\)"):
        read_slide_map(tmp_path / "map.xlsx")


def test_entities_in_an_excel_file_are_refused(tmp_path: Path) -> None:
    """The billion laughs: a few hundred bytes that grow to gigabytes in a trusting parser."""
    source, path = tmp_path / "plain.xlsx", tmp_path / "map.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["core", "her2"])
    book.save(source)
    laughs = '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    with zipfile.ZipFile(source) as plain, zipfile.ZipFile(path, "w") as altered:
        for name in plain.namelist():
            text = plain.read(name)
            if name == "xl/workbook.xml":
                text = laughs.encode() + text.split(b"?>", 1)[-1]
            altered.writestr(name, text)
    with pytest.raises(InputError, match="cannot be read as XLSX"):
        read_slide_map(path)
