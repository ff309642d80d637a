import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurryscope import cli
from blurryscope.tma.toy_slides import ToySlide

SLIDE = ToySlide(rows=3, columns=4, missing=frozenset({"A1", "B2"}))

Tell = Callable[..., tuple[str, str]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command; gives what it said on standard output and standard error."""

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["blurryscope", *map(str, arguments)])
        if code:
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert stop.value.code == code
        else:
            cli.main()
        told = capfd.readouterr()
        return told.out, told.err

    return run


@pytest.fixture
def folder(tmp_path: Path, tell: Tell) -> Path:
    """A slide whose cores were named by the command."""
    cv2.imwrite(str(tmp_path / "toy.png"), SLIDE.draw()[..., ::-1])
    listed = "".join(f"{name},2+\n" for name in SLIDE.names() if str(name) != "A1")
    (tmp_path / "map.csv").write_text("core,her2\n" + listed, encoding="utf-8")
    out = tmp_path / "slide"
    tell("cores", tmp_path / "toy.png", "--map", tmp_path / "map.csv", "--out", out)
    return out


@pytest.mark.parametrize(
    "command",
    [
        "map check", "map join", "layout show", "layout from-map", "layout keep",
        "layout from-qupath", "layout to-qupath", "edit move", "edit missing", "edit status",
        "edit relabel", "edit swap", "edit remove", "edit lock", "edit unlock", "edit read",
        "edit from-qupath", "edit log",
    ],
)  # fmt: skip
def test_every_command_shows_an_example(command: str, tell: Tell) -> None:
    assert f"Example: blurryscope {command}" in tell(*command.split(), "--help")[0]


def test_checking_a_map_lists_all_it_cannot_read_and_ends_with_code_2(
    tmp_path: Path, tell: Tell
) -> None:
    rows = "".join(f"A{n},{n}++\n" for n in range(1, 20))
    (tmp_path / "map.csv").write_text("core,her2\n" + rows, encoding="utf-8")
    said, error = tell("map", "check", tmp_path / "map.csv", code=2)
    assert said.count("++'") == 19
    assert error.count("\n") == 1


def test_checking_a_map_tells_of_every_slide_in_it(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "map.csv").write_text("slide,core,her2\nH1,A1,0\nH2,A1,3+\n", encoding="utf-8")
    said, _ = tell("map", "check", tmp_path / "map.csv")
    assert "slide H1:" in said
    assert "slide H2:" in said
    assert "Research use only" in said


def test_a_layout_goes_to_qupath_and_back(folder: Path, tmp_path: Path, tell: Tell) -> None:
    grid = tmp_path / "slide.qptma"
    tell("layout", "to-qupath", folder, "--out", grid)
    tell("layout", "from-qupath", grid, "--out", tmp_path / "again.toml")
    assert "12 places" in tell("layout", "show", tmp_path / "again.toml")[0]


def test_no_layout_is_written_over(folder: Path, tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "kept.toml").write_text("mine", encoding="utf-8")
    _, error = tell("layout", "keep", folder, "--out", tmp_path / "kept.toml", code=2)
    assert "is there already" in error
    assert (tmp_path / "kept.toml").read_text("utf-8") == "mine"


def test_an_edit_is_said_in_words_and_logged(folder: Path, tmp_path: Path, tell: Tell) -> None:
    picture = ("--picture", tmp_path / "toy.png")
    tell("edit", "swap", folder, "A2", "A3", "--by", "Dr W", *picture)
    said, _ = tell("edit", "log", folder)
    assert "Dr W: swap A" in said
    _, error = tell("edit", "move", folder, "B2", "--to", "here", *picture, code=2)
    assert "--to: 'here' is not two numbers" in error


def test_the_log_of_a_folder_that_is_not_there_is_not_empty_but_absent(
    tmp_path: Path, tell: Tell
) -> None:
    assert "none: no such folder" in tell("edit", "log", tmp_path / "none", code=2)[1]


def test_edits_without_the_picture_say_what_to_give(folder: Path, tell: Tell) -> None:
    assert "--picture" in tell("edit", "lock", folder, "A2", code=2)[1]


def test_what_is_wrong_with_a_picture_is_not_told_of_the_map(tmp_path: Path, tell: Tell) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((800, 900, 3), 245, np.uint8))
    (tmp_path / "map.csv").write_text("core,her2\nA1,2+\n", encoding="utf-8")
    asked = ("cores", tmp_path / "blank.png", "--map", tmp_path / "map.csv")
    assert "blank.png, the slide: shows no tissue" in tell(*asked, code=2)[1]


def test_what_is_wrong_with_a_map_is_told_of_its_file(tmp_path: Path, tell: Tell) -> None:
    cv2.imwrite(str(tmp_path / "toy.png"), SLIDE.draw()[..., ::-1])
    (tmp_path / "map.csv").write_text("core,her2\nA2,2+\n", encoding="utf-8")
    asked = ("cores", tmp_path / "toy.png", "--map", tmp_path / "map.csv")
    assert "map.csv, the map: has 1 row" in tell(*asked, code=2)[1]
