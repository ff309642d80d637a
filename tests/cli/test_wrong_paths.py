"""A path that was mistyped, or leads to something else, is told as what it is."""

import sys
from pathlib import Path

import pytest

from blurryscope import cli
from blurryscope.artifacts.edit_log import EditEntry, EditKind, append_edits
from blurryscope.artifacts.repeat_folders import repeat_folder
from blurryscope.basics.clock import SystemClock
from tests.conftest import Refused

_OF_A_SLIDE = {
    "report": (),
    "edit log": (),
    "edit swap": ("A1", "A2"),
    "edit read": (),
    "layout keep": ("--out", "kept.toml"),
    "layout to-qupath": ("--out", "kept.qptma"),
}
_OF_A_SET = {
    "dataset check": (),
    "dataset split": (),
    "fit-limits": ("--out", "limits.npz"),
    "predict": ("--out", "predictions.csv"),
}


@pytest.mark.parametrize("command", [*_OF_A_SLIDE, *_OF_A_SET])
def test_a_folder_that_is_not_there_is_not_told_to_lack_something(
    command: str, refused: Refused, tmp_path: Path
) -> None:
    more = (_OF_A_SLIDE | _OF_A_SET)[command]
    what = "slide's folder" if command in _OF_A_SLIDE else "data set"
    said = refused(*command.split(), tmp_path / "slide-l", *more)
    assert f"slide-l: no such folder. Check the path of the {what}." in said


@pytest.mark.parametrize("command", [*_OF_A_SLIDE, *_OF_A_SET])
def test_a_file_in_place_of_a_folder_is_told(
    command: str, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "scan.mp4").touch()
    more = (_OF_A_SLIDE | _OF_A_SET)[command]
    said = refused(*command.split(), tmp_path / "scan.mp4", *more)
    assert "scan.mp4: is a file, and no folder" in said


def test_a_slide_that_is_not_there_makes_no_data_set(refused: Refused, tmp_path: Path) -> None:
    said = refused("dataset", "build", "--slide", tmp_path / "none", "--out", tmp_path / "set")
    assert "none: no such folder" in said


def test_no_data_set_is_made_of_the_folders_that_happen_to_be_there(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "S_1_A1_0.tif").touch()
    there, mistyped, out = (tmp_path / name for name in ("stacks", "stakcs", "set"))
    said = refused("dataset", "build", "--stacks", there, "--stacks", mistyped, "--out", out)
    assert "stakcs: no such file or folder" in said


def test_a_film_is_no_stack_to_be_renamed(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "scan.mp4").touch()
    said = refused("score", tmp_path / "scan.mp4")
    assert "scan.mp4: is no stack (.tif). Give stacks; a film goes through blurryscope run" in said


def test_a_source_that_is_not_told_or_told_twice_is_told_by_its_options(
    refused: Refused, tmp_path: Path
) -> None:
    build = ("dataset", "build", "--out", tmp_path / "set")
    assert "--slide, --stacks, --simulate: none of these is given" in refused(*build)
    both = refused(*build, "--simulate", 160, "--stacks", tmp_path)
    assert "more than one of these is given" in both


def test_shares_are_refused_in_the_words_of_a_reader(refused: Refused, tmp_path: Path) -> None:
    said = refused(
        "dataset", "build", "--simulate", 160, "--shares", "1,2", "--out", tmp_path / "s"
    )
    assert "--shares: '1,2' is not four numbers" in said


def test_the_log_of_a_folder_without_cores_is_not_told_to_be_empty(
    refused: Refused, tmp_path: Path
) -> None:
    assert "holds no cores" in refused("edit", "log", tmp_path)


def test_the_log_of_a_slide_tells_of_each_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        repeat_folder(tmp_path, number).mkdir()
        (repeat_folder(tmp_path, number) / "cores.csv").touch()
    now = SystemClock().utc_now()
    locked = EditEntry(
        at=now, by="Dr. Weber", kind=EditKind.LOCK, through="command", size_px=(100, 100)
    )
    append_edits(repeat_folder(tmp_path, 2), [locked])
    monkeypatch.setattr(sys, "argv", ["blurryscope", "edit", "log", str(tmp_path)])
    cli.main()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "repeat-1: nothing was corrected"
    assert second.startswith("repeat-2: ")
    assert "Dr. Weber: lock" in second
