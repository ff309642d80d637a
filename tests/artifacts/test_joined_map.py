from pathlib import Path

import pytest

from blurryscope.artifacts.joined_map import join_map, write_joined_map
from blurryscope.artifacts.slide_map import read_slide_map
from blurryscope.basics.errors import InputError

SCORES = ",1,2,3\nA,0,1+,lost\nB,,3+,\n"
NUMBERS = ",1,2,3\nA,101,102,103\nB,104,105,empty\n"
CASES = "core_id,accession_id\n101,S-1\n102,S-1\n103,S-2\n104,S-2\n105,=S-3\n"


def written(tmp_path: Path, **texts: str) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.csv" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text, encoding="utf-8")
    return paths


def joined(tmp_path: Path, scores: str, numbers: str, cases: str) -> Path:
    paths = written(tmp_path, scores=scores, numbers=numbers, cases=cases)
    cores = join_map(read_slide_map(paths["scores"]), paths["numbers"], paths["cases"])
    write_joined_map(tmp_path / "H1.csv", None, cores)
    return tmp_path / "H1.csv"


def test_three_sheets_become_one_map(tmp_path: Path) -> None:
    read = read_slide_map(joined(tmp_path, SCORES, NUMBERS, CASES))
    told = {
        str(name): (entry.score, entry.presence, entry.case) for name, entry in read.entries.items()
    }
    assert told == {
        "A1": (0, "scored", "S-1"),
        "A2": (1, "scored", "S-1"),
        "A3": (None, "lost", "S-2"),
        "B1": (None, "unscored", "S-2"),
        "B2": (3, "scored", "'=S-3"),
    }
    assert read.slide == "H1"


@pytest.mark.parametrize(
    ("scores", "numbers", "cases", "said"),
    [
        (SCORES, NUMBERS.replace("102", ""), CASES, "no core number at A2"),
        (SCORES, NUMBERS + "C,106,107,108\n", CASES, "has 3 rows and 3 columns, the scores"),
        (SCORES, NUMBERS, CASES.replace("105,=S-3\n", ""), "no case for core 105"),
        (SCORES, NUMBERS, CASES + "101,S-9\n", "A7: core 101 has two cases"),
        (SCORES, NUMBERS, CASES.replace("core_id", "which"), "has 0 columns of"),
    ],
)
def test_sheets_that_do_not_fit_are_refused(
    tmp_path: Path, scores: str, numbers: str, cases: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        joined(tmp_path, scores, numbers, cases)
