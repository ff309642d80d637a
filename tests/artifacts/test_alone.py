"""Two scans do not write into one folder."""

import sys
from pathlib import Path

import pytest

from blurryscope.artifacts.alone import alone_in
from blurryscope.basics.errors import OutputError


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_who_comes_second_is_told_to_wait_and_may_come_later(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        told = pytest.raises(OutputError, match=r"another scan .* Wait until it has ended")
        with told, alone_in(tmp_path):
            pass
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path):
        pass


def test_a_folder_that_holds_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone_in(tmp_path / "new"):
        raise KeyError
    assert not (tmp_path / "new").exists()
    with alone_in(tmp_path / "used"):
        (tmp_path / "used" / "scan.mkv").touch()
    assert (tmp_path / "used" / "scan.mkv").exists()
