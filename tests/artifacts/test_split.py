"""A split that leaks is refused, wherever it comes from."""

from pathlib import Path

import pytest

from blurryscope.artifacts.samples import Sample
from blurryscope.artifacts.split import Part, Split, Unit, checked_split, read_split, write_split
from blurryscope.basics.core_name import CoreName
from blurryscope.basics.errors import InputError
from blurryscope.basics.her2 import Score

_A1, _A2, _A3 = (CoreName(0, column) for column in range(3))
_PARTS = {("S", _A1): Part.TRAIN, ("S", _A2): Part.TEST}


def test_a_split_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", Split(_PARTS))
    assert read_split(tmp_path / "split.csv", [_sample(_A1), _sample(_A2)]) == Split(_PARTS)


def test_a_patient_in_two_parts_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"leaks: patient P7 is in train \(S A1\) and in test"):
        checked_split("it", [_sample(_A1, "P7"), _sample(_A2, "P7")], _PARTS, Unit.CORE)


def test_a_slide_in_two_parts_is_refused_where_it_goes_by_slide() -> None:
    samples = [_sample(_A1), _sample(_A2)]
    checked_split("it", samples, _PARTS, Unit.CORE)
    with pytest.raises(InputError, match="leaks: slide S"):
        checked_split("it", samples, _PARTS, Unit.SLIDE)


def test_the_same_picture_under_two_names_is_found() -> None:
    samples = [_sample(_A1, sha256="abc"), _sample(_A2, sha256="abc")]
    with pytest.raises(InputError, match="leaks: picture abc"):
        checked_split("it", samples, _PARTS, Unit.CORE)


def test_a_core_without_a_part_is_refused() -> None:
    with pytest.raises(InputError, match="gives S A3 no part"):
        checked_split("it", [_sample(_A3)], _PARTS, Unit.CORE)


def test_an_imported_split_that_parts_repeats_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("slide,repeat,core,part\nS,1,A1,training\nS,2,A1,test\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3: leaks: S A1 is in train and in test"):
        read_split(path, [_sample(_A1)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slide,core\nS,A1\n", "has no column part"),
        ("slide,core,part\nS,A1,holdout\n", "the part 'holdout'"),
        ("slide,core,part\nS,first,test\n", "line 2"),
    ],
)
def test_an_imported_split_that_cannot_be_read_says_why(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_split(path, [_sample(_A1)])


def _sample(core: CoreName, case: str = "", sha256: str = "") -> Sample:
    return Sample(
        slide="S",
        case=case,
        core=core,
        repeat=1,
        score=Score.ONE,
        path=Path("S.tif"),
        sha256=sha256,
    )
