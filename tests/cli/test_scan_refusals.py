"""What is wrong with a plan, a rig or a folder is told before anything moves."""

import shutil
from pathlib import Path

import pytest

from blurryscope.basics.errors import InputError, OutputError
from blurryscope.cli import app

PLAN = """
[[slides]]
name = "A"
area = { left_um = 8400, top_um = 4400, width_um = 3000, height_um = 2000 }
"""


def run(*words: object) -> None:
    app([str(word) for word in words], standalone_mode=False)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def test_a_plan_without_a_camera_asks_for_one(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"nothing says what the camera sees\. Give --rig"):
        run("plan", plan)
    run("plan", plan, "--rig", "simulated")
    told = capsys.readouterr().out
    assert "assumed, not measured" in told
    assert "in all: 3 scans, " in told


def test_a_map_that_is_not_there_is_told_with_the_plan(plan: Path) -> None:
    plan.write_text(PLAN + 'map = "none.csv"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        run("plan", plan, "--rig", "simulated")


def test_results_that_cannot_be_written_are_told_before_anything_moves(plan: Path) -> None:
    for command in ("scan", "calibrate"):
        with pytest.raises(OutputError, match=r"plan\.toml/x: is a file, or lies in one"):
            run(command, "--rig", "simulated", "--plan", plan, "--out", plan / "x")


def test_pictures_that_cannot_be_written_are_told_before_anything_else(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--pictures", plan], ["--useq", plan / "x"]):
        with pytest.raises(OutputError, match=r"plan\.toml.*: is a file, or lies in one"):
            run("plan", plan, "--rig", "simulated", *words)
    with pytest.raises(OutputError, match="is a folder"):
        run("look", "--rig", "simulated", "--out", plan.parent)
    assert not capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_folder_that_cannot_be_made_is_told_by_its_own_name(plan: Path) -> None:
    with pytest.raises(OutputError, match=r"^/proc/x: cannot be made in /proc\. Choose another"):
        run("plan", plan, "--rig", "simulated", "--pictures", "/proc/x")


def test_a_calibration_that_was_named_and_is_not_there_is_not_made(
    plan: Path, tmp_path: Path
) -> None:
    words = ["--rig", "simulated", "--plan", plan, "--out", tmp_path / "out", "--quiet"]
    with pytest.raises(InputError, match=r"none/calibration\.json: no such file\. Calibrate first"):
        run("scan", *words, "--calibration", tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_half_a_rig_says_which_half_is_missing(plan: Path, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text('name = "x"\n[stage]\nport = "COM3"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"has a \[stage\] and no \[camera\]"):
        run("plan", plan, "--rig", rig)


def test_a_disk_without_room_is_told_before_the_microscope_is_calibrated(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=40_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    words = ["--rig", "simulated", "--plan", plan, "--out", tmp_path / "out", "--quiet"]
    told = r"out: has 40 MB free, .* need about \d{3} MB\. Free .* a guess of 0\.56 µm per pixel"
    with pytest.raises(InputError, match=told):
        run("scan", *words)
    assert not (tmp_path / "out").exists()
