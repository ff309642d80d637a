from pathlib import Path

import pytest

from blurryscope.artifacts.map_cells import MapReading
from blurryscope.artifacts.map_words import describe_map
from blurryscope.artifacts.slide_map import read_slide_map


def words(tmp_path: Path, text: str, consensus: str | None = None) -> list[str]:
    path = tmp_path / "map.csv"
    path.write_text(text, encoding="utf-8")
    return list(describe_map(read_slide_map(path, how=MapReading(consensus=consensus))))


def test_the_array_is_drawn_as_it_lies(tmp_path: Path) -> None:
    told = words(tmp_path, ",1,2,,3\nA,0,1,,lost\nB,NA,,,3\n")
    at = told.index("")
    assert told[at + 1 : at + 4] == [
        "   1  2      3",
        "A  0 1+   A  x",
        "B NA  ·   B 3+",
    ]


def test_disputes_are_told_reader_by_reader(tmp_path: Path) -> None:
    told = words(tmp_path, "core,HER2 Ahmed,HER2 Baker\nA1,0,1+\nA2,2+,2+\nB1,3+,\n", "majority")
    assert "They differ on 1 core of 3." in told
    assert "  Ahmed and Baker give the same score to 1 of 2 that both scored." in told
    assert "  A1: Ahmed 0, Baker 1+ → no score" in told


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    told = words(tmp_path, "core,her2,FISH ratio\nA1,0,2.1\n")
    assert "Columns that are not used: FISH ratio." in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",1,2,3\nA,0,1,2\nB,0,1,2\n", "look the same turned by 180° and mirrored"),
        (",1,2,3\nA,,1,2\nB,0,1,2\n", "Its empty places tell a slide that was put in turned"),
        (",1,2,3\nA,lost,1,2\nB,lost,1,2\n", "which one that is cannot be seen"),
    ],
)
def test_a_map_says_which_turns_it_cannot_tell(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in line for line in words(tmp_path, text))
