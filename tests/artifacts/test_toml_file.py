"""A file that a person wrote is read as it was meant, or refused by its place."""

import os
from pathlib import Path

import pytest

from blurryscope.artifacts.toml_file import TomlTable, read_toml
from blurryscope.basics.errors import InputError, MissingInputError


class Corner(TomlTable):
    x_um: float
    y_um: float = 0.0


class Sheet(TomlTable):
    count: int = 1
    is_square: bool = False
    drawn_on: Path | None = None
    corners: tuple[Corner, ...] = ()
    middle_um: tuple[float, float] | None = None


def sheet_of(path: Path) -> Sheet:
    return read_toml(path, Sheet, missing="Draw one", remedy="Draw it again")


GOOD = 'count = 2\ndrawn_on = "Blätter/1 2.svg"\nmiddle_um = [1, 2.5]\n[[corners]]\nx_um = 3\n'
MEANT = Sheet(
    count=2, drawn_on=Path("Blätter/1 2.svg"), middle_um=(1.0, 2.5), corners=(Corner(x_um=3.0),)
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(GOOD.encode(), id="plain"),
        pytest.param(GOOD.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(GOOD.replace("\n", "\r\n").encode(), id="ends of lines as on Windows"),
    ],
)
def test_a_file_is_read_however_an_editor_saved_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ein Blatt.toml"
    path.write_bytes(content)
    assert sheet_of(path) == MEANT


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "link.toml").symlink_to("real.toml")
    assert sheet_of(tmp_path / "link.toml") == MEANT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("count = 1\ncount = 2\n", r"is no TOML \(Cannot overwrite a value \(at line 2"),
        ("count = \n", r"is no TOML .*line 1, column 9.* Correct the line"),
        ("count = nan", "count: should be a valid integer"),
        ("count = true", "count: should be a valid integer, got True"),
        ('count = "2"', "count: should be a valid integer, got '2'"),
        ("count = 2.0", "count: should be a valid integer, got 2.0"),
        pytest.param(f"count = {'9' * 5000}", "is no TOML", id="thousands of digits"),
        pytest.param(f"count = {'[' * 5000}", "is no TOML", id="lists in lists"),
        ("is_square = 1", "is_square: should be a valid boolean, got 1"),
        ("drawn_on = 7", "drawn_on: should be a valid string, got 7"),
        ("corners = [1]", "corners 1: should be a table with fields, got 1"),
        ("corners = [{ x_um = nan }]", "corners 1, x_um: should be a finite number"),
        ("corners = [{ x_um = -inf }]", "corners 1, x_um: should be a finite number"),
        ("corners = [{ x_um = 2026-01-01 }]", "corners 1, x_um: should be a valid number"),
        ("corners = [{ y_um = 1 }]", "corners 1, x_um: is missing. Draw it again"),
        ("middle_um = [1]", "middle_um 2: is missing"),
        ("colour = 1", "colour: is not known here"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "sheet.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told) as refused:
        sheet_of(path)
    assert str(path) in str(refused.value)


def test_other_text_than_utf_8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sheet.toml"
    path.write_bytes("# Grün".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text\. Save it as UTF-8"):
        sheet_of(path)


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"is a folder, and no file\. Draw one"):
        sheet_of(tmp_path)


def test_no_file_and_a_link_to_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("nowhere.toml")
    for name in ("none.toml", "link.toml"):
        with pytest.raises(MissingInputError, match=f"{name}: no such file. Draw one"):
            sheet_of(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_told_by_the_system(tmp_path: Path) -> None:
    path = tmp_path / "sheet.toml"
    path.write_text(GOOD, encoding="utf-8")
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"sheet\.toml"):
        sheet_of(path)
