import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from blurryscope.artifacts.whole import (
    refuse_unwritable_file,
    whole_file,
    whole_folder,
    write_text_whole,
)
from blurryscope.basics.errors import OutputError


class InterruptedWorkError(Exception):
    pass


def _write_half(partial: Path) -> None:
    (partial / "half" if partial.is_dir() else partial).write_text("half")
    raise InterruptedWorkError


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_only_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cores.csv"
    with whole_file(path) as partial:
        partial.write_text("A1")
        assert not path.exists()
    assert path.read_text() == "A1"
    assert _names(path.parent) == ["cores.csv"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cores.csv"
    path.write_text("old")
    with pytest.raises(InterruptedWorkError), whole_file(path) as partial:
        _write_half(partial)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["cores.csv"]


def test_a_folder_in_the_place_of_a_file_is_told_and_stays(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"{tmp_path.name}: is a folder"), whole_file(tmp_path):
        pass
    with pytest.raises(OutputError, match="is a folder"):
        refuse_unwritable_file(tmp_path)
    refuse_unwritable_file(tmp_path / "new" / "cores.csv")
    assert _names(tmp_path) == []


def test_the_suffix_is_kept_so_that_writers_know_the_format(tmp_path: Path) -> None:
    with whole_file(tmp_path / "scan.mp4") as partial:
        assert partial.suffix == ".mp4"
        partial.touch()


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "mosaic.ome.zarr"
    for name in ("first", "second"):
        with whole_folder(path) as partial:
            (partial / name).touch()
    assert _names(path) == ["second"]
    assert _names(tmp_path) == ["mosaic.ome.zarr"]


@pytest.mark.parametrize("name", ["thesis.txt", ".", ".."])
def test_neither_a_file_nor_where_one_stands_becomes_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"is a file|has no name"), whole_folder(Path(name)):
        pass
    assert _names(tmp_path) == ["thesis.txt"]


def test_a_failed_block_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cores"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(InterruptedWorkError), whole_folder(path) as partial:
        _write_half(partial)
    assert _names(path) == ["old"]
    assert _names(tmp_path) == ["cores"]


def test_a_rename_that_fails_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cores"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def fail_on_new(self: Path, target: Path) -> Path:
        if self.name.startswith(".partial"):
            raise OSError(errno.EBUSY, "in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_new)
    with pytest.raises(OSError, match="in use"), whole_folder(path) as partial:
        (partial / "new").touch()
    assert _names(path) == ["old"]


def test_a_process_that_dies_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cores"
    retired = tmp_path / ".retired.cores"
    retired.mkdir()
    (retired / "old").touch()
    with pytest.raises(InterruptedWorkError), whole_folder(path) as partial:
        _write_half(partial)
    assert _names(path) == ["old"]


@pytest.mark.parametrize("kind", ["whole_file", "whole_folder"])
def test_a_killed_process_leaves_the_old_result_and_the_next_run_cleans_up(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "result"
    script = """
        import os, sys
        from pathlib import Path
        from blurryscope.artifacts import whole
        path, die = Path(sys.argv[1]), sys.argv[2] == "die"
        with getattr(whole, sys.argv[3])(path) as partial:
            target = partial / "inside" if partial.is_dir() else partial
            target.write_text("half" if die else "whole")
            if die:
                os._exit(9)
    """

    def run(fate: str) -> int:
        arguments = [sys.executable, "-c", textwrap.dedent(script), str(path), fate, kind]
        return subprocess.run(arguments, check=False).returncode

    content = path / "inside" if kind == "whole_folder" else path
    assert run("die") == 9
    assert not path.exists()
    assert run("live") == 0
    assert run("die") == 9
    assert content.read_text() == "whole"
    assert run("live") == 0
    assert _names(tmp_path) == ["result"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_in_one_line_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "cores.csv"
    write_text_whole(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left") as told:
        write_text_whole(path, "new")
    assert str(path) in str(told.value)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["cores.csv"]


def test_a_place_where_nothing_may_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match="cannot be written"):
        write_text_whole(tmp_path / "cores.csv", "new")


def test_text_is_utf_8_with_line_feeds_on_every_system(tmp_path: Path) -> None:
    write_text_whole(tmp_path / "note.txt", "0.72 µm\nA1\n")
    assert (tmp_path / "note.txt").read_bytes() == "0.72 µm\nA1\n".encode()
