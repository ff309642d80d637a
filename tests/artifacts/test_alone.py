"""Two commands do not write into one folder."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from blurryscope.artifacts.alone import alone_in
from blurryscope.basics.errors import OutputError


class LocksOfWindows(ModuleType):
    """`msvcrt` as Windows has it, by the locks of this system."""

    LK_NBLCK = 2

    @staticmethod
    def locking(opened: int, how: int, count: int) -> None:
        assert (how, count) == (LocksOfWindows.LK_NBLCK, 1)
        fcntl = pytest.importorskip("fcntl")
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error


@pytest.fixture(params=["here", "Windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This system, and Windows with its locks imitated."""
    if request.param == "Windows" and sys.platform != "win32":
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setitem(sys.modules, "msvcrt", LocksOfWindows("msvcrt"))


@pytest.mark.usefixtures("system")
def test_who_comes_second_is_told_to_wait_and_may_come_later(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        told = pytest.raises(OutputError, match=r"another command .* Wait until it has ended")
        with told, alone_in(tmp_path):
            pass
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("system")
def test_a_folder_that_holds_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone_in(tmp_path / "new"):
        raise KeyError
    assert not (tmp_path / "new").exists()
    with alone_in(tmp_path / "used"):
        (tmp_path / "used" / "scan.mkv").touch()
    assert (tmp_path / "used" / "scan.mkv").exists()
