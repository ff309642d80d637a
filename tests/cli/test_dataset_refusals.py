"""What cannot be made a data set of is told before anything is drawn, read or replaced."""

from pathlib import Path

import pytest

from tests.conftest import Refused

_DRAWN = ("dataset", "build", "--simulate", 80)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pixel-size-um", -1), "--pixel-size-um: -1.0 is no size"),
        (("--pixel-size-um", "nan"), "--pixel-size-um: nan is no size"),
        (("--pixel-size-um", 1e9), "--pixel-size-um: 1000000000.0 is no size"),
        (("--tissue-pixel-size-um", 0), "--tissue-pixel-size-um: 0.0 is no size"),
        (("--view-px", 100), "--view-px: view_px must be 32"),
        (("--simulate", 40_000), "--simulate: 4 slides have no room for 40000 cores"),
        (("--seed", -1), "Invalid value for '--seed'"),
        (("--shares", "nan,0.2,0.2,0.2"), "--shares: 'nan,0.2,0.2,0.2' will not do"),
    ],
)
def test_values_that_no_data_set_can_be_drawn_with_are_told(
    refused: Refused, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    assert said in refused(*_DRAWN, *options, "--out", tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--simulate", 80, "--map", "map.csv"), "--map: is for slides and stacks"),
        (("--slide", "S", "--view-px", 128), "--view-px: is for drawn cores"),
        (("--slide", "S", "--pixel-size-um", 1.0), "--pixel-size-um: is for drawn cores"),
        (("--stacks", "S", "--tissue", "T"), "--tissue: is for drawn cores"),
        (("--stacks", "S", "--one-microscope"), "--one-microscope: is for drawn cores"),
    ],
)
def test_an_option_that_would_change_nothing_is_told(
    refused: Refused, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    assert said in refused("dataset", "build", *options, "--out", tmp_path / "set")


def test_a_folder_with_something_else_in_it_is_never_replaced(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "which would be lost" in refused(*_DRAWN, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_never_replaced_by_a_folder(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "is a file" in refused(*_DRAWN, "--out", tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("simulate", "--seed", -1), "Invalid value for '--seed'"),
        (("simulate", "--rows", 703), "Invalid value for '--rows'"),
        (("evaluate", "predictions.csv", "--seed", -1), "Invalid value for '--seed'"),
    ],
)
def test_a_seed_or_an_array_that_cannot_be_is_told_by_its_option(
    refused: Refused, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    assert said in refused(*words, "--out", tmp_path / "out")
